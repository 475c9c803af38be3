"""Which windows are good enough to keep."""

from __future__ import annotations

import numpy as np

MIN_CORRELATION = 0.6
FLAT_MV = 1e-3
"""A window whose standard deviation is below this (mV) shows no heartbeat."""


def flat(x_BL: np.ndarray) -> np.ndarray:
    """Return which windows (B, L), in millivolts, are flat: bool (B,)."""
    return np.asarray(x_BL.std(axis=1) < FLAT_MV)


def typical(x_BL: np.ndarray, ectopic_B: np.ndarray, flat_B: np.ndarray) -> np.ndarray:
    """Return which windows look like their record's median beat.

    Parameters
    ----------
    x_BL
        Windows of one record in millivolts, R-aligned.
    ectopic_B
        Windows with a reference V or S label: exempt, because ectopic beats are
        meant to look different.
    flat_B
        Flat windows: never kept, never part of the median.

    Returns
    -------
    numpy.ndarray
        bool (B,): not flat, and exempt or correlated with the median beat by at
        least `MIN_CORRELATION`.
    """
    usable_B = ~flat_B & ~ectopic_B
    if not usable_B.any():
        return np.asarray(~flat_B & ectopic_B)
    median_L = np.median(x_BL[usable_B], axis=0)
    like_B = correlation(x_BL, median_L) >= MIN_CORRELATION
    return np.asarray(~flat_B & (ectopic_B | like_B))


def correlation(x_BL: np.ndarray, y_L: np.ndarray) -> np.ndarray:
    """Return the Pearson correlation of each row with `y_L`, 0 where undefined."""
    x_BL = x_BL - x_BL.mean(axis=1, keepdims=True)
    y_L = y_L - y_L.mean()
    scale_B = np.linalg.norm(x_BL, axis=1) * np.linalg.norm(y_L)
    return np.asarray(np.divide(x_BL @ y_L, scale_B, out=np.zeros(x_BL.shape[0]), where=scale_B > 0))
