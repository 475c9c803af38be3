"""Accepting at a threshold: false rejects and false accepts per person, EER, TAR@FAR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transecg_core.risk.estimate import Estimate, percentile, resamples, wilson

TIE = 1e-9
"""Scores that differ by no more than this differ by rounding only."""
STEPS = 1024
"""Steps between the lowest score and the highest, where a threshold at every genuine score would be too much."""
_MOST = 4_000_000
"""Largest number of people times thresholds that is held with a threshold at every genuine score."""


@dataclass(frozen=True)
class Thresholds:
    """The thresholds at which errors are counted (T, ascending).

    With one just below and one just above every genuine score nothing is lost: false rejects
    change nowhere else, so EER and TAR@FAR come out exactly. Too many people for that get even
    steps. What lies between two of them is then interpolated, and EER and TAR are off by no more
    than false rejects rise within one (`Verification.uncertainty`).

    Attributes
    ----------
    nothing
        A score below all others.
    first, per_step
        Of even steps: steps below the first threshold, and steps per unit of score; else 0.
    """

    value_T: np.ndarray
    nothing: float = -np.inf
    first: int = 0
    per_step: float = 0.0

    @classmethod
    def of(cls, genuine_K: np.ndarray, people: int, bounds: tuple[float, float]) -> Thresholds:
        """Return the thresholds for genuine scores of a number of people, where all scores lie within `bounds`."""
        exact = np.unique(np.concatenate([genuine_K - TIE, genuine_K + TIE]))
        if len(exact) * people <= _MOST:
            return cls(exact)
        low, high = bounds[0] - TIE, bounds[1] + TIE
        per_step = STEPS / (high - low)
        first, last = (int((edge - low) * per_step) for edge in (exact[0], exact[-1]))
        return cls(low + np.arange(first, last + 2) / per_step, low - 1 / per_step, first, per_step)

    @property
    def even(self) -> bool:
        """Whether they are even steps."""
        return self.per_step > 0

    def passed(self, score: np.ndarray) -> np.ndarray:
        """Return how many thresholds (and steps below the first one) each score reaches, in the shape of `score`."""
        if not self.even:
            return np.searchsorted(self.value_T, score, side="right")
        place = score * self.per_step
        place -= self.nothing * self.per_step
        return place.astype(np.int64)

    def reached(self, score_KC: np.ndarray) -> np.ndarray:
        """Return how many scores of each row reach each threshold, (K, T)."""
        rows, last = len(score_KC), self.first + len(self.value_T)
        place_KC = np.minimum(self.passed(score_KC), last)
        place_KC += np.arange(rows)[:, None] * (last + 1)
        count_KT = np.bincount(place_KC.ravel(), minlength=rows * (last + 1)).reshape(rows, last + 1)
        reached: np.ndarray = count_KT[:, : self.first : -1].cumsum(axis=1)[:, ::-1]
        return reached


@dataclass(frozen=True)
class Verification:
    """Error rates of accepting at a threshold, per person (P) and threshold (T, ascending).

    Attributes
    ----------
    frr_PT
        Share of the person's genuine queries that are refused.
    far_PT
        Share of the person's impostor comparisons that are accepted.
    pairs_P, counted_P
        Number of impostor comparisons, and how many of them `far_PT` counts.
    even
        Whether the thresholds are even steps (`Thresholds`): figures are then interpolated.
    """

    frr_PT: np.ndarray
    far_PT: np.ndarray
    pairs_P: np.ndarray
    counted_P: np.ndarray
    even: bool

    def of(self, people: np.ndarray) -> Verification:
        """Return the rates of some people (bool or indices)."""
        frr_PT, far_PT = self.frr_PT[people], self.far_PT[people]
        return Verification(frr_PT, far_PT, self.pairs_P[people], self.counted_P[people], self.even)

    def curves(self, weight_BP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return FRR and FAR (B, T) for weights over people."""
        total_B1 = weight_BP.sum(axis=1, keepdims=True)
        return weight_BP @ self.frr_PT / total_B1, weight_BP @ self.far_PT / total_B1

    def uncertainty(self, far: float | None = None) -> float:
        """Return how far the EER, or the TAR at a FAR, of all these people can be off; 0 where thresholds are exact.

        That is by how much false rejects rise within the step in which the figure lies.
        """
        frr_T, far_T = self.frr_PT.mean(axis=0), self.far_PT.mean(axis=0)
        right = int((frr_T >= far_T if far is None else far_T <= far).argmax())
        return float(frr_T[right] - frr_T[max(right - 1, 0)]) if self.even else 0.0


def eer(frr_BT: np.ndarray, far_BT: np.ndarray) -> np.ndarray:
    """Return the equal error rate (B,): where falling FAR and rising FRR cross, interpolated."""
    rows = np.arange(len(frr_BT))
    right = (frr_BT >= far_BT).argmax(axis=1)  # FRR 1, FAR 0 at the last threshold: always found
    left = np.maximum(right - 1, 0)
    gap_left = far_BT[rows, left] - frr_BT[rows, left]
    gap_right = far_BT[rows, right] - frr_BT[rows, right]
    span = gap_left - gap_right
    weight = np.where(span > 0, gap_left / np.where(span > 0, span, 1.0), 0.0)
    crossed: np.ndarray = frr_BT[rows, left] + weight * (frr_BT[rows, right] - frr_BT[rows, left])
    return crossed


def tar_at(frr_BT: np.ndarray, far_BT: np.ndarray, far: float) -> np.ndarray:
    """Return the best true accept rate (B,) at a false accept rate of at most `far`."""
    best: np.ndarray = np.where(far_BT <= far + 1e-12, 1.0 - frr_BT, 0.0).max(axis=1)
    return best


def enough_pairs(rates: Verification, far: float) -> bool:
    """Return whether there are at least 10 / `far` impostor pairs."""
    return bool(rates.pairs_P.sum() >= 10 / far)


def rate_estimate(
    rates: Verification,
    figure: Callable[[np.ndarray, np.ndarray], np.ndarray],
    bootstrap: int,
    rng: np.random.Generator,
) -> Estimate:
    """Estimate a figure of the FRR and FAR curves by resampling people on the fixed gallery.

    Where every resample agrees (perfect separation), the interval is Wilson's on the people.
    """
    n = len(rates.frr_PT)
    value = float(figure(*rates.curves(np.ones((1, n))))[0])
    low, high = percentile(figure(*rates.curves(resamples(n, bootstrap, rng))))
    if high - low < 1e-12:
        low, high = wilson(value * n, n)
    return Estimate(value, (low, high), n)
