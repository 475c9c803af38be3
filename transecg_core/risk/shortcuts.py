"""What shortcut tests do to windows, and how they compare recordings by a few numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.signal import butter, sosfiltfilt

from transecg_core.risk.artefacts import Gallery, Probes
from transecg_core.risk.matching import Cosines, first_of, group_means, group_medians
from transecg_core.signals.schema import FS_HZ

THIN = 6
"""Windows of a record that a shortcut test embeds: a few are enough, and embedding is what costs."""
BAND_HZ, ORDER = (1.0, 25.0), 2
STEP = 0.05
"""Common quantisation step of harmonised windows, in standard deviations of a window."""
MAINS_HZ, MAINS_DRIFT_HZ = (50.0, 60.0), 1.25
"""Frequencies of the mains, and how far off them a hum is removed too: more than any power grid drifts."""
CLIP = 3.0
"""Largest standardised feature."""
_FLAT = 1e-9


def thinned(gallery: Gallery, probes: Probes) -> tuple[Gallery, Probes, np.ndarray, np.ndarray]:
    """Return gallery and probes with at most `THIN` windows of each record, and which windows they are."""
    first, second = _few(gallery.record_N), _few(probes.query_N)
    few = replace(
        gallery,
        x_NL=gallery.x_NL[first],
        entry_N=gallery.entry_N[first],
        record_N=gallery.record_N[first],
        site_N=gallery.site_N[first],
    )
    return few, replace(probes, x_NL=probes.x_NL[second], query_N=probes.query_N[second]), first, second


def _few(group_N: np.ndarray) -> np.ndarray:
    """Return evenly spaced rows of each group; the rows of a group are together."""
    parts = np.split(np.arange(len(group_N)), np.flatnonzero(np.diff(group_N)) + 1)
    kept = [rows[np.linspace(0, len(rows) - 1, min(len(rows), THIN)).round().astype(int)] for rows in parts]
    return np.concatenate(kept) if len(group_N) else np.empty(0, dtype=np.int64)


def without_beats(x_NL: np.ndarray, record_N: np.ndarray) -> np.ndarray:
    """Return what is left of windows (N, L) when their record's own beat is taken out.

    The record's median window, its slope, an offset and a trend are fitted to each window and taken
    off, so that shape, jitter, gain and baseline go. What stays is noise, what the recorder does to it,
    and how beats vary. Keeping the samples between beats instead would keep the person: where T ends and
    P begins is the heart's.
    """
    if not len(x_NL):
        return np.asarray(x_NL, dtype=np.float64)
    x_NL = x_NL.astype(np.float64)
    beat_RL = group_medians(x_NL, record_N, int(record_N.max()) + 1)
    slope_RL = np.gradient(beat_RL, axis=1)
    trend_L = np.linspace(-1.0, 1.0, x_NL.shape[1])
    rest_NL = np.empty_like(x_NL)
    for record, (beat_L, slope_L) in enumerate(zip(beat_RL, slope_RL, strict=True)):
        own = record_N == record
        basis_L4 = np.stack([beat_L, slope_L, np.ones_like(trend_L), trend_L], axis=1)
        coefficient_4N = np.linalg.lstsq(basis_L4, x_NL[own].T, rcond=None)[0]
        rest_NL[own] = x_NL[own] - (basis_L4 @ coefficient_4N).T
    return rest_NL


def harmonised(x_NL: np.ndarray) -> np.ndarray:
    """Return windows (N, L) as one common recorder might have given them: one band, one step, one scale."""
    if not len(x_NL):
        return x_NL
    sos = butter(ORDER, BAND_HZ, "bandpass", fs=FS_HZ, output="sos")
    filtered_NL = normed(sosfiltfilt(sos, x_NL.astype(np.float64), axis=1))
    return normed(np.round(filtered_NL / STEP) * STEP)


def without_mains(x_NL: np.ndarray) -> np.ndarray:
    """Return windows (N, L) without any hum within `MAINS_DRIFT_HZ` of 50 and of 60 Hz, by projection.

    The band-pass of `transecg_core.signals.preprocess` ends at 40 Hz, and lets a fifth of a hum's height at
    50 Hz through, a twelfth at 60 Hz. A window's level and slope stay: a slope is no hum, though it has some of
    every frequency.
    """
    length = x_NL.shape[1]
    turn_L = 2 * np.pi * np.arange(length) / FS_HZ
    hz = [mains + off for mains in MAINS_HZ for off in np.linspace(-1, 1, 5) * MAINS_DRIFT_HZ]
    hum_LF = np.stack([wave(turn_L * f) for f in hz for wave in (np.sin, np.cos)], axis=1)
    line_L2 = slow_L3(length)[:, :2]
    hum_LF -= line_L2 @ (line_L2.T @ hum_LF)
    basis_LF = np.linalg.qr(hum_LF)[0]
    x_NL = x_NL.astype(np.float64)
    return np.asarray(x_NL - (x_NL @ basis_LF) @ basis_LF.T)


def slow_L3(length: int) -> np.ndarray:
    """Return an offset, a slope and a bend, orthonormal (L, 3): what a wander below 1 Hz is in a window of 0.8 s."""
    return np.asarray(np.linalg.qr(np.vander(np.linspace(-1.0, 1.0, length), 3, increasing=True))[0])


def wander(x_NL: np.ndarray, record_N: np.ndarray) -> np.ndarray:
    """Return offset, slope and bend of each window (N, 3) against the median window of its record.

    Against the record's own, because a slope that all its windows share can't be told from the beat's shape.
    """
    if not len(x_NL):
        return np.zeros((0, 3))
    median_RL = group_medians(x_NL, record_N, int(record_N.max()) + 1)
    return np.asarray((x_NL - median_RL[record_N]).astype(np.float64) @ slow_L3(x_NL.shape[1]))


def normed(x_NL: np.ndarray) -> np.ndarray:
    """Return windows with mean 0 and standard deviation 1; a flat one becomes zeros."""
    x_NL = x_NL - x_NL.mean(axis=1, keepdims=True)
    spread_N1 = x_NL.std(axis=1, keepdims=True)
    return np.where(spread_N1 > _FLAT, x_NL / np.maximum(spread_N1, _FLAT), 0.0).astype(np.float32)


def by_record(gallery: Gallery, probes: Probes) -> tuple[Gallery, Probes]:
    """Return gallery and probes with one row per record, for features of records."""
    records = np.arange(int(gallery.record_N.max()) + 1)
    entry_R = first_of(gallery.entry_N, gallery.record_N, len(records))
    nothing = np.empty((0, 0))
    one = replace(gallery, x_NL=nothing, entry_N=entry_R, record_N=records, site_N=gallery.site_G[entry_R])
    return one, replace(probes, x_NL=nothing, query_N=np.arange(len(probes.site_Q)))


def nearness(enrolled_RF: np.ndarray, asked_QF: np.ndarray, gallery: Gallery, probes: Probes) -> Cosines:
    """Return how near every query is to every enrolled person (Q, G), by a few numbers of records.

    From 1 (no distance) to -1 (the largest there can be), linear in the squared distance: as a product of
    two factors, so that ten thousand people against ten thousand need no matrix of all.

    Each number is standardised by the gallery people of its own site; one that is not known (NaN) is put at
    their mean.

    Parameters
    ----------
    gallery, probes
        As `by_record` returns them.
    """
    first, second = np.zeros_like(enrolled_RF), np.zeros_like(asked_QF)
    for site in np.unique(gallery.site_G):
        own_R, own_Q = gallery.site_N == site, probes.site_Q == site
        mean_F, spread_F = _of_people(enrolled_RF[own_R], gallery.entry_N[own_R])
        for out, value, own in ((first, enrolled_RF, own_R), (second, asked_QF, own_Q)):
            z = np.where(spread_F > _FLAT, (value[own] - mean_F) / np.maximum(spread_F, _FLAT), 0.0)
            out[own] = np.clip(np.nan_to_num(z), -CLIP, CLIP)
    person_GF = group_means(first, gallery.entry_N, len(gallery.site_G))
    half = second.shape[1] * (2 * CLIP) ** 2 / 2
    own_Q, own_G = (second**2).sum(axis=1, keepdims=True), (person_GF**2).sum(axis=1, keepdims=True)
    return Cosines(
        np.hstack([2 * second / half, 1 - own_Q / half, np.ones_like(own_Q)]),
        np.hstack([person_GF, np.ones_like(own_G), -own_G / half]),
    )


def _of_people(value_RF: np.ndarray, entry_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and spread over people of what is known; 0 where nothing is."""
    mean_F, spread_F = np.zeros((2, value_RF.shape[1]))
    for f, column in enumerate(value_RF.T):
        known = np.isfinite(column)
        if known.any():
            _, dense = np.unique(entry_R[known], return_inverse=True)
            person = group_means(column[known][:, None], dense, int(dense.max()) + 1)
            mean_F[f], spread_F[f] = person.mean(), person.std()
    return mean_F, spread_F
