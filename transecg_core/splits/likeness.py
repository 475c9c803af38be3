"""How alike windows of two recordings are in what a heart doesn't repeat.

Windows (M, K) come in groups of consecutive rows, one per pair of recordings; `first` holds each group's first row.
"""

from __future__ import annotations

import numpy as np

WAVES = 5
"""Pieces of a window whose height and time may change each for itself: about one per wave, and the pauses."""
LIKEST = 3
"""Most windows that one is told from: their noise is less than one's. One per dozen windows compared."""


def without_mean(z_MK: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return what is left of windows without their group's mean beat, and without what may be shared all the same.

    Breathing is slow within a window, and may keep time with a pacemaker in any recording. A window cut a
    sample early or late differs by the mean beat's slope, in both recordings alike.
    """
    count_G = _counts(first, len(z_MK))
    group_M = np.repeat(np.arange(first.size), count_G)
    mean_GK = np.add.reduceat(z_MK, first) / count_G[:, None]
    slope_GK = _unit(_without_slow(np.gradient(mean_GK, axis=1)))
    return _without(_without_slow(z_MK - mean_GK[group_M]), slope_GK[group_M])


def told_apart(x_MK: np.ndarray, y_MK: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return per group how well the two agree on what tells a window from those of its recording most like it.

    Where a record has beats of two kinds (bigeminy, T waves taken for beats), the mean beat is neither, and what
    is left without it repeats with the rhythm. Windows of one kind differ by what no heart repeats, and by what
    breathing does to the height and the time of each wave. Of a group's correlations the mean of the
    middle half, since a kind may have one window only.
    """
    u_MK, v_MK = (without_mean(z_MK, first) for z_MK in (x_MK, y_MK))
    told_G = np.zeros(first.size)
    for group, (begin, count) in enumerate(zip(first, _counts(first, len(x_MK)), strict=True)):
        rows = slice(begin, begin + count)
        near_NJ = _most_alike(u_MK[rows], v_MK[rows])
        told_N = np.sort(cosine(*(_without_likest(z_MK[rows], near_NJ) for z_MK in (x_MK, y_MK))))
        told_G[group] = told_N[count // 4 : count - count // 4].mean()
    return told_G


def _most_alike(x_NK: np.ndarray, y_NK: np.ndarray) -> np.ndarray:
    """Return per window, held in both recordings, those most like it in both; itself if alone."""
    alike_NN = x_NK @ x_NK.T + y_NK @ y_NK.T
    size_N = np.diag(alike_NN)
    apart_NN = size_N[:, None] + size_N[None, :] - 2 * alike_NN
    np.fill_diagonal(apart_NN, np.inf)
    return np.asarray(np.argsort(apart_NN, axis=1, kind="stable")[:, : min(LIKEST, max(1, len(x_NK) // 12))])


def _without_likest(z_NK: np.ndarray, near_NJ: np.ndarray) -> np.ndarray:
    """Return windows minus the mean of those most like them, slow drift, and each wave's change in height and time."""
    size = z_NK.shape[1]
    likest_NK = z_NK[near_NJ].mean(axis=1)
    beat_NK = (z_NK + likest_NK) / 2
    centre_W = np.linspace(0, size - 1, WAVES)
    near_WK = np.maximum(0, 1 - np.abs(np.arange(size) - centre_W[:, None]) / centre_W[1])
    parts = (near_WK * beat_NK[:, None], near_WK * np.gradient(beat_NK, axis=1)[:, None])
    slow_N3K = np.broadcast_to(_slow(size).T, (len(z_NK), 3, size))
    basis_NKP = np.linalg.qr(np.concatenate([slow_N3K, *parts], axis=1).transpose(0, 2, 1))[0]
    left_NK1 = (z_NK - likest_NK)[:, :, None]
    return np.asarray((left_NK1 - basis_NKP @ (basis_NKP.transpose(0, 2, 1) @ left_NK1))[:, :, 0])


def cosine(x_MK: np.ndarray, y_MK: np.ndarray) -> np.ndarray:
    """Return the correlation of each window with its counterpart."""
    x_MK = x_MK - x_MK.mean(axis=1, keepdims=True)
    y_MK = y_MK - y_MK.mean(axis=1, keepdims=True)
    norm_M = np.sqrt((x_MK**2).sum(axis=1) * (y_MK**2).sum(axis=1))
    return np.asarray((x_MK * y_MK).sum(axis=1) / np.maximum(norm_M, 1e-12))


def medians(value_M: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the (lower) median of each group."""
    count_G = _counts(first, value_M.size)
    group_M = np.repeat(np.arange(first.size), count_G)
    return np.asarray(value_M[np.lexsort((value_M, group_M))][first + (count_G - 1) // 2])


def _counts(first: np.ndarray, rows: int) -> np.ndarray:
    return np.diff(np.append(first, rows))


def _unit(z_MK: np.ndarray) -> np.ndarray:
    return np.asarray(z_MK / np.maximum(np.linalg.norm(z_MK, axis=1, keepdims=True), 1e-12))


def _without(z_MK: np.ndarray, unit_MK: np.ndarray) -> np.ndarray:
    return np.asarray(z_MK - (z_MK * unit_MK).sum(axis=1, keepdims=True) * unit_MK)


def _slow(size: int) -> np.ndarray:
    return np.asarray(np.linalg.qr(np.vander(np.linspace(-1, 1, size), 3))[0])


def _without_slow(z_MK: np.ndarray) -> np.ndarray:
    slow_K3 = _slow(z_MK.shape[1])
    return np.asarray(z_MK - (z_MK @ slow_K3) @ slow_K3.T)
