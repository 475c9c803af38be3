"""R peaks, and the reference beat label each one stands for."""

from __future__ import annotations

from functools import cache

import numpy as np

from transecg_core.cohorts.schema import UNKNOWN
from transecg_core.signals.schema import FS_HZ

SNAP = round(0.05 * FS_HZ)
"""Half-width (samples) of the search for the local extremum."""
REFRACTORY = round(0.2 * FS_HZ)
"""Two heartbeats are never closer than this (samples)."""
MATCH = round(0.15 * FS_HZ)
"""A detection within this distance (samples) of a reference beat is that beat (EC57's 150 ms)."""

SLEEPECG_BAND_HZ = (5.0, 30.0)
SLEEPECG_INTEGRATION = int(0.15 * FS_HZ)
SLEEPECG_REFRACTORY = int(0.2 * FS_HZ)
"""Its peaks are at least so far apart (samples), and it reserves room for one RR interval per so many samples."""
SLEEPECG_LEARNING = int(2 * FS_HZ)
"""It reads so many samples before it looks at how many there are."""

NEIGHBOURS = 17
"""Beats (odd) whose medians say what is usual around a beat."""
WEAK = 0.25
"""A peak this much lower than its neighbours is no R peak: a P wave of a blocked beat, mostly."""
LONG_GAP = 1.5
"""An RR interval this much longer than its neighbours is searched for a beat that was missed."""
GAP_MARGIN = round(0.3 * FS_HZ)
"""The search keeps this far (samples) from the beats at the gap's ends: their T waves are there."""
MISSED_HEIGHT, MISSED_SLOPE = 0.5, 0.25
"""What a missed beat must have of its neighbours' height and of their steepest slope; ectopic beats are
as high as others, but less steep, and T waves less steep still."""

OTHER_SIDE = 0.6
"""Of two opposite peaks of one beat, the one on the record's usual side is R if it is this much of the usual height."""


def detect(x_T: np.ndarray) -> np.ndarray:
    """Find R peaks: sleepecg's, moved to the largest absolute value within 50 ms, and checked.

    Neighbours are the measure: peaks far lower are dropped, and the largest steep deflection in an
    interval far longer is added. Where R and S are of a height, all beats get the same one. Neither sign nor
    scale of the signal matters.

    Parameters
    ----------
    x_T
        Cleaned signal at 250 Hz, shape (T,).

    Returns
    -------
    numpy.ndarray
        int64, shape (B,), strictly increasing; empty if there is no heartbeat.
    """
    found_B = sleepecg_peaks(x_T)
    if found_B.size == 0:
        return found_B
    around_BK = np.clip(found_B[:, None] + np.arange(-SNAP, SNAP + 1), 0, x_T.shape[0] - 1)
    best_B = np.abs(x_T[around_BK]).argmax(axis=1)
    snapped_B = np.unique(around_BK[np.arange(found_B.size), best_B])
    height_T = np.abs(x_T)
    peak_B = _refractory(snapped_B, height_T)
    # Where P waves were taken for half the beats, the missed ones must come in before all the P waves go.
    peak_B = _high(_with_missed(_high(peak_B, height_T), height_T), height_T)
    return _refractory(_one_side(peak_B, x_T), height_T)


def sleepecg_peaks(x_T: np.ndarray) -> np.ndarray:
    """Run ``sleepecg.detect_heartbeats`` (0.6.0) step by step, with none of its C code's overruns.

    That code writes RR interval n, for its n-th peak, into an array of T // 50, and reads the first two
    seconds of whatever it is given. Its peaks are inner local maxima at least 50 samples apart, so there are
    at most 1 + (T - 3) // 50 of them, which can be more. Prolonged by 100 samples without a maximum, the same
    signal has room for T // 50 + 2 and no more peaks than before. The end that isn't there may make it search
    back for a last beat; so where the count shows that there was room, the signal is run as it is.

    Parameters
    ----------
    x_T
        Cleaned signal at 250 Hz, shape (T,).

    Returns
    -------
    numpy.ndarray
        int64, shape (B,), strictly increasing; empty if the signal is flat, not finite, or shorter than
        two seconds after a flat beginning.
    """
    # Slow to import, and not needed when windows come from the cache.
    from scipy.signal import sosfiltfilt
    from sleepecg import _heartbeat_detection as c_code

    start = 0
    if x_T.size > 1 and x_T[1] == x_T[0]:
        # A flat beginning says nothing of the signal's height.
        start = int((x_T != x_T[0]).argmax())
    if x_T.size - start < SLEEPECG_LEARNING or not 0 < np.ptp(x_T) < np.inf:
        return np.empty(0, dtype=np.int64)
    size, room = x_T.size - start, (0, 2 * SLEEPECG_REFRACTORY)
    longer = np.pad(sosfiltfilt(_sleepecg_band_pass(), x_T[start:]), room, mode="edge")
    derivative_T = np.correlate(longer[:size], np.array([-1, -2, 0, 2, 1]), mode="same")
    integrated_T = c_code._squared_moving_integration(derivative_T, SLEEPECG_INTEGRATION)
    longer_integrated = np.pad(integrated_T, room, mode="edge")
    found_T = c_code._thresholding(longer, longer_integrated, FS_HZ)
    # What it finds in the signal as it is comes first in what it finds in the longer one.
    if np.count_nonzero(found_T) < size // SLEEPECG_REFRACTORY:
        found_T = c_code._thresholding(longer[:size], integrated_T, FS_HZ)
    return np.asarray(np.flatnonzero(found_T) + start, dtype=np.int64)


@cache
def _sleepecg_band_pass() -> np.ndarray:
    from scipy.signal import butter

    return np.asarray(butter(2, SLEEPECG_BAND_HZ, btype="bandpass", output="sos", fs=FS_HZ))


def _usual(value_B: np.ndarray) -> np.ndarray:
    """Return the median over each beat and its neighbours, (B,)."""
    if value_B.size <= NEIGHBOURS:
        return np.full(value_B.size, np.median(value_B) if value_B.size else 0.0)
    padded_B = np.pad(value_B, NEIGHBOURS // 2, mode="reflect")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded_B, NEIGHBOURS), axis=1))


def _high(peak_B: np.ndarray, height_T: np.ndarray) -> np.ndarray:
    return np.asarray(peak_B[height_T[peak_B] >= WEAK * _usual(height_T[peak_B])])


def points_down(x_T: np.ndarray, r_B: np.ndarray) -> bool:
    """Return whether most R peaks of a record are below the baseline."""
    return bool(r_B.size and np.median(x_T[r_B]) < 0)


def _one_side(peak_B: np.ndarray, x_T: np.ndarray) -> np.ndarray:
    """Move peaks on the record's unusual side to the extremum on its usual one, if that is nearly as high."""
    up_T = -x_T if points_down(x_T, peak_B) else x_T
    wrong_B = np.flatnonzero(up_T[peak_B] < 0)
    if wrong_B.size == 0:
        return peak_B
    enough = OTHER_SIDE * np.median(up_T[np.delete(peak_B, wrong_B)])
    around_BK = np.clip(peak_B[wrong_B, None] + np.arange(-SNAP, SNAP + 1), 0, x_T.shape[0] - 1)
    best_B = around_BK[np.arange(wrong_B.size), up_T[around_BK].argmax(axis=1)]
    moved_B = peak_B.copy()
    moved_B[wrong_B] = np.where(up_T[best_B] >= enough, best_B, peak_B[wrong_B])
    return np.unique(moved_B)


def _with_missed(peak_B: np.ndarray, height_T: np.ndarray) -> np.ndarray:
    """Add the beats that were missed in intervals much longer than their neighbours."""
    from scipy.ndimage import maximum_filter1d

    if peak_B.size < 3:
        return peak_B
    slope_T = maximum_filter1d(np.abs(np.gradient(height_T)), 2 * SNAP + 1)
    high_B, steep_B = _usual(height_T[peak_B]), _usual(slope_T[peak_B])
    gap_B = np.diff(peak_B)
    missed = []
    for b in np.flatnonzero(gap_B > LONG_GAP * _usual(gap_B)):
        start, stop = peak_B[b] + GAP_MARGIN, peak_B[b + 1] - GAP_MARGIN
        while stop > start:
            part = slice(start, stop)
            at = start + int((height_T[part] * np.minimum(slope_T[part] / steep_B[b], 1)).argmax())
            if height_T[at] < MISSED_HEIGHT * high_B[b] or slope_T[at] < MISSED_SLOPE * steep_B[b]:
                break
            missed.append(at - SNAP // 2 + int(height_T[at - SNAP // 2 : at + SNAP // 2 + 1].argmax()))
            start = at + GAP_MARGIN
    return np.unique(np.concatenate([peak_B, np.asarray(missed, dtype=np.int64)]))


def _refractory(peak_B: np.ndarray, height_T: np.ndarray) -> np.ndarray:
    kept: list[int] = []
    for peak in peak_B.tolist():
        if not kept or peak - kept[-1] >= REFRACTORY:
            kept.append(peak)
        elif height_T[peak] > height_T[kept[-1]]:
            kept[-1] = peak
    return np.asarray(kept, dtype=np.int64)


def match_labels(r_B: np.ndarray, reference_A: np.ndarray, class_A: np.ndarray) -> tuple[np.ndarray, int]:
    """Give each detected beat the class of its reference beat.

    Pairs are formed nearest first, each beat used once.

    Parameters
    ----------
    r_B
        Detected R peaks, samples at 250 Hz, increasing.
    reference_A, class_A
        Reference beat positions at 250 Hz (may be fractional) and their ``uint8`` codes.

    Returns
    -------
    class_B : numpy.ndarray
        uint8, shape (B,); ``UNKNOWN`` where no reference beat is near.
    missed : int
        Reference beats that no detection matched.
    """
    class_B = np.full(r_B.size, UNKNOWN, dtype=np.uint8)
    if r_B.size == 0 or reference_A.size == 0:
        return class_B, int(reference_A.size)
    order_A = np.argsort(reference_A, kind="stable")
    reference_A, class_A = np.asarray(reference_A)[order_A], np.asarray(class_A)[order_A]
    # A reference beat lies between two detections: both are candidates.
    right_A = np.searchsorted(r_B, reference_A)
    pairs = [
        (abs(float(r_B[b] - reference)), a, b)
        for a, (reference, right) in enumerate(zip(reference_A, right_A, strict=True))
        for b in (int(right) - 1, int(right))
        if 0 <= b < r_B.size and abs(r_B[b] - reference) <= MATCH
    ]
    taken: set[int] = set()
    used: set[int] = set()
    for _, a, b in sorted(pairs):
        if a not in taken and b not in used:
            taken.add(a)
            used.add(b)
            class_B[b] = class_A[a]
    return class_B, int(reference_A.size) - len(taken)
