"""Synthetic heartbeats: sums of Gaussian dipoles, rendered at a device's own rate.

SYNTHETIC: nothing in here was recorded from a person.

A beat is `WAVES` Gaussian pulses in time. Each has a dipole vector in millivolts in
body axes (x to the left, y to the feet, z to the front), a centre in seconds after the
R anchor and a width (standard deviation) in seconds. A lead sees the projection of the
dipoles on its lead vector. The construction follows the dynamical-model family of
McSharry et al., IEEE Trans Biomed Eng 50 (2003) 289-294, and Sameni et al., EURASIP
J Adv Signal Process 2007, 043407, written as a direct sum so that it vectorises.

Component boundaries are a convention, not a measurement: a component reaches from the
earliest ``centre - EDGE width`` to the latest ``centre + EDGE width`` of its waves, whether
or not a lead shows them. They are therefore exact for every sample, at any rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transecg_core.cohorts.schema import COMPONENT_CODE

WAVES: tuple[str, ...] = ("P1", "P2", "Q", "R", "NOTCH", "S", "ST", "T1", "T2", "U")
"""Waves of a beat (K): two atrial, four ventricular, the ST level, two of the T wave, U."""
P_WAVES, QRS_WAVES, T_WAVES = slice(0, 2), slice(2, 6), slice(7, 9)
REPOLARISATION = np.array([0, 0, 0, 0, 0, 0, 0.5, 1, 1, 1], dtype=float)
"""How far a wave's timing follows the RR interval (0: fixed, 1: as the QT interval)."""
EDGE = 2.0
"""A wave ends this many widths from its centre (13.5 % of its peak), about where delineators put it."""
REACH = 4.5
"""Rendering stops this many widths from the centre (0.004 % of the peak)."""
NORMAL, VENTRICULAR, SUPRAVENTRICULAR = 0, 1, 2
"""Beat types; equal to the codes of `transecg_core.cohorts.schema.BEATS`."""
MARGIN_S = 3.0
"""Beats are generated this long beyond both ends, so that edges are like the middle."""
MIN_RR_S = 0.33


@dataclass(frozen=True)
class BeatShape:
    """One beat's waves: dipoles (K, 3) in mV, centres (K,) and widths (K,) in seconds.

    Centres and widths of repolarisation hold at RR = 1 s. A ventricular beat's P waves
    have zero dipoles, and it has no P or PQ component.
    """

    dipole_K3: np.ndarray
    centre_K: np.ndarray
    width_K: np.ndarray


@dataclass(frozen=True)
class Rhythm:
    """Beats (B): R anchor times in s, types, and preceding RR intervals in s."""

    time_B: np.ndarray
    type_B: np.ndarray
    rr_B: np.ndarray


@dataclass(frozen=True)
class CleanLead:
    """A lead without any noise, in mV, with its exact truth at the same rate.

    ``r_sample_B`` is the largest deflection inside each QRS complex; only beats whose R
    sample lies inside the record are listed.
    """

    signal_T: np.ndarray
    component_T: np.ndarray
    r_sample_B: np.ndarray
    beat_class_B: np.ndarray


def make_rhythm(
    rng: np.random.Generator,
    duration_s: float,
    *,
    heart_rate_bpm: float,
    hrv: float,
    v_rate: float,
    s_rate: float,
) -> Rhythm:
    """Draw a rhythm that covers ``-MARGIN_S .. duration_s + MARGIN_S``.

    RR variability is respiratory (0.25 Hz) plus 0.1 Hz plus white, of total standard
    deviation ``hrv * mean RR``. Ectopic beats never follow each other. A ventricular beat
    comes at 0.55-0.75 of the expected interval and is followed by a fully compensatory
    pause; a supraventricular one comes at 0.60-0.78 and resets the rhythm.

    Parameters
    ----------
    v_rate, s_rate
        Fractions of ventricular and supraventricular beats among all beats.
    """
    rr_mean = 60.0 / heart_rate_bpm
    count = int((duration_s + 2 * MARGIN_S) / max(0.8 * rr_mean, MIN_RR_S)) + 8
    beat = np.arange(count) * rr_mean
    slow = np.sin(2 * np.pi * (0.25 * beat + rng.random())) + 0.8 * np.sin(
        2 * np.pi * (0.1 * beat + rng.random())
    )
    normal_B = rr_mean * (1 + hrv * (0.8 * slow + 0.5 * rng.standard_normal(count)))
    type_B = _beat_types(rng, count, v_rate, s_rate)
    ventricular, supra = type_B == VENTRICULAR, type_B == SUPRAVENTRICULAR
    rr_B = normal_B.copy()
    rr_B[ventricular] *= rng.uniform(0.55, 0.75, count)[ventricular]
    rr_B[supra] *= rng.uniform(0.60, 0.78, count)[supra]
    pause = np.flatnonzero(ventricular[:-1]) + 1
    rr_B[pause] += normal_B[pause - 1] - rr_B[pause - 1]
    rr_B = np.maximum(rr_B, MIN_RR_S)
    time_B = np.cumsum(rr_B) - rr_B[0] - MARGIN_S + rr_mean * rng.random()
    keep = time_B <= duration_s + MARGIN_S
    return Rhythm(time_B[keep], type_B[keep], rr_B[keep])


def _beat_types(rng: np.random.Generator, count: int, v_rate: float, s_rate: float) -> np.ndarray:
    total = v_rate + s_rate
    candidate = rng.random(count)
    # Beats after an ectopic one are never ectopic: draw the others at the higher rate that makes up for it.
    raised = total / (1 - total)
    type_B = np.full(count, NORMAL, dtype=np.uint8)
    for i in range(1, count):
        if type_B[i - 1] == NORMAL and candidate[i] < raised:
            type_B[i] = VENTRICULAR if candidate[i] * total < raised * v_rate else SUPRAVENTRICULAR
    return type_B


def render(
    shapes: Sequence[BeatShape],
    rhythm: Rhythm,
    *,
    lead_vector: np.ndarray,
    fs_hz: float,
    duration_s: float,
    gain_BK: np.ndarray,
    qt_rr_exponent: float,
) -> CleanLead:
    """Evaluate all beats on the device's sample grid.

    Parameters
    ----------
    shapes
        Shapes of the normal, ventricular and supraventricular beat, in this order.
    gain_BK
        Beat-to-beat amplitude factors of each wave.
    qt_rr_exponent
        QT is proportional to RR to this power; 1/3 is Fridericia's law, 0 switches it off.
    """
    samples = round(duration_s * fs_hz)
    type_B = rhythm.type_B
    amplitude_BK = np.stack([shape.dipole_K3 @ lead_vector for shape in shapes])[type_B] * gain_BK
    stretch_BK = _stretch(rhythm.rr_B, qt_rr_exponent)
    centre_BK = np.stack([shape.centre_K for shape in shapes])[type_B] * stretch_BK
    width_BK = np.stack([shape.width_K for shape in shapes])[type_B] * stretch_BK
    absolute_BK = centre_BK + rhythm.time_B[:, None]
    signal_T = np.zeros(samples)
    for k in range(len(WAVES)):
        _add_wave(signal_T, amplitude_BK[:, k], absolute_BK[:, k], width_BK[:, k], fs_hz)
    edge_BC2 = component_edges(absolute_BK, width_BK)
    component_T = _paint(edge_BC2, type_B, samples, fs_hz)
    return _with_r_samples(signal_T, component_T, edge_BC2[:, 1], type_B, fs_hz)


def _stretch(rr_B: np.ndarray, exponent: float) -> np.ndarray:
    """Repolarisation follows mostly the running mean of RR, and only partly the last interval."""
    effective_B = np.mean(rr_B) * (rr_B / np.mean(rr_B)) ** 0.3
    return np.asarray(1 + REPOLARISATION * (effective_B[:, None] ** exponent - 1))


def _add_wave(
    signal_T: np.ndarray, amplitude_B: np.ndarray, centre_B: np.ndarray, width_B: np.ndarray, fs_hz: float
) -> None:
    half = int(np.ceil(REACH * width_B.max() * fs_hz))
    index_BW = np.round(centre_B * fs_hz).astype(np.int64)[:, None] + np.arange(-half, half + 1)
    offset_BW = (index_BW / fs_hz - centre_B[:, None]) / width_B[:, None]
    value_BW = amplitude_B[:, None] * np.exp(-0.5 * offset_BW**2)
    inside = (index_BW >= 0) & (index_BW < signal_T.size)
    signal_T += np.bincount(index_BW[inside], weights=value_BW[inside], minlength=signal_T.size)


def component_edges(centre_BK: np.ndarray, width_BK: np.ndarray) -> np.ndarray:
    """Return onset and end (B, 3, 2) of P, QRS and T, in the unit of the arguments."""
    low_BK, high_BK = centre_BK - EDGE * width_BK, centre_BK + EDGE * width_BK
    groups = (P_WAVES, QRS_WAVES, T_WAVES)
    return np.stack(
        [np.stack([low_BK[:, g].min(axis=1), high_BK[:, g].max(axis=1)], axis=1) for g in groups], axis=1
    )


def _paint(edge_BC2: np.ndarray, type_B: np.ndarray, samples: int, fs_hz: float) -> np.ndarray:
    """Return component codes; where waves overlap (a P on the previous T), T wins over P, QRS over all."""
    code_T = np.full(samples, COMPONENT_CODE["TP"], dtype=np.uint8)
    edge = np.clip(np.ceil(edge_BC2 * fs_hz), 0, samples).astype(np.int64)
    has_p = type_B != VENTRICULAR
    spans = (
        ("PQ", edge[has_p, 0, 1], edge[has_p, 1, 0]),
        ("P", edge[has_p, 0, 0], edge[has_p, 0, 1]),
        ("ST", edge[:, 1, 1], edge[:, 2, 0]),
        ("T", edge[:, 2, 0], edge[:, 2, 1]),
        ("QRS", edge[:, 1, 0], edge[:, 1, 1]),
    )
    for name, starts, ends in spans:
        for start, end in zip(starts, ends, strict=True):
            code_T[start:end] = COMPONENT_CODE[name]
    return code_T


def _with_r_samples(
    signal_T: np.ndarray, component_T: np.ndarray, qrs_B2: np.ndarray, type_B: np.ndarray, fs_hz: float
) -> CleanLead:
    first_B, last_B = np.ceil(qrs_B2 * fs_hz).astype(np.int64).T
    inside = np.flatnonzero((first_B >= 0) & (last_B < signal_T.size))
    r_sample_B = np.array(
        [first_B[b] + np.argmax(np.abs(signal_T[first_B[b] : last_B[b] + 1])) for b in inside], dtype=np.int64
    )
    return CleanLead(signal_T, component_T, r_sample_B, type_B[inside].astype(np.uint8))
