"""Rows of the open world: probes of people who are enrolled, and of people who are not.

Half of the people are enrolled, the other half unknown; then the other way round (`risk.worlds`), so
that everybody is asked about once as known and once as unknown. A query is taken for the best match
if its score is above a threshold. That is set on *other* people: for each fold on the unknown of the
other folds, against the same gallery. Known/unknown errors as in arXiv 2508.15850 (Linkage Attacks).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.estimate import MIN_PEOPLE, proportion
from transecg_core.risk.evidence import Evidence
from transecg_core.risk.findings import Curve, Findings
from transecg_core.risk.linkage import control_note
from transecg_core.risk.linkage_curves import band, means
from transecg_core.risk.matching import group_means
from transecg_core.risk.protocols import LEAKY
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.table import CROSS_SITE, blank, measured
from transecg_core.risk.verification import TIE
from transecg_core.risk.worlds import World, worlds_of
from transecg_core.seeds import seed_for

OPERATING = 0.05
"""Unknown-as-known allowed on the people whom the threshold is set on."""
POINTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
METRICS = ("re-identified", "known-as-unknown", "unknown-as-known")
PAPER = "Linkage Attacks paper, 109 people, other data and protocol: .85, .128 and .156"
"""Re-identified, known as unknown, unknown as known (arXiv 2508.15850, abstract)."""


def open_world(attack: Attack, evidence: Evidence) -> Findings:
    """Return the rows and the curve of an open-world attack, per protocol, pooled and per site."""
    case = evidence.case
    protocols = sorted(set(case.protocol_Q[case.entry_of_Q >= 0].tolist()) - {CROSS_SITE})
    places = (*case.site_names, POOLED)
    if not protocols:
        reason = "no site has probes of enrolled people"
        return Findings([blank(attack, (POOLED, "none", METRICS[0]), reason)])
    try:
        trained, untrained = (
            worlds_of(attack, evidence, name) for name in ("released-model", "architecture")
        )
    except NotMeasurable as reason:
        return Findings([blank(attack, (POOLED, p, m), str(reason)) for p in protocols for m in METRICS])
    rows: list[RiskRow] = []
    curves: list[Curve] = []
    for protocol in protocols:
        for place in places:
            found = _Judged(attack, evidence, protocol, place, trained, untrained)
            rows += found.rows()
            curves += found.curves() if place == POOLED else ()
    return Findings(rows, tuple(curves))


@dataclass(frozen=True)
class _Judged:
    """One protocol at one place: the outcomes of everybody asked about, by the trained and by the untrained encoder.

    At a site, its queries are compared with its own people only, and thresholds are set on its own people.
    """

    attack: Attack
    evidence: Evidence
    protocol: str
    place: str
    trained: tuple[World, World]
    untrained: tuple[World, World]

    @property
    def site(self) -> int | None:
        """Index of the site; None for all."""
        return None if self.place == POOLED else self.evidence.case.site_names.index(self.place)

    @cached_property
    def asked_Q(self) -> np.ndarray:
        """Queries of the protocol and place, by people who are enrolled in one of the worlds."""
        case = self.evidence.case
        here_Q = (case.probes.site_Q == self.site) | (self.site is None)
        return np.flatnonzero((case.protocol_Q == self.protocol) & (case.entry_of_Q >= 0) & here_Q)

    @cached_property
    def person_P(self) -> np.ndarray:
        """Canonical people asked about."""
        return np.unique(self.evidence.case.person_Q[self.asked_Q])

    def rows(self) -> list[RiskRow]:
        """Return the three rows at the operating point."""
        people = self.evidence.case.people
        main_P, control_P = people.member_C[self.person_P], people.control_C[self.person_P]
        if main_P.sum() < MIN_PEOPLE:
            return self._blanks(f"needs probes of {MIN_PEOPLE} members, found {int(main_P.sum())}")
        try:
            found_P3 = self.outcomes(self.trained, OPERATING)
            fresh_P3 = self.outcomes(self.untrained, OPERATING)
            fewest_P3 = self.outcomes(self.trained, None)
        except NotMeasurable as reason:
            return self._blanks(str(reason))
        enough = control_P.sum() >= MIN_PEOPLE
        rows = []
        for column, metric in enumerate(METRICS):
            value_P = found_P3[:, column]
            rows.append(
                measured(
                    self.attack,
                    (self.place, self.protocol, metric),
                    proportion(value_P[main_P], self.evidence.ctx.bootstrap, self._rng(metric)),
                    float(value_P[control_P].mean()) if enough else None,
                    float(fresh_P3[main_P, column].mean()),
                    int(main_P.sum()),
                    self._notes(metric, found_P3[main_P], fewest_P3[main_P], control_P),
                )
            )
        return rows

    def curves(self) -> tuple[Curve, ...]:
        """Return how many are re-identified by the unknown-as-known that the attacker allows."""
        people = self.evidence.case.people
        main_P, control_P = people.member_C[self.person_P], people.control_C[self.person_P]
        points, values, fresh = [], [], []
        for share in POINTS:
            try:
                values.append(self.outcomes(self.trained, share)[:, 0])
                fresh.append(self.outcomes(self.untrained, share)[:, 0])
                points.append(share)
            except NotMeasurable:
                continue  # the rows say why: too few people to set this threshold on
        if main_P.sum() < MIN_PEOPLE or not points:
            return ()
        value_XP = np.stack(values)
        low, high = band(value_XP[:, main_P], self.evidence.ctx.bootstrap, self._rng("curve"))
        curve = Curve(
            name=self.attack.name,
            kind=self.attack.kind,
            observer=self.attack.observer,
            site=POOLED,
            protocol=self.protocol,
            x_label="unknown-as-known allowed where the threshold is set",
            y_label=METRICS[0],
            x=tuple(points),
            main=means(value_XP[:, main_P]),
            control=means(value_XP[:, control_P]) if control_P.sum() >= MIN_PEOPLE else None,
            baseline=means(np.stack(fresh)[:, main_P]),
            low=low,
            high=high,
            n_participants=int(main_P.sum()),
            notes="half of the people enrolled; thresholds from other people",
        )
        return (curve,)

    def outcomes(self, worlds: tuple[World, World], share: float | None) -> np.ndarray:
        """Return re-identified, known-as-unknown and unknown-as-known of each person (P, 3).

        `share` is the operating point; None sets the threshold with the fewest errors.

        Raises
        ------
        NotMeasurable
            If there are too few people to set a threshold on.
        """
        case, asked_Q = self.evidence.case, self.asked_Q
        person_K = np.searchsorted(self.person_P, case.person_Q[asked_Q])
        out_P3 = np.zeros((len(self.person_P), 3))
        for one in worlds:
            best = one.best(case, asked_Q, self.site)
            score_K, right_K, known_K = best.score_Q, best.right_Q, best.known_Q
            accepted_K = score_K > self._thresholds(score_K, known_K, person_K, share) + TIE
            value_K3 = np.column_stack([accepted_K * right_K, ~accepted_K, accepted_K]).astype(np.float64)
            for role_K, columns in ((known_K, [0, 1]), (~known_K, [2])):
                people, dense_k = np.unique(person_K[role_K], return_inverse=True)
                out_P3[people[:, None], columns] = group_means(
                    value_K3[role_K][:, columns], dense_k, len(people)
                )
        return out_P3

    def _thresholds(
        self, score_K: np.ndarray, known_K: np.ndarray, person_K: np.ndarray, share: float | None
    ) -> np.ndarray:
        """Return each query's threshold (K,), set on the people of the other folds."""
        fold_K = self.evidence.case.folds.fold_Q[self.asked_Q]
        weight_K = 1.0 / np.bincount(person_K)[person_K]
        threshold_K = np.empty(len(score_K))
        for fold in np.unique(fold_K):
            others = fold_K != fold
            unknown, known = others & ~known_K, others & known_K
            people = len(np.unique(person_K[unknown]))
            needed = int(np.ceil(1 / (OPERATING if share is None else share)))
            if people < needed or not known.any():
                raise NotMeasurable(
                    f"a threshold needs {needed} other people who are not enrolled, found {people}"
                )
            tried_T = np.unique(score_K[others])
            false_T = _above(score_K[unknown], weight_K[unknown], tried_T)
            if share is None:
                errors_T = false_T + 1 - _above(score_K[known], weight_K[known], tried_T)
                fewest = int(errors_T.argmin())
                threshold_K[fold_K == fold] = tried_T[fewest : fewest + 2].mean()
            else:
                threshold_K[fold_K == fold] = tried_T[(false_T <= share + 1e-12).argmax()]
        return threshold_K

    def _notes(
        self, metric: str, main_P3: np.ndarray, fewest_P3: np.ndarray, control_P: np.ndarray
    ) -> tuple[str | None, ...]:
        notes = (
            "LEAKY: neighbouring beats of one recording on both sides" if self.protocol == LEAKY else None,
            f"half of {self._enrolled()} enrolled, then the other half",
            f"threshold at {OPERATING:.0%} unknown-as-known of other people",
            control_note(self.evidence.ctx, control_P),
            "baseline: the untrained encoder on the same people, with thresholds of its own",
        )
        if metric != METRICS[0]:
            return notes
        named, lost, false = (float(share) for share in fewest_P3.mean(axis=0))
        wrong = 1 - float(main_P3[:, :2].sum(axis=1).mean())
        return (
            *notes,
            f"taken for somebody else {max(wrong, 0.0):.3f}",
            f"threshold with the fewest errors: re-identified {named:.3f}, known as unknown {lost:.3f}, "
            f"unknown as known {false:.3f}",
            PAPER,
        )

    def _blanks(self, reason: str) -> list[RiskRow]:
        said = METRICS if self.place == POOLED else METRICS[:1]
        return [blank(self.attack, (self.place, self.protocol, metric), reason) for metric in said]

    def _enrolled(self) -> int:
        site_G = self.evidence.case.gallery.site_G
        return int(((site_G == self.site) | (self.site is None)).sum())

    def _rng(self, metric: str) -> np.random.Generator:
        labels = ("risk", self.place, self.protocol, self.attack.name, metric)
        return np.random.default_rng(seed_for(self.evidence.ctx.seed, *labels))


def _above(score_K: np.ndarray, weight_K: np.ndarray, tried_T: np.ndarray) -> np.ndarray:
    """Return the weighted share of scores above each threshold (T,)."""
    order = np.argsort(score_K)
    reached = np.concatenate([[0.0], np.cumsum(weight_K[order])])
    below_T = reached[np.searchsorted(score_K[order], tried_T + TIE, side="right")]
    share: np.ndarray = 1.0 - below_T / reached[-1]
    return share
