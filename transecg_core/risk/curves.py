"""What follows from where the right person stands: rank-k, average precision, smaller galleries, d'.

Ties are broken at random, and every figure is the expectation over that: an encoder that maps
everybody to one point gets what guessing gets, not 1.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln

from transecg_core.risk.estimate import Estimate, percentile, resamples
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.standing import Standing

_FLAT = 1e-18


def first_k(standing: Standing, k: int) -> np.ndarray:
    """Return each query's chance (K,) that the right person is among the `k` best."""
    return np.clip((k - standing.above_K) / (1 + standing.ties_K), 0.0, 1.0)


def average_precision(standing: Standing) -> np.ndarray:
    """Return each query's average precision (K,): with one right person, the mean of 1 / rank.

    The rank is anything from above + 1 to above + ties + 1, each as likely: a difference of
    harmonic numbers.
    """
    first_K = standing.above_K + 1.0
    return (digamma(first_K + standing.ties_K + 1) - digamma(first_K)) / (1.0 + standing.ties_K)


def guessed_precision(rivals_K: np.ndarray) -> np.ndarray:
    """Return the average precision (K,) of a guess: the right person at any rank."""
    return (digamma(rivals_K + 2.0) - digamma(1.0)) / (rivals_K + 1.0)


def first_among(standing: Standing, people: int) -> np.ndarray:
    """Return each query's chance (K,) of coming first in a random gallery of `people` of those enrolled.

    The right person and ``people - 1`` of the n impostors, drawn without replacement: first where none of
    the i impostors ranked higher is drawn, C(n - i, people - 1) / C(n, people - 1), the mean over the
    ranks that the ties allow (their sum telescopes). NaN where there are fewer impostors.
    """
    n_K, others = standing.rivals_K.astype(np.float64), people - 1
    free_K = n_K - standing.above_K
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = _log_choose(n_K, others)
        untied = np.exp(_log_choose(free_K, others) - whole)
        below = np.where(
            free_K - standing.ties_K >= people, _log_choose(free_K - standing.ties_K, people), -np.inf
        )
        tied = np.exp(_log_choose(free_K + 1, people) - whole) - np.exp(below - whole)
        chance_K = np.where(standing.ties_K == 0, untied, tied / (1.0 + standing.ties_K))
    return np.where(n_K >= others, chance_K, np.nan)


def _log_choose(n: np.ndarray, k: int) -> np.ndarray:
    """Return log C(n, k), -inf for n < k."""
    safe = np.maximum(n, k)
    return np.where(n >= k, gammaln(safe + 1.0) - gammaln(k + 1.0) - gammaln(safe - k + 1.0), -np.inf)


def separation(moments_B4: np.ndarray) -> np.ndarray:
    """Return d' (B,): the distance of the mean scores in units of their root mean variance."""
    genuine, genuine2, impostor, impostor2 = moments_B4.T
    variance = (genuine2 - genuine**2 + impostor2 - impostor**2) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        distance: np.ndarray = (genuine - impostor) / np.sqrt(variance)
    return np.where(variance > _FLAT, distance, np.nan)


def separation_estimate(moments_P4: np.ndarray, bootstrap: int, rng: np.random.Generator) -> Estimate:
    """Estimate d' by resampling people on the fixed gallery.

    Raises
    ------
    NotMeasurable
        If all scores are equal.
    """
    n = len(moments_P4)
    value = float(separation(moments_P4.mean(axis=0, keepdims=True))[0])
    if np.isnan(value):
        raise NotMeasurable("all scores are equal")
    draws = separation(resamples(n, bootstrap, rng) @ moments_P4 / n)
    low, high = percentile(draws[np.isfinite(draws)])
    return Estimate(value, (min(low, value), max(high, value)), n)
