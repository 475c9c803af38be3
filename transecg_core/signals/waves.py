"""A record's typical heartbeat, and where its QRS complex, P wave and T wave begin and end.

Plain measurement: what is usual elsewhere decides only *where* a wave is looked for, and nothing
depends on the sign or the scale of the signal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from transecg_core.signals.schema import FS_HZ

Span = tuple[float, float]

BEFORE_R = 0.4
"""Part of the RR interval before R at which the typical beat is cut: late diastole, between T and P."""
LEVEL_REACH = round(0.05 * FS_HZ)
"""Samples on either side of R over which the height of the QRS is taken."""
QRS_REACH = (round(0.11 * FS_HZ), round(0.13 * FS_HZ))
"""How many samples before and after R a QRS may begin and end."""
QRS_SLOPE, QRS_CALM, QRS_CORE = 0.08, 6, 3
"""The QRS ends where the slope stays under this part of its largest value for so many samples. The
samples nearest to R, where the slope passes through zero, don't count."""
SMALLEST_NOISE = 1e-4
"""Of the QRS's height: rounding, where every beat is the same."""


@dataclass(frozen=True)
class Beat:
    """One cycle, ``x_R``, with R at index ``r``; the QRS has height 1.

    ``noise`` is the standard error of its samples, from the scatter of the beats it was made of.
    """

    x_R: np.ndarray
    r: int
    noise: float


@dataclass(frozen=True)
class Wave:
    """A P or T wave: edges and peak in samples from R, and its height in units of the beat's noise."""

    on: float
    peak: int
    off: float
    snr: float


@dataclass(frozen=True)
class Place:
    """Where a wave is looked for; all in samples, positions from R.

    Attributes
    ----------
    first, last
        Where its peak may be. Its height is measured from the chord between these two.
    usual, spread
        Where its peak usually is, and how far from there a deflection counts half.
    edges
        Where it may begin at the earliest and end at the latest.
    flank
        Longest way from its peak to either edge.
    smoothing
        Samples (odd) the beat is averaged over first.
    """

    first: float
    last: float
    usual: float
    spread: float
    edges: Span
    flank: float
    smoothing: int


def typical_beat(x_T: np.ndarray, r_B: np.ndarray, rr: int) -> Beat | None:
    """Return the sample-wise median of the cycles of `rr` samples around `r_B`; None if none is whole, or flat."""
    r = round(BEFORE_R * rr)
    start_B = r_B - r
    start_B = start_B[(start_B >= 0) & (start_B + rr <= x_T.shape[0])]
    if start_B.size == 0:
        return None
    cycle_BR = x_T[start_B[:, None] + np.arange(rr)]
    x_R = np.median(cycle_BR, axis=0)
    height = float(np.ptp(x_R[max(0, r - LEVEL_REACH) : r + LEVEL_REACH + 1]))
    if not height > 0:
        return None
    # 1.4826 MAD estimates a standard deviation; a median's error is 1.25 times a mean's.
    error = 1.25 * 1.4826 * float(np.median(np.abs(cycle_BR - x_R))) / start_B.size**0.5
    return Beat(x_R / height, r, max(error / height, SMALLEST_NOISE))


def find_qrs(beat: Beat) -> Span:
    """Return where the steep part around R begins and ends, in samples from R."""
    slope_R = smooth(np.abs(np.gradient(beat.x_R)), 3)
    first, last = max(0, beat.r - QRS_REACH[0]), min(slope_R.size - 1, beat.r + QRS_REACH[1])
    steep_R = slope_R > QRS_SLOPE * slope_R[first : last + 1].max()
    before_K, after_K = steep_R[first : beat.r - QRS_CORE + 1][::-1], steep_R[beat.r + QRS_CORE : last + 1]
    return -(QRS_CORE + _last_steep(before_K)), QRS_CORE + _last_steep(after_K)


def _last_steep(steep_K: np.ndarray) -> int:
    """Return the last steep sample before the first `QRS_CALM` calm ones; the last one if there are none."""
    calm = 0
    for k, steep in enumerate(steep_K.tolist()):
        calm = 0 if steep else calm + 1
        if calm == QRS_CALM:
            return k - QRS_CALM
    return int(steep_K.size) - 1


def find_wave(beat: Beat, place: Place) -> Wave | None:
    """Find the deflection, up or down, that is large and near where such a wave usually is.

    Its edges are where the tangents at the steepest points of its two flanks meet the lowest
    level of the flank. None if there is no room for a wave, or no deflection.
    """
    x_R = smooth(beat.x_R, place.smoothing)
    first, last = max(1, beat.r + round(place.first)), min(x_R.size - 2, beat.r + round(place.last))
    if last - first < 8:
        return None
    rise_K = x_R[first : last + 1] - np.linspace(x_R[first], x_R[last], last - first + 1)
    far_K = (np.arange(first, last + 1) - beat.r - place.usual) / place.spread
    best = int((np.abs(rise_K) / (1 + far_K**2)).argmax())
    # From here on the wave points up.
    x_R = x_R if rise_K[best] > 0 else -x_R
    peak = _uphill(x_R, first + best, first, last)
    start = max(0, beat.r + round(place.edges[0]), peak - round(place.flank))
    stop = min(x_R.size - 1, beat.r + round(place.edges[1]), peak + round(place.flank))
    if peak - start < 3 or stop - peak < 3:
        return None
    before, after = _flank_length(x_R[start : peak + 1][::-1]), _flank_length(x_R[peak : stop + 1])
    if before is None or after is None:
        return None
    at = peak - beat.r
    return Wave(at - before, at, at + after, float(abs(rise_K[peak - first])) / beat.noise)


def steadiness(x_T: np.ndarray, r_B: np.ndarray, wave: Wave) -> float:
    """Return how steadily single beats show a wave: mean over scatter of its size in them (robust d').

    What is typical of the one half of the beats (every other) is looked for in each beat of the other:
    where the beats have no shape in common the mean is near zero. Unlike a typical beat's noise,
    none of this shrinks with the number of beats. Infinite for a single beat, which can't be doubted.
    """
    at_BK = r_B[:, None] + np.arange(round(wave.on), round(wave.off) + 1)
    at_BK = at_BK[(at_BK[:, 0] >= 0) & (at_BK[:, -1] < x_T.size)]
    if at_BK.shape[0] < 2:
        return math.inf
    # Without level and slope, which the end of a T wave gives to all beats.
    line_K = np.arange(at_BK.shape[1]) - (at_BK.shape[1] - 1) / 2
    x_BK = x_T[at_BK] - x_T[at_BK].mean(axis=1, keepdims=True)
    x_BK -= np.outer(x_BK @ line_K / (line_K @ line_K), line_K)
    size_B = np.empty(x_BK.shape[0])
    for half, other in ((0, 1), (1, 0)):
        shape_K = np.median(x_BK[half::2], axis=0)
        length = float(np.linalg.norm(shape_K))
        size_B[other::2] = x_BK[other::2] @ shape_K / length if length > 0 else 0.0
    typical = float(np.median(size_B))
    scatter = 1.4826 * float(np.median(np.abs(size_B - typical)))
    if scatter > 0:
        return typical / scatter
    return math.inf if typical > 0 else 0.0


def _uphill(x_R: np.ndarray, at: int, first: int, last: int) -> int:
    """Return the local maximum that is reached uphill from `at`."""
    while at < last and x_R[at + 1] > x_R[at]:
        at += 1
    while at > first and x_R[at - 1] > x_R[at]:
        at -= 1
    return at


def _flank_length(x_K: np.ndarray) -> float | None:
    """Return how far from a peak, ``x_K[0]``, its flank reaches; None if it doesn't fall."""
    lowest = int(x_K.argmin())
    if lowest < 2:
        return None
    fall_K = -np.gradient(x_K[: lowest + 1])
    steep = int(fall_K.argmax())
    return min(steep + float((x_K[steep] - x_K[lowest]) / fall_K[steep]), float(lowest))


def smooth(x_R: np.ndarray, width: int) -> np.ndarray:
    """Return the signal averaged over `width` samples (odd) with a raised cosine, its ends repeated."""
    weight_K = np.hanning(width + 2)[1:-1]
    return np.convolve(np.pad(x_R, width // 2, mode="edge"), weight_K / weight_K.sum(), mode="valid")
