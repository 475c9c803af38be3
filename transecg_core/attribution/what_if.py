"""What-if de-identification: what a data owner gains and loses by changing one component before sharing.

The owner shares probe records, changed (`transecg_core.attribution.deidentify`). Two attackers try to tell
whose they are, each in two ways:

- ``pca-lda``, who needs the signals alone, and ``identification``, who has the released encoder. They hold
  identified recordings from another time, *unchanged*, and know nothing of the change.
- The same, *adapted*: such changes can't be kept secret, since one look at the shared windows shows them.
  They make the change on everything they hold. ``pca-lda`` is then fitted on other people's windows so
  changed; ``identification`` embeds changed windows with the released encoder as it is and refits nothing,
  so whoever trains an encoder on them may reach more. Against ``swap`` they put the mean where it was: what
  is somebody else's is of no use to them.

The adapted figure is what a data owner can rely on; the other one is what hiding the change would be worth.
A component's own edges are its person's too: delineation follows the shape, and what it leaves outside
stays. With identity planted in one wave alone, replacing that wave between its own edges leaves the adapted
signal attacker far above guessing, and a neighbour may seem to carry more; between common edges it falls to
little more than guessing (tests hold both). So components are compared between common edges only.

Everybody asked about counts, trained on or not: shared signals give away either.
Differences are paired by person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from transecg_core.attribution.deidentify import How, Shapes, changed, flat, public_shape
from transecg_core.attribution.what_if_case import WINDOWS, SharedCase, shared_case
from transecg_core.attribution.what_if_paired import paired
from transecg_core.attribution.what_if_utility import Guesses, Usefulness
from transecg_core.cohorts.schema import COMPONENT_CODE
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.attacks.identification import IDENTIFICATION
from transecg_core.risk.attacks.pca_lda import PCA_LDA, fitted_once
from transecg_core.risk.context import AuditContext
from transecg_core.risk.figures import value
from transecg_core.risk.linkage import run_linkage
from transecg_core.risk.problems import Outcome
from transecg_core.risk.protocols import LEAKY
from transecg_core.risk.rows import NotMeasurable
from transecg_core.seeds import seed_for

TESTED: tuple[str, ...] = ("P", "PQ", "QRS", "ST", "T")
"""Components that are replaced by the mean; ``TP`` has no shape to speak of."""
ALL_BUT_QRS = "all but QRS"
"""Everything that is delineated but the QRS complex, drawn as straight lines: what sharing the QRS alone gives."""
METRICS: tuple[str, ...] = ("rank-1", "EER")
ADAPTED = "-adapted"
COMMON = ", common edges"
"""Behind a component's name: it was replaced between the same two places around R for everybody at a site."""

Found = Mapping[str, Outcome | str]
"""Attack -> its results, or why it has none."""


@dataclass(frozen=True)
class Change:
    """One component and what is done to it.

    Attributes
    ----------
    common
        Whether it is replaced between edges that are the same for everybody at a site, not its own.
    """

    component: str
    how: How
    common: bool = False

    @property
    def name(self) -> str:
        """What the report calls the component."""
        return self.component + COMMON * self.common

    def inside(self, case: SharedCase) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples that are replaced, bool: of the gallery's windows (N, L) and the shared ones (M, L)."""
        gallery_NL, shared_ML = (self._of(c) for c in (case.component_NL, case.shared.component_ML))
        return case.common(gallery_NL) if self.common else (gallery_NL, shared_ML)

    def _of(self, component_NL: np.ndarray) -> np.ndarray:
        if self.component == ALL_BUT_QRS:
            return ~np.isin(component_NL, (COMPONENT_CODE["QRS"], COMPONENT_CODE["undefined"]))
        return np.asarray(component_NL == COMPONENT_CODE[self.component])


def what_if(ctx: AuditContext) -> list[dict[str, Any]]:
    """Return the report's ``what_if``: one row per component, change, attack and metric.

    Every component is replaced by the mean, between edges that are the same for everybody at a site. Where one
    is shown to cost the adapted signal attacker, the costliest is also flattened and swapped, and everything
    but the QRS complex is flattened. What can't be measured is a row of None with its reason.
    """
    means = [Change(component, "mean", common=True) for component in TESTED]
    try:
        bench = Bench(ctx, shared_case(ctx))
    except NotMeasurable as reason:
        return [_blank(change, str(reason)) for change in means]
    out = [row for change in means for row in bench.rows(change)]
    leading = _leading(out)
    if leading is None:
        return [row | {"notes": f"{row['notes']}; {_NONE_LEADS}"} for row in out]
    more = (replace(leading, how="flat"), replace(leading, how="swap"), Change(ALL_BUT_QRS, "flat"))
    return out + [row for change in more for row in bench.rows(change)]


def _leading(rows: list[dict[str, Any]]) -> Change | None:
    """Return the change by the mean that lowers the adapted signal attack's rank-1 most, if shown to lower it.

    Parameters
    ----------
    rows
        Of components replaced between common edges. Between its own ones the component that holds who somebody
        is may keep it, and a neighbour win.
    """
    found = [
        row
        for row in rows
        if row["attack"] == PCA_LDA.name + ADAPTED
        and row["metric"] == METRICS[0]
        and row["difference"] is not None
    ]
    best = min(found, key=lambda row: row["difference"], default=None)
    if best is None or best["ci95"][1] >= 0:
        return None
    return Change(best["component"].removesuffix(COMMON), "mean", common=True)


_NONE_LEADS = (
    "no component leads: replacing the costliest is not shown to lower what the adapted "
    "signal attacker reaches, so nothing was flattened or swapped"
)


class Bench:
    """Everything that is the same for all changes: the case, the model, the figures before."""

    def __init__(self, ctx: AuditContext, case: SharedCase) -> None:
        self._ctx, self._case = ctx, case
        self._model = ctx.released
        self._attacks = (fitted_once(), IDENTIFICATION)
        self._kept: dict[Change, Found] = {}
        self._useful = Usefulness(ctx.model, case.shared, ctx.bootstrap, ctx.seed)

    @cached_property
    def _before(self) -> Found:
        return self._attacked(self._case.gallery.x_NL, self._case.shared.x_ML)

    @cached_property
    def _guesses_before(self) -> Guesses:
        return self._useful.guesses(self._model.embed(self._case.shared.x_ML))

    def rows(self, change: Change) -> Iterator[dict[str, Any]]:
        """Yield the rows of one change: attacks unaware and adapted, rank-1 and EER."""
        case = self._case
        gallery_NL, inside_ML = change.inside(case)
        x_ML, reached_M = changed(
            case.shared_unscaled_ML, inside_ML, self._put(change, gallery_NL, len(inside_ML))
        )
        if not reached_M[case.asked_M].any():
            yield _blank(change, f"no shared window shows {change.component} where it could be replaced")
            return
        utility, reasons = self._utility(x_ML)
        notes = [_PUT[change.how], *self._notes(reached_M), *reasons]
        for adapted, found in (
            (False, self._attacked(case.gallery.x_NL, x_ML)),
            (True, self._adapted(change)),
        ):
            for attack in self._attacks:
                for metric in METRICS:
                    yield self._row(change, attack, metric, adapted, found[attack.name], utility, notes)

    def _put(self, change: Change, gallery_NL: np.ndarray, count: int) -> Shapes:
        """Return what every shared window gets in the component's place."""
        if change.how == "swap":
            return self._case.others_shapes(gallery_NL)
        return _known(change, count)

    def _adapted(self, change: Change) -> Found:
        """Return the attacks' results where the attacker makes the change on everything it holds.

        Somebody else's component is put out of sight by the mean: what surrounds it is the owner's own.
        """
        made = replace(change, how="mean") if change.how == "swap" else change
        if made not in self._kept:
            case = self._case
            gallery_NL, shared_ML = made.inside(case)
            self._kept[made] = self._attacked(
                changed(case.gallery_unscaled_NL, gallery_NL, _known(made, len(gallery_NL)))[0],
                changed(case.shared_unscaled_ML, shared_ML, _known(made, len(shared_ML)))[0],
            )
        return self._kept[made]

    def _attacked(self, gallery_x_NL: np.ndarray, x_ML: np.ndarray) -> Found:
        linkage = run_linkage(self._attacks, self._case.held(self._model, gallery_x_NL, x_ML))
        return {**linkage.reasons, **linkage.outcomes(self._case.problem)}

    def _utility(self, x_ML: np.ndarray) -> tuple[dict[str, dict[str, Any]], list[str]]:
        try:
            return self._useful.compare(self._guesses_before, self._useful.guesses(self._model.embed(x_ML)))
        except NotMeasurable as reason:
            return {}, [f"utility not measurable: {reason}"]

    def _row(
        self, change: Change, attack: Attack, metric: str, adapted: bool, after: Outcome | str,
        utility: dict[str, dict[str, Any]], notes: list[str],
    ) -> dict[str, Any]:  # fmt: skip
        name = attack.name + ADAPTED * adapted
        before = self._before[attack.name]
        row = _blank(change, "") | {"attack": name, "metric": metric, "utility": utility}
        if isinstance(before, str) or isinstance(after, str):
            reason = before if isinstance(before, str) else after
            return row | {"notes": f"not measurable: {reason}"}
        seed = seed_for(self._ctx.seed, "what-if", change.name, change.how, name, metric)
        found = paired(before, after, metric, self._ctx.bootstrap, np.random.default_rng(seed))
        everybody = np.ones(found.n, dtype=bool)
        first, second = (value(outcome, everybody, metric) for outcome in (before, after))
        if first is None or second is None:
            return row | {"notes": "not measurable: the scores lie too close together for a threshold"}
        return row | {
            "before": first,
            "after": second,
            "difference": found.value,
            "ci95": list(found.ci95),
            "n_participants": found.n,
            "notes": "; ".join([_KNOWS.get(name, _UNAWARE), *notes]),
        }

    def _notes(self, reached_M: np.ndarray) -> list[str]:
        problem, shared = self._case.problem, self._case.shared
        asked_M = self._case.asked_M
        left = 1 - float(reached_M[asked_M].mean())
        people = len(np.unique(shared.person_M[asked_M & ~reached_M]))
        guess = float(problem.chance(1).mean())
        leaky = ["LEAKY: neighbouring beats of one recording on both sides"] * (problem.protocol == LEAKY)
        return [
            *leaky,
            f"{WINDOWS} windows per record",
            f"{problem.protocol}, gallery of {problem.gallery_size}, rank-1 by guessing {guess:.3f}",
            f"{left:.0%} of the shared windows, of {people} people, do not show it and stay as they are",
        ]


_UNAWARE = "the attacker holds unchanged recordings and knows nothing of the change"
_KNOWS = {
    PCA_LDA.name
    + ADAPTED: "the attacker makes the change on everything it holds, and fits its projection on that",
    IDENTIFICATION.name + ADAPTED: (
        "the attacker makes the change on everything it holds and embeds it again; nothing is refitted"
    ),
}

_PUT: Mapping[How, str] = {
    "mean": "mean shape of public synthetic people",
    "flat": "straight line between the edges",
    "swap": "shapes of other people of the site",
}


def _known(change: Change, count: int) -> Shapes:
    """Return what anybody can put in a component's place, the same in every window."""
    if change.how == "flat":
        return flat(count)
    return public_shape(COMPONENT_CODE[change.component]).of(np.zeros(count, dtype=np.int64))


def _blank(change: Change, reason: str) -> dict[str, Any]:
    """Return the row of a figure that there is none of, and why."""
    return {
        "component": change.name,
        "change": change.how,
        "attack": PCA_LDA.name,
        "metric": METRICS[0],
        "before": None,
        "after": None,
        "difference": None,
        "ci95": None,
        "utility": {},
        "n_participants": None,
        "notes": f"not measurable: {reason}",
    }
