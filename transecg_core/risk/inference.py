"""Rows of attacks that infer a trait of people: sex, age band, the site they were recorded at.

Whom a fold's probe judges is hidden from it: the attack is run once per fold, and knows the classes of
the other folds' people only (one fold for all ids of a person).
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from transecg_core.cohorts.schema import AGE_BANDS
from transecg_core.risk.artefacts import Given, KnownLabels
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.attacks.probe import Inference
from transecg_core.risk.balanced import balanced_accuracy
from transecg_core.risk.cases import Case
from transecg_core.risk.estimate import MIN_PEOPLE, Estimate
from transecg_core.risk.evidence import Evidence
from transecg_core.risk.findings import Findings
from transecg_core.risk.matching import first_of, group_means
from transecg_core.risk.protocols import LEAKY
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.table import CROSS_SITE, blank, measured
from transecg_core.seeds import seed_for
from transecg_core.training.local import MISSING

METRIC, PROTOCOL = "balanced accuracy", "participant-disjoint"
CLASSES: Mapping[str, tuple[str, ...]] = {"sex": ("F", "M"), "age": AGE_BANDS}
SAMPLES_PER_MEAN = 5
"""The signal floor's probe sees means of so many samples: 20 ms."""


@dataclass(frozen=True)
class _Asked:
    """One question: a trait of the people enrolled at one site, or at all.

    Attributes
    ----------
    code_G
        True class of each enrolled person asked about; `MISSING` where not known, and of others.
    per_site
        Whether a person at two sites is asked about at each of them.
    """

    site: str
    names: tuple[str, ...]
    code_G: np.ndarray
    per_site: bool


class _Once:
    """An encoder that computes each array's embeddings once: the same two arrays are asked for in every fold."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def embed(self, x_NL: np.ndarray) -> np.ndarray:
        if id(x_NL) not in self._kept:
            self._kept[id(x_NL)] = x_NL, self._encoder.embed(x_NL)  # the array stays, and so does its id
        return self._kept[id(x_NL)][1]


class _Waveform:
    """In place of an encoder: the window itself, coarsely."""

    def embed(self, x_NL: np.ndarray) -> np.ndarray:
        steps = x_NL.shape[1] // SAMPLES_PER_MEAN
        x_NTk = x_NL[:, : steps * SAMPLES_PER_MEAN].reshape(len(x_NL), steps, SAMPLES_PER_MEAN)
        return np.asarray(x_NTk.mean(axis=2))


def inference(attack: Attack, evidence: Evidence) -> Findings:
    """Return the rows of an `Inference`: pooled, and within each site where the trait is not the site."""
    if not isinstance(attack, Inference):
        raise TypeError(f"{attack.name} says nothing about what it infers")
    held = evidence.held
    arms = {
        "main": _Once(held["released-model"]),
        "baseline": _Once(held["architecture"]),
        "floor": _Once(_Waveform()),
    }
    return Findings([_row(attack, evidence, asked, arms) for asked in _questions(attack, evidence.case)])


def _questions(attack: Inference, case: Case) -> list[_Asked]:
    gallery = case.gallery
    if attack.trait == "site":
        return [_Asked(POOLED, case.site_names, gallery.site_G, per_site=True)]
    names = CLASSES[attack.trait]
    code_G = first_of(case.targets.labels[attack.trait], gallery.entry_N, len(gallery.site_G))
    own = [
        _Asked(name, names, np.where(gallery.site_G == site, code_G, MISSING), per_site=False)
        for site, name in enumerate(case.site_names)
    ]
    return [*own, _Asked(POOLED, names, code_G, per_site=False)]


def _row(attack: Inference, evidence: Evidence, asked: _Asked, arms: Mapping[str, _Once]) -> RiskRow:
    where = (asked.site, PROTOCOL, METRIC)
    try:
        return _measured(attack, evidence, asked, arms, where)
    except NotMeasurable as reason:
        return blank(attack, where, str(reason))


def _measured(
    attack: Inference,
    evidence: Evidence,
    asked: _Asked,
    arms: Mapping[str, _Once],
    where: tuple[str, str, str],
) -> RiskRow:
    ctx, case = evidence.ctx, evidence.case
    _enough(asked, case, ctx.one_group)
    votes = {name: _votes(attack, evidence, asked, encoder) for name, encoder in arms.items()}
    main = votes["main"]
    member_U, control_U = (group[main.person_U] for group in (case.people.member_C, case.people.control_C))
    found = main.estimate(member_U, ctx.bootstrap, seed_for(ctx.seed, "risk", attack.name, asked.site))
    classes = len(asked.names)
    share_C = np.bincount(main.truth_U[member_U], minlength=classes) / member_U.sum()
    notes = (
        f"guessing gives {1 / classes:.2f}",
        f"largest class {asked.names[int(share_C.argmax())]}, {share_C.max():.0%} of the people",
        _floor_note(votes["floor"], member_U),
        "baseline: the same probe on the untrained encoder",
        "linear probe fitted on other people; one vote per person",
        None if asked.per_site else "site means taken off",
        _judged_note(case, asked, member_U, main),
        _control_note(evidence, main, control_U),
    )
    return measured(
        attack, where, found, main.value(control_U), votes["baseline"].value(member_U), found.n, notes
    )


def _enough(asked: _Asked, case: Case, everybody: bool) -> None:
    """Refuse a trait of which the main group doesn't show every class often enough."""
    if len(asked.names) < 2:
        raise NotMeasurable("one site only")
    known_G = asked.code_G != MISSING
    if not known_G.any():
        raise NotMeasurable("no labelled people")
    member_G = known_G & case.people.member_C[case.person_G]
    for code, name in enumerate(asked.names):
        count = len(np.unique(case.person_G[member_G & (asked.code_G == code)]))
        if count < MIN_PEOPLE:
            who = "people" if everybody else "members"
            raise NotMeasurable(f"{count} {who} of class {name}, and {MIN_PEOPLE} are needed of each")


@dataclass(frozen=True)
class _Votes:
    """Truth and guess per unit (U): a person, or a person at a site."""

    truth_U: np.ndarray
    guess_U: np.ndarray
    person_U: np.ndarray
    classes: int

    def estimate(self, chosen_U: np.ndarray, bootstrap: int, seed: int) -> Estimate:
        """Return the balanced accuracy on some units."""
        if len(np.unique(self.truth_U[chosen_U])) < self.classes:
            raise NotMeasurable("a class is missing")
        return balanced_accuracy(
            self.truth_U[chosen_U], self.guess_U[chosen_U], self.person_U[chosen_U], bootstrap, seed
        )

    def value(self, chosen_U: np.ndarray) -> float | None:
        """Return the balanced accuracy on some units; None where it is not measurable."""
        try:
            return self.estimate(chosen_U, 2, 0).value
        except NotMeasurable:
            return None


def _votes(attack: Inference, evidence: Evidence, asked: _Asked, encoder: _Once) -> _Votes:
    case, gallery, classes = evidence.case, evidence.case.gallery, len(asked.names)
    queries = len(case.probes.site_Q)
    score_UC = np.zeros((queries + len(gallery.site_G), classes))
    fold_U = np.concatenate([case.folds.fold_Q, case.folds.fold_G])
    for fold in np.unique(case.folds.fold_G[asked.code_G != MISSING]):
        hidden_G = np.where(case.folds.fold_G == fold, MISSING, asked.code_G)
        given: dict[str, Any] = {"released-model": encoder, "known-labels": KnownLabels(hidden_G, classes)}
        held = ChainMap(given, evidence.held)  # type: ignore[arg-type]
        score_UC[fold_U == fold] = attack.run(Given(attack.artefacts, held))[fold_U == fold]
    probability_GC = _of_entries(case, np.exp(score_UC[:queries]), np.exp(score_UC[queries:]))
    known = np.flatnonzero(asked.code_G != MISSING)
    if asked.per_site:
        guess = probability_GC[known].argmax(axis=1)
        return _Votes(asked.code_G[known], guess, case.person_G[known], classes)
    people, first, unit = np.unique(case.person_G[known], return_index=True, return_inverse=True)
    guess = group_means(probability_GC[known], unit, len(people)).argmax(axis=1)
    return _Votes(asked.code_G[known][first], guess, people, classes)


def _own_queries(case: Case) -> np.ndarray:
    """Return which queries are probe records of an enrolled person: bool (Q,)."""
    return np.asarray((case.entry_of_Q >= 0) & ~np.isin(case.protocol_Q, (CROSS_SITE, LEAKY)))


def _of_entries(case: Case, query_QC: np.ndarray, gallery_GC: np.ndarray) -> np.ndarray:
    """Return what an attacker makes of each enrolled person's probe records, or of their gallery where they have none."""
    own = _own_queries(case)
    out_GC = gallery_GC.copy()
    entries, unit = np.unique(case.entry_of_Q[own], return_inverse=True)
    if len(entries):
        out_GC[entries] = group_means(query_QC[own], unit, len(entries))
    return out_GC


def _floor_note(floor: _Votes, chosen_U: np.ndarray) -> str | None:
    value = floor.value(chosen_U)
    return None if value is None else f"the same probe on the windows themselves {value:.3f}"


def _judged_note(case: Case, asked: _Asked, member_U: np.ndarray, votes: _Votes) -> str:
    probed = np.isin(votes.person_U, case.person_Q[_own_queries(case)])
    without = int((member_U & ~probed).sum())
    judged = "judged on records that training did not see"
    return judged if not without else f"{judged}, save for {without} who have none"


def _control_note(evidence: Evidence, votes: _Votes, control_U: np.ndarray) -> str:
    ctx = evidence.ctx
    if ctx.one_group:
        return f"{ctx.whom}; no control"
    if not ctx.membership:
        return "control not measurable: everybody was trained on"
    short = "" if votes.value(control_U) is not None else ", too few of a class"
    return f"{len(np.unique(votes.person_U[control_U]))} controls{short}"
