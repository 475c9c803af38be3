"""Rows of kind C from K audit models of the recipe: each attacked in turn, and the released one by all.

*Leave one model out*: audit model k stands in for the released one, the K - 1 others are the attacker's
references. Whose coin fell on training model k is known, so every person is judged K times, about
half of them as a member. That is the risk of the recipe, on average over whom it is trained on; the
row of the released model is about that one model. The references of model k tell nothing about its
coins, because all coins are independent.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.cases import Case
from transecg_core.risk.context import DECLARED, AuditContext
from transecg_core.risk.estimate import MIN_PEOPLE, Estimate, percentile, resamples, wilson
from transecg_core.risk.evidence import Evidence
from transecg_core.risk.findings import Findings
from transecg_core.risk.membership import (
    METRICS,
    TPR_METRIC,
    Figure,
    Scores,
    ceiling_for,
    larger_share,
    no_controls,
    pair_share,
    rows_of,
    scores_of,
)
from transecg_core.risk.references import References
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.table import blank, measured
from transecg_core.risk.thresholds import FPR, MIN_CONTROLS, half_threshold_hits, halvable
from transecg_core.seeds import seed_for

LEAVE_ONE_OUT = "leave-one-model-out"
"""Protocol of the rows about the recipe."""


def shadow_membership(attack: Attack, evidence: Evidence) -> Findings:
    """Run one attack on every audit model and on the released one; return its rows per site and pooled."""
    ctx, case, held = evidence.ctx, evidence.case, evidence.held
    try:
        if (why := _none(ctx)) is not None:
            raise NotMeasurable(why)
        trained, starts = held["audit-models"], held["audit-starts"]
        every = Everybody(
            leave_one_out(attack, held, trained),
            leave_one_out(attack, held, starts),
            trained.trained_RT,
            case,
        )
    except NotMeasurable as reason:
        return Findings([blank(attack, (POOLED, LEAVE_ONE_OUT, metric), str(reason)) for metric in METRICS])
    arms: list[tuple[str, tuple[str, ...], Everybody]] = [
        (name, (name,), every.of(case.targets.site_T == i)) for i, name in enumerate(case.site_names)
    ]
    arms.append((POOLED, case.site_names, every.of(every.first_ids())))
    rows = [_row(attack, ctx, (site, LEAVE_ONE_OUT, "AUC"), sites, own) for site, sites, own in arms]
    rows.append(_row(attack, ctx, (POOLED, LEAVE_ONE_OUT, TPR_METRIC), case.site_names, arms[-1][2]))
    return Findings(rows + _released(attack, ctx, case, held))


def _none(ctx: AuditContext) -> str | None:
    """Return why there are no audit models; None if there are."""
    if (why := no_controls(ctx)) is not None:
        return why
    if ctx.audit_models is not None:
        return None
    if ctx.members_by == DECLARED:
        return "audit models need the recipe, which is not known of a model from elsewhere"
    return "no audit models were trained (profile=full trains 16, or audit-models=16)"


def leave_one_out(attack: Attack, held: Mapping[str, Any], known: References) -> np.ndarray:
    """Return every audit model's scores (K, T), each by an attacker who holds all the others."""
    scores = []
    for k, model in enumerate(known.models):
        swapped = ChainMap({"released-model": model, "audit-models": known.without(k)}, held)  # type: ignore[arg-type]
        scores.append(attack.run(Given(attack.artefacts, swapped)))
    return np.stack(scores)


def _released(attack: Attack, ctx: AuditContext, case: Case, held: Mapping[str, Any]) -> list[RiskRow]:
    """Return the rows of the released model, with all audit models as references."""
    start = held["architecture" if ctx.start_model is None else "start"]
    fresh = ChainMap({"released-model": start, "audit-models": held["audit-starts"]}, held)  # type: ignore[arg-type]
    try:
        trained_T, fresh_T = (attack.run(Given(attack.artefacts, own)) for own in (held, fresh))
    except NotMeasurable as reason:
        return [blank(attack, (POOLED, ctx.members_by, metric), str(reason)) for metric in METRICS]
    scores = scores_of(case, trained_T, fresh_T)
    return rows_of(attack, ctx, case, scores)


@dataclass(frozen=True)
class Everybody:
    """Scores (K, T) of every target on every audit model, in both arms, and who trained which (1, 0, NaN)."""

    trained_KT: np.ndarray
    fresh_KT: np.ndarray
    member_KT: np.ndarray
    case: Case
    kept_T: np.ndarray | None = None

    @property
    def usable_KT(self) -> np.ndarray:
        """Whether a score counts: finite in both arms, of somebody who trained or did not."""
        arrays = (self.trained_KT, self.fresh_KT, self.member_KT)
        usable: np.ndarray = np.logical_and.reduce([np.isfinite(values_KT) for values_KT in arrays])
        return usable if self.kept_T is None else usable & self.kept_T

    def of(self, kept_T: np.ndarray) -> Everybody:
        """Return the same with some of the targets."""
        return Everybody(self.trained_KT, self.fresh_KT, self.member_KT, self.case, kept_T)

    def first_ids(self) -> np.ndarray:
        """Return a mask (T,) that keeps one id per person, so that nobody counts twice when pooled."""
        usable = np.flatnonzero(self.usable_KT.any(axis=0))
        keep_T = np.zeros(self.trained_KT.shape[1], dtype=bool)
        _, first = np.unique(self.case.person_T[usable], return_index=True)
        keep_T[usable[first]] = True
        return keep_T

    def scores(self, k: int) -> Scores:
        """Return one model's usable scores as `membership` takes them."""
        several_T = self.case.people.units_C[self.case.person_T] > 1
        site_T, member_T = self.case.targets.site_T, self.member_KT[k] == 1.0
        found = Scores(self.trained_KT[k], self.fresh_KT[k], site_T, member_T, several_T)
        return found.of(self.usable_KT[k])

    def people(self) -> int:
        """Return how many people have a usable score on some model."""
        return len(np.unique(self.case.person_T[self.usable_KT.any(axis=0)]))


def _row(
    attack: Attack, ctx: AuditContext, where: tuple[str, str, str], sites: tuple[str, ...], own: Everybody
) -> RiskRow:
    rng = np.random.default_rng(seed_for(ctx.seed, "risk", attack.name, *where))
    try:
        got = (_auc if where[2] == "AUC" else _tpr)(own, ctx.bootstrap, rng)
    except NotMeasurable as reason:
        return blank(attack, where, str(reason))
    ceiling, why = ceiling_for(ctx, sites, got.uncovered, where[2], got.fpr)
    members = own.usable_KT & (own.member_KT == 1.0)
    notes = (
        f"{len(own.trained_KT)} audit models, each attacked with the others as references",
        f"risk of the recipe at {members.sum(axis=1).mean():.1f} members",
        *got.notes,
        "intervals over people, for these models: how models differ is not in them",
        "control: the same attack on the models' starts",
        why,
    )
    return measured(attack, where, got.found, got.control, got.baseline, got.found.n, notes, ceiling)


@dataclass(frozen=True)
class _Pairs:
    """Within-site comparisons of one site's people (P, P), summed over models: row trained, column didn't."""

    win_PP: np.ndarray
    count_PP: np.ndarray


def _pairs(own: Everybody, score_KT: np.ndarray) -> list[_Pairs]:
    usable_KT, pairs = own.usable_KT, []
    for site in np.unique(own.case.targets.site_T):
        here = np.flatnonzero((own.case.targets.site_T == site) & usable_KT.any(axis=0))
        win_PP, count_PP = np.zeros((2, len(here), len(here)))
        for score_T, member_T, usable_T in zip(score_KT, own.member_KT, usable_KT, strict=True):
            score, member, usable = score_T[here], member_T[here], usable_T[here]
            asked = np.outer(usable & (member == 1.0), usable & (member == 0.0))
            delta = np.where(usable, score, 0.0)[:, None] - np.where(usable, score, 0.0)[None, :]
            win_PP += asked * ((delta > 0) + 0.5 * (delta == 0))
            count_PP += asked
        if count_PP.any():
            pairs.append(_Pairs(win_PP, count_PP))
    return pairs


def _area(pairs: list[_Pairs]) -> float:
    return float(sum(p.win_PP.sum() for p in pairs) / sum(p.count_PP.sum() for p in pairs))


def _area_draws(pairs: list[_Pairs], bootstrap: int, rng: np.random.Generator) -> np.ndarray:
    """Return bootstrap draws (B,): the people of each site are drawn anew, with all their models."""
    won_B, count_B = np.zeros((2, bootstrap))
    for p in pairs:
        weight_BP = resamples(len(p.win_PP), bootstrap, rng)
        won_B += ((weight_BP @ p.win_PP) * weight_BP).sum(axis=1)
        count_B += ((weight_BP @ p.count_PP) * weight_BP).sum(axis=1)
    drawn: np.ndarray = won_B[count_B > 0] / count_B[count_B > 0]
    return drawn


def _auc(own: Everybody, bootstrap: int, rng: np.random.Generator) -> Figure:
    """Estimate the AUC over member-control pairs of one model and one site each."""
    pairs = _pairs(own, own.trained_KT)
    people = own.people()
    if people < 2 * MIN_PEOPLE or not pairs:
        raise NotMeasurable(
            f"{people} people with scores on the audit models, and {2 * MIN_PEOPLE} are needed"
        )
    seed = int(rng.integers(2**62))
    fresh = _pairs(own, own.fresh_KT)
    # The same generator: the same people are drawn for both arms, so the difference is paired.
    draws, others = (_area_draws(p, bootstrap, np.random.default_rng(seed)) for p in (pairs, fresh))
    value, control = _area(pairs), _area(fresh)
    low, high = percentile(draws)
    if high - low < 1e-12:
        low, high = wilson(value * (people // 2), people // 2)
    less, more = percentile(draws - others)
    said = f"minus control: {value - control:+.3f} [{less:+.3f}, {more:+.3f}]"
    found = Estimate(value, (min(low, value), max(high, value)), people)
    uncovered = max(pair_share(own.scores(k)) for k in range(len(own.trained_KT)))
    return Figure(found, control, 0.5, (said, "pairs within a site"), uncovered)


def _tpr(own: Everybody, bootstrap: int, rng: np.random.Generator) -> Figure:
    """Estimate the mean TPR at 5 % FPR; each model's thresholds come from controls that are not tested."""
    seed = int(rng.integers(2**62))
    hits, fresh, rates, shares, few = [], [], [], [], 0
    for k in range(len(own.trained_KT)):
        scores = own.scores(k)
        keep = halvable(scores)
        scores, at = scores.of(keep), np.flatnonzero(own.usable_KT[k])[keep]
        members = scores.member_T
        if (~members).sum() < MIN_CONTROLS or members.sum() < MIN_PEOPLE:
            few += 1
            continue
        hit_ST = half_threshold_hits(scores.trained_T, scores, np.random.default_rng(seed))
        base_ST = half_threshold_hits(scores.fresh_T, scores, np.random.default_rng(seed))
        rates.append(np.nanmean(hit_ST[:, ~members]))
        shares.append(larger_share(scores.several_T, members))
        hits.append(_of_members(hit_ST, members, at, own.trained_KT.shape[1]))
        fresh.append(base_ST[:, members].sum(axis=1).mean())
    if len(hits) <= few:
        raise NotMeasurable(
            f"{few} of {few + len(hits)} audit models have fewer than {MIN_CONTROLS} controls, "
            f"needed for a threshold at {FPR:.0%} FPR"
        )
    hit_KST = np.stack(hits)
    there_KT = np.isfinite(hit_KST[:, 0])
    value = float(np.nanmean(hit_KST.mean(axis=1)[there_KT]))
    draws = _rate_draws(hit_KST, there_KT, bootstrap, rng)
    low, high = percentile(draws)
    people = int(there_KT.any(axis=0).sum())
    if high - low < 1e-12:
        low, high = wilson(value * people, people)
    said = (
        f"thresholds from one random half of a model's controls, tested on the other, {hit_KST.shape[1]} times",
        f"realised FPR {np.mean(rates):.3f}",
        f"{few} models left out, for want of {MIN_CONTROLS} controls" if few else "",
    )
    control = float(np.sum(fresh) / there_KT.sum())
    found = Estimate(value, (min(low, value), max(high, value)), people)
    return Figure(found, control, FPR, tuple(filter(None, said)), max(shares), float(np.mean(rates)))


def _of_members(hit_ST: np.ndarray, members: np.ndarray, at: np.ndarray, count: int) -> np.ndarray:
    """Return who exceeds each threshold (S, all targets), NaN but for the model's members."""
    out_ST = np.full((len(hit_ST), count), np.nan)
    out_ST[:, at[members]] = hit_ST[:, members]
    return out_ST


def _rate_draws(
    hit_KST: np.ndarray, there_KT: np.ndarray, bootstrap: int, rng: np.random.Generator
) -> np.ndarray:
    """Return bootstrap draws (B,) of the TPR; a draw takes people anew, and one threshold of each model."""
    own = np.flatnonzero(there_KT.any(axis=0))
    weight_BP = resamples(len(own), bootstrap, rng)
    won_B, count_B = np.zeros((2, bootstrap))
    for hit_ST, there_T in zip(hit_KST, there_KT, strict=True):
        split_B = rng.integers(len(hit_ST), size=bootstrap)
        won_B += (np.nan_to_num(hit_ST[:, own])[split_B] * weight_BP).sum(axis=1)
        count_B += weight_BP @ there_T[own]
    drawn: np.ndarray = won_B[count_B > 0] / count_B[count_B > 0]
    return drawn
