"""The metrics of a linkage attack on some people: value, interval, chance, and how exact it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from transecg_core.risk.curves import guessed_precision, separation, separation_estimate
from transecg_core.risk.estimate import MIN_PEOPLE, Estimate, proportion
from transecg_core.risk.problems import Outcome, Problem
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.verification import eer, enough_pairs, rate_estimate, tar_at

TAR: Mapping[str, float] = {"TAR@5%FAR": 0.05, "TAR@1%FAR": 0.01}
"""Metric -> false accept rate."""
RATES = ("EER", *TAR)
"""Metrics of the error rates' curves."""
MAP, SEPARATION = "mAP", "d'"
COARSE = 0.02
"""A figure that may be off by more than this is no figure."""


def value(found: Outcome, people: np.ndarray, metric: str) -> float | None:
    """Return one metric on some people (bool), or None with too few people or pairs, or no figure."""
    if people.sum() < MIN_PEOPLE:
        return None
    if metric == SEPARATION:
        distance = float(separation(found.moments_P4[people].mean(axis=0, keepdims=True))[0])
        return distance if np.isfinite(distance) else None
    if metric not in RATES:
        return float(shares(found, metric)[people].mean())
    rates = found.rates.of(people)
    if rates.uncertainty(TAR.get(metric)) > COARSE:
        return None
    if metric in TAR and not enough_pairs(rates, TAR[metric]):
        return None
    return float(_of_curves(metric)(*rates.curves(np.ones((1, int(people.sum())))))[0])


def estimate(
    found: Outcome, people: np.ndarray, metric: str, bootstrap: int, rng: np.random.Generator
) -> Estimate:
    """Return one metric on some people with its interval.

    Raises
    ------
    NotMeasurable
        If the scores do not carry it.
    """
    if metric == SEPARATION:
        return separation_estimate(found.moments_P4[people], bootstrap, rng)
    if metric not in RATES:
        return proportion(shares(found, metric)[people], bootstrap, rng)
    rates = found.rates.of(people)
    if rates.uncertainty(TAR.get(metric)) > COARSE:
        raise NotMeasurable("the scores lie too close together for a threshold between them")
    return rate_estimate(rates, _of_curves(metric), bootstrap, rng)


def chance(problem: Problem, people: np.ndarray, metric: str) -> float:
    """Return what guessing gives on some people."""
    if metric == SEPARATION:
        return 0.0
    if metric == MAP:
        return float(problem.per_person(guessed_precision(problem.pairs_K))[people].mean())
    if metric in RATES:
        return TAR.get(metric, 0.5)
    return float(problem.chance(int(metric[5:]))[people].mean())


def shares(found: Outcome, metric: str) -> np.ndarray:
    """Return the per-person values (P,) of a metric that is a mean over people."""
    return found.precision_P if metric == MAP else found.rank_P(int(metric[5:]))


def exactness(found: Outcome, people: np.ndarray, metric: str) -> str | None:
    """Return what to say of a figure for which not every pair, or not every threshold, was counted."""
    if metric not in RATES:
        return None
    rates = found.rates.of(people)
    said = []
    if rates.even:
        said.append(f"off by {rates.uncertainty(TAR.get(metric)):.4f} at most for its even thresholds")
    if rates.counted_P.sum() < rates.pairs_P.sum():
        said.append(f"{int(rates.counted_P.sum())} of {int(rates.pairs_P.sum())} impostor pairs counted")
    return ", ".join(said) or None


def _of_curves(metric: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return eer if metric == "EER" else lambda frr, far: tar_at(frr, far, TAR[metric])
