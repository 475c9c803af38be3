"""R peaks, and the reference beat label each one stands for."""

from __future__ import annotations

import numpy as np
from sleepecg.heartbeats import detect_heartbeats

from transecg_core.cohorts.schema import UNKNOWN
from transecg_core.signals.schema import FS_HZ

SNAP = round(0.05 * FS_HZ)
"""Half-width (samples) of the search for the local extremum."""
REFRACTORY = round(0.2 * FS_HZ)
"""Two heartbeats are never closer than this (samples)."""
MATCH = round(0.15 * FS_HZ)
"""A detection within this distance (samples) of a reference beat is that beat (EC57's 150 ms)."""


def detect(x_T: np.ndarray) -> np.ndarray:
    """Find R peaks: sleepecg, then the largest absolute value within 50 ms.

    Parameters
    ----------
    x_T
        Cleaned signal at 250 Hz, shape (T,).

    Returns
    -------
    numpy.ndarray
        int64, shape (B,), strictly increasing; empty if there is no heartbeat.
    """
    if not np.ptp(x_T) > 0:
        return np.empty(0, dtype=np.int64)
    found_B = np.asarray(detect_heartbeats(x_T, FS_HZ), dtype=np.int64)
    if found_B.size == 0:
        return found_B
    around_BK = np.clip(found_B[:, None] + np.arange(-SNAP, SNAP + 1), 0, x_T.shape[0] - 1)
    best_B = np.abs(x_T[around_BK]).argmax(axis=1)
    snapped_B = np.unique(around_BK[np.arange(found_B.size), best_B])
    return _refractory(snapped_B, np.abs(x_T))


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
