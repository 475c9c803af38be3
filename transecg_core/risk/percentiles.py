"""Where each person's membership score stands among the controls of their site, and the worst tenth of members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.estimate import MIN_PEOPLE, Estimate, percentile, resamples
from transecg_core.risk.evidence import Evidence
from transecg_core.risk.membership import Scores, first_ids, no_controls, scored
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.table import blank, measured
from transecg_core.risk.worst import TENTH, about_worst, tenth, tenth_of
from transecg_core.seeds import seed_for

METRIC = "percentile among controls, worst tenth"
_SHUFFLES = 200


@dataclass(frozen=True)
class Percentile:
    """One membership attack's percentiles per target (T), or why there are none."""

    scores: Scores | None
    value_T: np.ndarray
    reason: str

    def of(self, target: int) -> float | None:
        """Return one target's percentile; None where not measurable."""
        known = self.scores is not None and np.isfinite(self.value_T[target])
        return float(self.value_T[target]) if known else None


Percentiles = Mapping[str, Percentile]
"""Membership attack -> its percentiles."""


def percentiles(evidence: Evidence) -> Percentiles:
    """Return every single-model membership attack's percentiles."""
    return {a.name: _percentile(a, evidence) for a in evidence.attacks if a.measure == "membership"}


def _percentile(attack: Attack, evidence: Evidence) -> Percentile:
    nothing = np.full(len(evidence.case.targets.site_T), np.nan)
    if (why := no_controls(evidence.ctx)) is not None:
        return Percentile(None, nothing, why)
    try:
        scores = scored(attack, evidence.case, evidence.held)
    except NotMeasurable as reason:
        return Percentile(None, nothing, str(reason))
    control_T = np.isfinite(scores.trained_T) & ~scores.member_T
    return Percentile(scores, among_controls(scores.trained_T, scores.site_T, control_T), "")


def among_controls(score_T: np.ndarray, site_T: np.ndarray, control_T: np.ndarray) -> np.ndarray:
    """Return the share of the site's other controls that each target exceeds (T), ties counted half.

    NaN without a score, or where the site has fewer than `MIN_PEOPLE` other controls.
    """
    out = np.full(len(score_T), np.nan)
    for target in np.flatnonzero(np.isfinite(score_T)):
        others = control_T & (site_T == site_T[target])
        others[target] = False
        if others.sum() >= MIN_PEOPLE:
            delta = score_T[target] - score_T[others]
            out[target] = ((delta > 0) + 0.5 * (delta == 0)).mean()
    return out


def percentile_rows(evidence: Evidence, told: Percentiles) -> list[RiskRow]:
    """Return one row per membership attack: how far above controls the most exposed tenth of members stands."""
    by_name = {attack.name: attack for attack in evidence.attacks}
    return [_row(by_name[name], evidence, found) for name, found in told.items()]


def _row(attack: Attack, evidence: Evidence, found: Percentile) -> RiskRow:
    ctx, where = evidence.ctx, (POOLED, evidence.ctx.members_by, METRIC)
    if found.scores is None:
        return blank(about_worst(attack), where, found.reason)
    scores = found.scores.of(first_ids(evidence.case, found.scores))
    sites = _sites(scores)
    members = sum(len(own) for own, _ in sites)
    if members < TENTH:
        return blank(
            about_worst(attack),
            where,
            f"{members} members with {MIN_PEOPLE} controls at their site, needs {TENTH}",
        )
    rng = np.random.default_rng(seed_for(ctx.seed, "risk", attack.name, METRIC))
    fresh = _sites(Scores(scores.fresh_T, scores.fresh_T, scores.site_T, scores.member_T, scores.several_T))
    notes = (
        "mean of the tenth of members with the highest percentile",
        f"{members} members, {sum(len(other) for _, other in sites)} controls",
        "baseline: members and controls shuffled within sites",
        "control: the same attack where nothing was trained",
        "no ceiling is derived for people picked by their scores",
        ctx.declared,
    )
    value = _estimate(sites, ctx.bootstrap, rng)
    row = measured(about_worst(attack), where, value, _worst(fresh), _shuffled(sites, rng), value.n, notes)
    if value.ci95[1] - value.ci95[0] > 1e-12:
        return row
    # A bootstrap whose every draw agrees claims a certainty that a few people can't give.
    return replace(row, ci95=None, notes=f"{row.notes}; no interval: every resample gives the same figure")


Sites = list[tuple[np.ndarray, np.ndarray]]
"""Scores of members and of controls, per site that has enough of both."""


def _sites(scores: Scores) -> Sites:
    known = np.isfinite(scores.trained_T)
    out = []
    for site in np.unique(scores.site_T):
        own = known & (scores.site_T == site)
        members, controls = scores.trained_T[own & scores.member_T], scores.trained_T[own & ~scores.member_T]
        if len(members) and len(controls) >= MIN_PEOPLE:
            out.append((members, controls))
    return out


def _wins(members: np.ndarray, controls: np.ndarray) -> np.ndarray:
    delta = members[:, None] - controls[None, :]
    return np.asarray((delta > 0) + 0.5 * (delta == 0))


def _worst(sites: Sites) -> float:
    return tenth(np.concatenate([_wins(*site).mean(axis=1) for site in sites]))


def _shuffled(sites: Sites, rng: np.random.Generator) -> float:
    """Return what the figure would be if membership said nothing about scores."""
    values = []
    for _ in range(_SHUFFLES):
        mixed = [(rng.permutation(np.concatenate(site)), len(site[0])) for site in sites]
        values.append(_worst([(both[:m], both[m:]) for both, m in mixed]))
    return float(np.mean(values))


def _estimate(sites: Sites, bootstrap: int, rng: np.random.Generator) -> Estimate:
    """Estimate the worst tenth; members and controls are resampled, within their site."""
    value, parts = _worst(sites), []
    for members, controls in sites:
        win_MC = _wins(members, controls)
        share_BM = resamples(len(controls), bootstrap, rng) @ win_MC.T / len(controls)
        drawn_BM = rng.integers(len(members), size=share_BM.shape)
        parts.append(np.take_along_axis(share_BM, drawn_BM, axis=1))
    drawn_BP = np.sort(np.concatenate(parts, axis=1), axis=1)
    people = drawn_BP.shape[1]
    low, high = percentile(drawn_BP[:, -tenth_of(people) :].mean(axis=1))
    n = people + sum(len(controls) for _, controls in sites)
    return Estimate(value, (min(low, value), max(high, value)), n)
