"""Estimates and 95 % intervals whose unit of resampling is the person.

Every function takes *per-person* figures that were computed on a fixed gallery, so a
resample never contains two copies of one person as gallery and impostor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

MIN_PEOPLE = 5
"""Fewest people behind a printed figure."""
_Z = float(norm.ppf(0.975))
_NOTHING = 1e-12
"""Draws closer together than this differ by rounding only."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval and the number of people behind it."""

    value: float
    ci95: Interval
    n: int


def wilson(successes: float, n: int) -> Interval:
    """Return the Wilson score interval of a proportion (`successes` may be fractional)."""
    share = successes / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def resamples(n: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each of `n` people is drawn in each of `count` resamples, (count, n)."""
    return rng.multinomial(n, np.full(n, 1.0 / n), size=count).astype(np.float64)


def percentile(draws_B: np.ndarray, people: int | None = None) -> Interval:
    """Return the 95 % percentile interval of bootstrap draws.

    Parameters
    ----------
    people
        Widen it for a mean of so few: resampling leaves out a factor n / (n - 1) of the variance, and
        the normal's quantile is too small. Source: the expanded percentile interval of Hesterberg 2015,
        "What Teachers Should Know About the Bootstrap", Am. Stat. 69, section 5.
    """
    tail = 0.025 if people is None else expanded_tail(people)
    low, high = np.quantile(draws_B, [tail, 1 - tail])
    return float(low), float(high)


def expanded_tail(people: int) -> float:
    """Return the tail of `percentile` for so few people, .025 or less."""
    if people < 2:
        return 0.0
    return float(norm.cdf(-np.sqrt(people / (people - 1)) * t.ppf(0.975, people - 1)))


def proportion(value_P: np.ndarray, bootstrap: int, rng: np.random.Generator) -> Estimate:
    """Estimate the mean of per-person success shares in [0, 1].

    Wilson where every person is a yes or no, or where all are alike (a bootstrap would
    then claim certainty); a bootstrap over people otherwise, which two pseudo-people join, at 0
    and at 1: without them 5 to 12 people with a few queries each missed the truth in up to
    20 % of samples. They are to shares what Agresti and Coull's are to a count (Am. Stat. 52, 1998).
    """
    n, mean = len(value_P), float(value_P.mean())
    if np.isin(value_P, (0.0, 1.0)).all() or np.ptp(value_P) == 0:
        return Estimate(mean, wilson(mean * n, n), n)
    return Estimate(mean, _padded(value_P, (0.0, 1.0), bootstrap, rng), n)


def _padded(
    value_P: np.ndarray, pseudo: tuple[float, float], bootstrap: int, rng: np.random.Generator
) -> Interval:
    """Return the interval of a mean whose resampling two pseudo-people join."""
    n, mean = len(value_P), float(value_P.mean())
    low, high = percentile(resamples(n + 2, bootstrap, rng) @ np.append(value_P, pseudo) / (n + 2))
    # The pseudo-people pull towards the middle; the figure itself never lies outside its interval.
    return min(low, mean), max(high, mean)


def difference(value_P: np.ndarray, bootstrap: int, rng: np.random.Generator) -> Estimate:
    """Estimate the mean of per-person paired differences in [-1, 1].

    Two pseudo-people, at +1 and at -1, join the resampling: without them a few people who
    happen to agree look like proof (3 of 5 better and nobody worse gave [.20, 1.0]). If all
    differ alike the interval is +-(1 - .05^(1/n)): the largest share of others that n people
    without one are compatible with.
    """
    n, mean = len(value_P), float(value_P.mean())
    if np.ptp(value_P) == 0:
        slack = 1 - 0.05 ** (1 / n)
        return Estimate(mean, (max(-1.0, mean - slack), min(1.0, mean + slack)), n)
    return Estimate(mean, _padded(value_P, (1.0, -1.0), bootstrap, rng), n)


def difference_of_means(
    main_P: np.ndarray, control_Q: np.ndarray, bootstrap: int, rng: np.random.Generator
) -> Estimate:
    """Estimate mean(main) - mean(control) in [-2, 2]; the two groups are resampled separately.

    The percentiles are expanded for the smaller group: plain ones find a gap that is not there too often with a
    few people, which a test shows. People may be paired differences in [-1, 1] themselves. Where nobody differs from
    their group, the interval is that of `difference` for the smaller group; the figure is always inside.
    """
    n, m = len(main_P), len(control_Q)
    value = float(main_P.mean() - control_Q.mean())
    draws = resamples(n, bootstrap, rng) @ main_P / n - resamples(m, bootstrap, rng) @ control_Q / m
    low, high = percentile(draws, min(n, m))
    if high - low < _NOTHING:
        slack = 1 - 0.05 ** (1 / min(n, m))
        low, high = max(-2.0, value - slack), min(2.0, value + slack)
    return Estimate(value, (min(low, value), max(high, value)), n + m)


@dataclass(frozen=True)
class PairWins:
    """Member-control comparisons of one site: 1 where the member scores higher, .5 for a tie.

    Pairs are formed within a site only, so that a difference between sites is never
    mistaken for membership.
    """

    win_MC: np.ndarray

    @classmethod
    def of(cls, member_M: np.ndarray, control_C: np.ndarray) -> PairWins:
        """Compare every member with every control."""
        delta = member_M[:, None] - control_C[None, :]
        return cls((delta > 0) + 0.5 * (delta == 0))


def auc(wins: list[PairWins]) -> float:
    """Return the area under the ROC over all within-site pairs."""
    pairs = sum(w.win_MC.size for w in wins)
    return float(sum(w.win_MC.sum() for w in wins) / pairs)


def auc_draws(wins: list[PairWins], bootstrap: int, rng: np.random.Generator) -> np.ndarray:
    """Return bootstrap draws (B,) of `auc`; members and controls resampled within each site."""
    total = np.zeros(bootstrap)
    for w in wins:
        members, controls = w.win_MC.shape
        weight_BM = resamples(members, bootstrap, rng)
        weight_BC = resamples(controls, bootstrap, rng)
        total += ((weight_BM @ w.win_MC) * weight_BC).sum(axis=1)
    return total / sum(w.win_MC.size for w in wins)


def auc_estimate(wins: list[PairWins], bootstrap: int, rng: np.random.Generator) -> Estimate:
    """Estimate an AUC; where every resample agrees (perfect separation), Wilson on the smaller group."""
    value = auc(wins)
    members = sum(w.win_MC.shape[0] for w in wins)
    controls = sum(w.win_MC.shape[1] for w in wins)
    low, high = percentile(auc_draws(wins, bootstrap, rng))
    if high - low < _NOTHING:
        low, high = wilson(value * min(members, controls), min(members, controls))
    return Estimate(value, (low, high), members + controls)
