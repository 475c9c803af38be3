"""Means over people and their bootstrap intervals; a person is the unit, never a window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transecg_core.risk.estimate import percentile


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % percentile interval over participants."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def person_means(value_BK: np.ndarray, person_B: np.ndarray) -> np.ndarray:
    """Return the mean row of every person, (P, K), in ascending order of person index."""
    person_P, index_B = np.unique(person_B, return_inverse=True)
    sums_PK = np.zeros((len(person_P), value_BK.shape[1]))
    np.add.at(sums_PK, index_B, value_BK)
    return sums_PK / np.bincount(index_B, minlength=len(person_P))[:, None]


def resample_counts(people: int, resamples: int, seed: int) -> np.ndarray:
    """Return how often each of P people is drawn in each of R bootstrap resamples, (R, P)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(people, np.full(people, 1.0 / people), size=resamples).astype(np.float64)


def percentiles(value_R: np.ndarray, people: int) -> tuple[float, float]:
    """Return the 95 % interval of a mean over so many people; resamples without a value (NaN) are left out."""
    finite_R = value_R[np.isfinite(value_R)]
    return percentile(finite_R, people) if len(finite_R) else (float("nan"), float("nan"))


def mean_over_people(value_B: np.ndarray, person_B: np.ndarray, resamples: int, seed: int) -> Estimate:
    """Return the mean over people of each person's mean, with its interval."""
    person_P = person_means(value_B[:, None], person_B)[:, 0]
    counts_RP = resample_counts(len(person_P), resamples, seed)
    low, high = percentiles(counts_RP @ person_P / len(person_P), len(person_P))
    return Estimate(float(person_P.mean()), low, high)
