"""Rows of kind C: who was in training, judged by independent coins or by what somebody declares."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.cases import Case
from transecg_core.risk.ceilings import combined_ceiling
from transecg_core.risk.context import COINS, AuditContext
from transecg_core.risk.estimate import (
    MIN_PEOPLE,
    Estimate,
    PairWins,
    auc,
    auc_draws,
    auc_estimate,
    percentile,
    resamples,
    wilson,
)
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.table import blank, measured
from transecg_core.risk.thresholds import FPR, MIN_CONTROLS, half_threshold_hits, halvable
from transecg_core.seeds import seed_for

TPR_METRIC = f"TPR@{FPR:.0%}FPR"
METRICS = ("AUC", TPR_METRIC)


def no_controls(ctx: AuditContext) -> str | None:
    """Return why members can't be compared with people held out of training; None if they can."""
    if ctx.strangers:
        return "the server holds none of the participants' ECG"
    if ctx.undeclared:
        return "nobody says whom the model was trained on (declare them with --members)"
    if not ctx.membership:
        return "nobody was held out of training (audit-split=none), so there are no controls"
    return None


@dataclass(frozen=True)
class Scores:
    """One membership score per person and arm; only people with a finite score in both."""

    trained_T: np.ndarray
    fresh_T: np.ndarray
    site_T: np.ndarray
    member_T: np.ndarray
    several_T: np.ndarray

    def of(self, keep_T: np.ndarray) -> Scores:
        """Return some of the people."""
        return Scores(*(getattr(self, name)[keep_T] for name in self.__dataclass_fields__))


def membership_rows(attack: Attack, ctx: AuditContext, case: Case, held: Mapping[str, Any]) -> list[RiskRow]:
    """Run one membership attack on the trained and on a fresh model; return its rows per site and pooled."""
    try:
        if (why := no_controls(ctx)) is not None:
            raise NotMeasurable(why)
        return rows_of(attack, ctx, case, scored(attack, case, held))
    except NotMeasurable as reason:
        return [blank(attack, (POOLED, ctx.members_by, metric), str(reason)) for metric in METRICS]


def rows_of(
    attack: Attack, ctx: AuditContext, case: Case, scores: Scores, control: str = "where nothing was trained"
) -> list[RiskRow]:
    """Return the rows per site and pooled; `control` says what the other arm's attack was run on."""
    by, pooled = ctx.members_by, scores.of(first_ids(case, scores))
    arms: list[tuple[str, tuple[str, ...], Scores]] = [
        (name, (name,), scores.of(scores.site_T == i)) for i, name in enumerate(case.site_names)
    ]
    arms.append((POOLED, case.site_names, pooled))
    rows = []
    for site, sites, own in arms:
        rows.append(_row(attack, ctx, (site, by, "AUC"), sites, own, case.duplicates, _auc))
    rows.append(_row(attack, ctx, (POOLED, by, TPR_METRIC), case.site_names, pooled, case.duplicates, _tpr))
    said = f"control: the same attack {control}"
    return [row if row.main is None else replace(row, notes=f"{row.notes}; {said}") for row in rows]


@dataclass(frozen=True)
class Figure:
    """An estimate with its no-training control and what to say about it.

    `uncovered` is the share of what it is a mean over that no one site's ceiling holds for;
    `fpr` the false positive rate that a TPR was realised at.
    """

    found: Estimate
    control: float
    baseline: float
    notes: tuple[str, ...]
    uncovered: float
    fpr: float = FPR


def _row(
    attack: Attack,
    ctx: AuditContext,
    where: tuple[str, str, str],
    sites: tuple[str, ...],
    scores: Scores,
    duplicates: int,
    figure: Callable[[Scores, int, np.random.Generator], Figure],
) -> RiskRow:
    scores = scores.of(np.isfinite(scores.trained_T))
    # One seed whoever says who trained: the same people give the same figures.
    rng = np.random.default_rng(seed_for(ctx.seed, "risk", attack.name, where[0], COINS, where[2]))
    try:
        got = figure(scores, ctx.bootstrap, rng)
    except NotMeasurable as reason:
        return blank(attack, where, str(reason))
    ceiling, why = ceiling_for(ctx, sites, got.uncovered, where[2], got.fpr)
    merged = "people count as another whose recordings they hold; left out if only one of the ids trained"
    warning = f"{duplicates} {merged}" if duplicates else None
    pooled = "a person at two sites counts once" if where[0] == POOLED else None
    notes = (*got.notes, pooled, ctx.declared, why, warning)
    return measured(attack, where, got.found, got.control, got.baseline, got.found.n, notes, ceiling)


def scored(attack: Attack, case: Case, held: Mapping[str, Any]) -> Scores:
    """Return one attack's score of every target, on the trained and on a fresh model."""
    trained_T = attack.run(Given(attack.artefacts, held))
    # The same attack where nobody here was trained on: the start, else the architecture, in the model's place.
    start = held["start" if "start" in held else "architecture"]
    fresh = ChainMap({"released-model": start}, held)  # type: ignore[arg-type]
    return scores_of(case, trained_T, attack.run(Given(attack.artefacts, fresh)))


def scores_of(case: Case, trained_T: np.ndarray, fresh_T: np.ndarray) -> Scores:
    """Return both arms' scores with what is known of each target; NaN in one arm is NaN in both."""
    people = case.people
    member_T, control_T = people.member_C[case.person_T], people.control_C[case.person_T]
    usable_T = np.isfinite(trained_T) & np.isfinite(fresh_T) & (member_T | control_T)
    blind = np.where(usable_T, 0.0, np.nan)
    several_T = people.units_C[case.person_T] > 1
    return Scores(trained_T + blind, fresh_T + blind, case.targets.site_T, member_T, several_T)


def first_ids(case: Case, scores: Scores) -> np.ndarray:
    """Return a mask that keeps one usable id per person, so that nobody counts twice when pooled."""
    usable = np.flatnonzero(np.isfinite(scores.trained_T))
    keep = np.zeros(len(scores.trained_T), dtype=bool)
    _, first = np.unique(case.person_T[usable], return_index=True)
    keep[usable[first]] = True
    return keep


def wins_of(score_T: np.ndarray, scores: Scores) -> list[PairWins]:
    """Return the member-control comparisons of each site that has both."""
    wins = []
    for site in np.unique(scores.site_T):
        own = scores.site_T == site
        pair = PairWins.of(score_T[own & scores.member_T], score_T[own & ~scores.member_T])
        if pair.win_MC.size:
            wins.append(pair)
    return wins


def _auc(scores: Scores, bootstrap: int, rng: np.random.Generator) -> Figure:
    """Estimate the AUC over member-control pairs of one site each."""
    wins = wins_of(scores.trained_T, scores)
    members = sum(w.win_MC.shape[0] for w in wins)
    controls = sum(w.win_MC.shape[1] for w in wins)
    if min(members, controls) < MIN_PEOPLE:
        needed = f"needs {MIN_PEOPLE} members and {MIN_PEOPLE} controls with a score at the same site"
        there = f"{int(scores.member_T.sum())} members and {int((~scores.member_T).sum())} controls"
        raise NotMeasurable(f"{needed}; there are {there}")
    seed = int(rng.integers(2**62))
    found = auc_estimate(wins, bootstrap, np.random.default_rng(seed))
    fresh = wins_of(scores.fresh_T, scores)
    # The same generator: the same people are drawn for both arms, so the difference is paired.
    draws = [auc_draws(w, bootstrap, np.random.default_rng(seed)) for w in (wins, fresh)]
    low, high = percentile(draws[0] - draws[1])
    control = auc(fresh)
    notes = (
        f"{members} members, {controls} controls",
        f"minus control: {found.value - control:+.3f} [{low:+.3f}, {high:+.3f}]",
        "pairs within a site",
    )
    return Figure(found, control, 0.5, notes, pair_share(scores))


def larger_share(several_T: np.ndarray, member_T: np.ndarray) -> float:
    """Return the larger of the members' and the controls' share of people in several training units.

    The ceiling grows with that share, so the larger one holds for both.
    """
    groups = [several_T[member_T], several_T[~member_T]]
    return max((float(group.mean()) for group in groups if len(group)), default=0.0)


def pair_share(scores: Scores) -> float:
    """Return the mean over sites of `larger_share`, each weighed by its pairs, as it weighs in an AUC.

    A site's ceiling on the AUC is concave in its share u, 1 - (1 - u)^2 (1 - AUC_0), so the
    ceiling at the mean share is no less than the mean of the sites' ceilings.
    """
    pairs, shared = 0, 0.0
    for site in np.unique(scores.site_T):
        own = scores.of(scores.site_T == site)
        count = int(own.member_T.sum()) * int((~own.member_T).sum())
        pairs, shared = pairs + count, shared + count * larger_share(own.several_T, own.member_T)
    return shared / pairs if pairs else 0.0


def ceiling_for(
    ctx: AuditContext, sites: tuple[str, ...], uncovered: float, metric: str, fpr: float = FPR
) -> tuple[float | None, str | None]:
    """Return the ceiling of a C metric (AUC, TPR, else the advantage) and what to say about it.

    A TPR's is read at `fpr`, the false positive rate that was realised, or at 5 % if that is more.
    """
    if ctx.ceilings is None:
        return None, None
    missing = [site for site in sites if site not in ctx.ceilings]
    if missing:
        return None, f"no ceiling: {', '.join(missing)} trained without a guarantee"
    curve = combined_ceiling([ctx.ceilings[site] for site in sites], uncovered)
    if curve is None:
        return None, "no ceiling: everybody here is at two sites or trained under two ids"
    value = {"AUC": curve.auc, TPR_METRIC: lambda: curve.tpr_at(max(FPR, fpr))}.get(metric, curve.advantage)()
    why = (
        f"ceiling assumes nothing about the {uncovered:.0%} at two sites or trained under two ids"
        if uncovered
        else None
    )
    return min(1.0, value), why


def _tpr(scores: Scores, bootstrap: int, rng: np.random.Generator) -> Figure:
    """Estimate the TPR at 5 % FPR; thresholds come from the half of the controls not tested."""
    found = int((~scores.member_T).sum())
    scores = scores.of(halvable(scores))
    members, controls = scores.member_T, ~scores.member_T
    if controls.sum() < MIN_CONTROLS:
        raise NotMeasurable(_few_controls(found, int(controls.sum())))
    if members.sum() < MIN_PEOPLE:
        raise NotMeasurable(f"{int(members.sum())} members with a score, needs {MIN_PEOPLE}")
    seed = int(rng.integers(2**62))
    hit_ST = half_threshold_hits(scores.trained_T, scores, np.random.default_rng(seed))
    fresh_ST = half_threshold_hits(scores.fresh_T, scores, np.random.default_rng(seed))
    estimate = replace(_tpr_estimate(hit_ST[:, members], bootstrap, rng), n=len(members))
    rate = float(np.nanmean(hit_ST[:, controls]))
    notes = (
        f"{int(members.sum())} members, {int(controls.sum())} controls",
        f"threshold from one random half of the controls, tested on the other, {len(hit_ST)} times",
        f"realised FPR {rate:.3f}",
        "scores relative to the site's median control of the first half",
    )
    shared = larger_share(scores.several_T, members)
    return Figure(estimate, float(fresh_ST[:, members].mean()), FPR, notes, shared, rate)


def _few_controls(found: int, usable: int) -> str:
    """Say how many controls there are, and why not all of them can carry a threshold."""
    lost = found - usable
    why = f", {usable} of them usable ({lost} at sites with fewer than 4, two for each half)" if lost else ""
    return f"{found} controls{why}; needs {MIN_CONTROLS} for a threshold at {FPR:.0%} FPR"


def _tpr_estimate(hit_SM: np.ndarray, bootstrap: int, rng: np.random.Generator) -> Estimate:
    """Estimate a TPR; a resample draws the threshold's control split as well as the members."""
    splits, n = hit_SM.shape
    value = float(hit_SM.mean())
    weight_BM = resamples(n, bootstrap, rng)
    draws = (weight_BM * hit_SM[rng.integers(splits, size=bootstrap)]).sum(axis=1) / n
    low, high = percentile(draws)
    if high - low < 1e-12:
        low, high = wilson(value * n, n)
    return Estimate(value, (low, high), n)
