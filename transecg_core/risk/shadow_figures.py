"""Figures of a recipe from K audit models, with intervals over people and over models.

People and models are crossed: everybody is judged on every model. Both are drawn anew, each resample's
weights multiplied (the pigeonhole bootstrap, Owen, Ann. Appl. Stat. 1, 2007). It counts what is noise of
one person on one model up to three times, so where models hardly differ it errs on the wide side.
K - 1 of K models are drawn, because K drawn from K vary too little. What it can't see is that models also
serve as each other's references: where the recipe gives away much more in some models than in others, K = 16
gave intervals that held the truth in about 9 samples of 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transecg_core.risk.cases import Case
from transecg_core.risk.estimate import (
    MIN_PEOPLE,
    Estimate,
    Interval,
    PairWins,
    percentile,
    resamples,
    wilson,
)
from transecg_core.risk.membership import Figure, Scores, larger_share, pair_share
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.thresholds import FPR, MIN_CONTROLS, half_threshold_hits, halvable


@dataclass(frozen=True)
class RecipeFigure(Figure):
    """A figure of the recipe; `models` says how it differs from model to model."""

    models: str = ""


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


def model_draws(models: int, bootstrap: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each model is drawn in each resample (B, K); one fewer than there are."""
    return rng.multinomial(max(1, models - 1), np.full(models, 1.0 / models), size=bootstrap).astype(float)


@dataclass(frozen=True)
class _Drawn:
    """How often everybody (B, T), drawn within their site, and every model (B, K) is drawn."""

    weight_BT: np.ndarray
    weight_BK: np.ndarray

    @classmethod
    def of(cls, own: Everybody, bootstrap: int, rng: np.random.Generator) -> _Drawn:
        there_T, site_T = own.usable_KT.any(axis=0), own.case.targets.site_T
        weight_BT = np.zeros((bootstrap, own.trained_KT.shape[1]))
        for site in np.unique(site_T[there_T]):
            here = np.flatnonzero(there_T & (site_T == site))
            weight_BT[:, here] = resamples(len(here), bootstrap, rng)
        return cls(weight_BT, model_draws(len(own.trained_KT), bootstrap, rng))


@dataclass(frozen=True)
class _Area:
    """Area under the ROC over all models' within-site pairs, of each model (K, NaN without pairs), and drawn (B)."""

    value: float
    value_K: np.ndarray
    drawn_B: np.ndarray


def _area(own: Everybody, score_KT: np.ndarray, drawn: _Drawn) -> _Area:
    models, site_T = len(score_KT), own.case.targets.site_T
    found_2K, found_2B = np.zeros((2, models)), np.zeros((2, len(drawn.weight_BT)))
    for k, usable_T in enumerate(own.usable_KT):
        for site in np.unique(site_T[usable_T]):
            here_T = usable_T & (site_T == site)
            trained, rest = (np.flatnonzero(here_T & (own.member_KT[k] == code)) for code in (1.0, 0.0))
            win_MC = PairWins.of(score_KT[k, trained], score_KT[k, rest]).win_MC
            weight_BM, weight_BC = drawn.weight_BT[:, trained], drawn.weight_BT[:, rest]
            found_2K[:, k] += win_MC.sum(), win_MC.size
            won_B = ((weight_BM @ win_MC) * weight_BC).sum(axis=1)
            pairs_B = weight_BM.sum(axis=1) * weight_BC.sum(axis=1)
            found_2B += drawn.weight_BK[:, k] * np.stack([won_B, pairs_B])
    (won_K, pairs_K), (won_B, pairs_B) = found_2K, found_2B
    if not pairs_K.any():
        raise NotMeasurable("no audit model has both members and others with a score at one site")
    value_K = np.divide(won_K, pairs_K, out=np.full(models, np.nan), where=pairs_K > 0)
    drawn_B = np.divide(won_B, pairs_B, out=np.full(len(won_B), np.nan), where=pairs_B > 0)
    return _Area(float(won_K.sum() / pairs_K.sum()), value_K, drawn_B)


def _interval(drawn_B: np.ndarray, value: float, n: int) -> Interval:
    """Return the percentile interval, or Wilson's where all draws agree; the figure is always inside."""
    low, high = percentile(drawn_B[np.isfinite(drawn_B)])
    if high - low < 1e-12:
        low, high = wilson(value * n, n)
    return min(low, value), max(high, value)


def _spread(value_K: np.ndarray) -> str:
    known_K = value_K[np.isfinite(value_K)]
    return f"single models: {known_K.min():.3f} to {known_K.max():.3f}"


def recipe_auc(own: Everybody, bootstrap: int, rng: np.random.Generator) -> RecipeFigure:
    """Estimate the AUC over member-control pairs of one model and one site each.

    Raises
    ------
    NotMeasurable
        With fewer than ten people, or no pair.
    """
    people = own.people()
    if people < 2 * MIN_PEOPLE:
        raise NotMeasurable(
            f"{people} people with scores on the audit models, and {2 * MIN_PEOPLE} are needed"
        )
    # The same people and models are drawn for both arms, so the difference is paired.
    drawn = _Drawn.of(own, bootstrap, rng)
    area, fresh = _area(own, own.trained_KT, drawn), _area(own, own.fresh_KT, drawn)
    less, more = percentile((area.drawn_B - fresh.drawn_B)[np.isfinite(area.drawn_B)])
    said = f"minus control: {area.value - fresh.value:+.3f} [{less:+.3f}, {more:+.3f}]"
    found = Estimate(area.value, _interval(area.drawn_B, area.value, people // 2), people)
    uncovered = max(pair_share(own.scores(k)) for k in range(len(own.trained_KT)))
    notes = (said, "pairs within a site")
    return RecipeFigure(found, fresh.value, 0.5, notes, uncovered, models=_spread(area.value_K))


def recipe_tpr(own: Everybody, bootstrap: int, rng: np.random.Generator) -> RecipeFigure:
    """Estimate the mean TPR at 5 % FPR; each model's thresholds come from controls that are not tested.

    Raises
    ------
    NotMeasurable
        If half of the models, or more, have too few controls or members.
    """
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
    value_K = np.array(
        [hit_ST.mean(axis=0)[there_T].mean() for hit_ST, there_T in zip(hit_KST, there_KT, strict=True)]
    )
    value = float(np.average(value_K, weights=there_KT.sum(axis=1)))
    people = int(there_KT.any(axis=0).sum())
    interval = _interval(_rate_draws(hit_KST, there_KT, bootstrap, rng), value, people)
    said = (
        f"thresholds from one random half of a model's controls, tested on the other, {hit_KST.shape[1]} times",
        f"realised FPR {np.mean(rates):.3f}",
        f"{few} models left out, for want of {MIN_CONTROLS} controls" if few else "",
    )
    control = float(np.sum(fresh) / there_KT.sum())
    notes, rate = tuple(filter(None, said)), float(np.mean(rates))
    found = Estimate(value, interval, people)
    return RecipeFigure(found, control, FPR, notes, max(shares), rate, _spread(value_K))


def _of_members(hit_ST: np.ndarray, members: np.ndarray, at: np.ndarray, count: int) -> np.ndarray:
    """Return who exceeds each threshold (S, all targets), NaN but for the model's members."""
    out_ST = np.full((len(hit_ST), count), np.nan)
    out_ST[:, at[members]] = hit_ST[:, members]
    return out_ST


def _rate_draws(
    hit_KST: np.ndarray, there_KT: np.ndarray, bootstrap: int, rng: np.random.Generator
) -> np.ndarray:
    """Return bootstrap draws (B,) of the TPR; a draw takes people and models anew, and one threshold of each model."""
    own = np.flatnonzero(there_KT.any(axis=0))
    weight_BP, weight_BK = resamples(len(own), bootstrap, rng), model_draws(len(hit_KST), bootstrap, rng)
    won_B, count_B = np.zeros((2, bootstrap))
    for k, (hit_ST, there_T) in enumerate(zip(hit_KST, there_KT, strict=True)):
        split_B = rng.integers(len(hit_ST), size=bootstrap)
        won_B += weight_BK[:, k] * (np.nan_to_num(hit_ST[:, own])[split_B] * weight_BP).sum(axis=1)
        count_B += weight_BK[:, k] * (weight_BP @ there_T[own])
    drawn: np.ndarray = won_B[count_B > 0] / count_B[count_B > 0]
    return drawn
