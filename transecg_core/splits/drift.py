"""Two clocks: copies whose shift in time grows along the recording.

A recording that was played back and digitised again, or resampled to a rate that is off by little, runs
a few parts per million fast or slow: 20 ppm are 9 samples in half an hour. The runs of beats that agree
then lie on a line, shift against time, instead of at one shift.
"""

from __future__ import annotations

import numpy as np

RATE = 1.1e-3
"""Greatest relative difference of two clocks: 1000 ppm and a margin for the fit."""
MIN_RUNS = 4
"""Fewest runs on a line: any two or three are on one."""
VISIBLE = 0.5
"""Samples that the shift must grow by in the overlap: less is one shift."""


def widest(pair_M: np.ndarray, shift_M: np.ndarray, width_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the number of the matches of each pair's fullest range of shifts.

    Parameters
    ----------
    pair_M, shift_M
        Of the matches, sorted by pair, then shift.
    width_M
        Samples that a range may span.
    """
    if not pair_M.size:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    apart = float(shift_M.max() - shift_M.min() + width_M.max() + 1)
    key_M = np.cumsum(np.diff(pair_M, prepend=pair_M[0]) != 0) * apart + shift_M
    count_M = np.searchsorted(key_M, key_M + width_M, side="right") - np.arange(key_M.size)
    start_P = np.flatnonzero(np.diff(pair_M, prepend=-1))
    most_P = np.maximum.reduceat(count_M, start_P)
    size_P = np.diff(np.append(start_P, pair_M.size))
    full = np.flatnonzero(count_M == np.repeat(most_P, size_P))
    _, nth = np.unique(pair_M[full], return_index=True)
    return full[nth], most_P


def line(at_M: np.ndarray, shift_M: np.ndarray, tolerance: int) -> tuple[float, float, int]:
    """Fit shift = first + rate * at to most matches; return rate, first and the number that lie on the line."""
    span = float(np.ptp(at_M))
    steps = np.arange(1, int(np.ceil(RATE * span / tolerance)) + 1)
    # The slowest drifts first: of equals the first one is taken.
    rate_R = np.concatenate([[0.0], *np.stack([steps, -steps], axis=1)]) * (tolerance / max(span, 1.0))
    centre = float(at_M.mean())
    left_RM = np.sort(shift_M - rate_R[:, None] * (at_M - centre), axis=1)
    apart = float(np.ptp(left_RM)) + 4 * tolerance
    key_K = (left_RM - left_RM.min() + np.arange(rate_R.size)[:, None] * apart).ravel()
    count_K = np.searchsorted(key_K, key_K + 2 * tolerance, side="right") - np.arange(key_K.size)
    best = int(count_K.argmax())
    rate, first = float(rate_R[best // at_M.size]), float(left_RM.ravel()[best]) + tolerance
    for _ in range(2):
        on_M = np.abs(shift_M - first - rate * (at_M - centre)) <= tolerance
        if on_M.sum() < MIN_RUNS or not np.ptp(at_M[on_M]):
            break
        rate, first = (float(v) for v in np.polyfit(at_M[on_M] - centre, shift_M[on_M], 1))
    on_M = np.abs(shift_M - first - rate * (at_M - centre)) <= tolerance
    return rate, first - rate * centre, int(on_M.sum())
