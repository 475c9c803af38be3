"""Planted truths: synthetic cohorts in which we know where identity is, because we put it there.

SYNTHETIC, and a test instrument: an audit or an attribution method that can't find what
was planted here has no standing on real data.

In a planted cohort everybody has the same heart: no effect of sex, age or diagnosis, no
ectopy, no session drift (a drift shared by two records of a session would be identity
under the other-record protocol). What is left is heart-rate variability, beat-to-beat
amplitude changes and noise, equally distributed for all. On top of that comes the plant:

``P``, ``QRS``, ``T``
    A shape change inside that component only. Its duration is the component's own, fixed,
    duration (QT does not follow RR here); its mean is zero; its energy is the same for
    everybody; it is orthogonal to the beat, so that the total energy is constant too; its
    slope at the R peak is zero, so that R alignment can't move. All this holds as seen after the
    usual 0.5-40 Hz band-pass, which carries at most 1 % of its energy out of the component.
    Only its direction differs between people. Without these conditions a z-normed,
    R-aligned window would carry the identity elsewhere.
``device``
    No identity in the heart. Each person's records all come from a recorder of their own with a
    resonance of its own, which rings after beats and colours noise: a shortcut that
    links records without any physiology.
``none``
    No identity at all: every linking result above chance is an error of the audit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from transecg_core.cohorts.synthetic_beats import BeatShape, Rhythm, component_edges
from transecg_core.cohorts.synthetic_devices import ringing
from transecg_core.seeds import seed_for

Planted = Literal["P", "QRS", "T", "device", "none"]
PLANTS: tuple[str, ...] = get_args(Planted)
_COMPONENT_ROW = {"P": 0, "QRS": 1, "T": 2}
_FINE_S = 0.0005
_REACH_S = 2.0
_MAX_HZ = 45.0
MAX_LEAK = 0.01
"""Largest share of a shape's energy that the usual band-pass may carry out of its component."""


@dataclass(frozen=True)
class Plant:
    """What carries identity, and how strongly.

    Attributes
    ----------
    carrier
        One of `PLANTS`.
    strength_mv
        Root mean square of the shape change over its component (``P``, ``QRS``, ``T``).
    resonance_gain
        Gain of the recorder's resonance at its own frequency (``device``).
    """

    carrier: Planted
    strength_mv: float = 0.05
    resonance_gain: float = 0.6

    def __post_init__(self) -> None:
        if self.carrier not in PLANTS:
            raise ValueError(f"no plant named '{self.carrier}'; choose one of {', '.join(PLANTS)}")
        if not (self.strength_mv > 0 and self.resonance_gain > 0):
            raise ValueError(
                "a plant's strength must be positive; use Plant('none') for a cohort without identity"
            )


def add_shape(
    plant: Plant,
    signal_T: np.ndarray,
    rhythm: Rhythm,
    beat: BeatShape,
    *,
    lead_vector: np.ndarray,
    fs_hz: float,
    seed: int,
    person: str,
) -> np.ndarray:
    """Return the clean lead with the person's shape change added to each beat (no-op for other plants)."""
    if plant.carrier not in _COMPONENT_ROW:
        return signal_T
    offset_F, shapes_JF = shape_space(plant.carrier, beat, lead_vector)
    rng = np.random.default_rng(seed_for(seed, "planted shape", person))
    weight_J = rng.standard_normal(len(shapes_JF))
    pattern_F = plant.strength_mv * (weight_J / np.linalg.norm(weight_J)) @ shapes_JF
    out_T = signal_T.copy()
    for r_s in rhythm.time_B:
        first = max(int(np.ceil((r_s + offset_F[0]) * fs_hz)), 0)
        last = min(int(np.floor((r_s + offset_F[-1]) * fs_hz)), signal_T.size - 1)
        if first <= last:
            index = np.arange(first, last + 1)
            out_T[index] += np.interp(index / fs_hz - r_s, offset_F, pattern_F)
    return out_T


def shape_space(carrier: str, beat: BeatShape, lead_vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the time axis (F,) in s after R and admissible shapes (J, F).

    The shapes are zero at the component's edges and have zero mean. After the band-pass they are
    orthogonal to each other and to the beat in this lead, have the same energy (unit rms over the
    component), at most `MAX_LEAK` of it outside the component, and zero slope at R.
    All of this holds for every linear combination of them with weights of unit length.
    """
    edge_C2 = component_edges(beat.centre_K[None], beat.width_K[None])[0]
    start, end = edge_C2[_COMPONENT_ROW[carrier]]
    axis_A = np.arange(-_REACH_S, _REACH_S, _FINE_S)
    inside_A = (axis_A >= start) & (axis_A <= end)
    phase_A = (axis_A - start) / (end - start)
    waves = [np.ones_like(phase_A)]
    for k in range(1, min(int(_MAX_HZ * (end - start)) - 1, 5) + 1):
        waves += [np.cos(2 * np.pi * k * phase_A), np.sin(2 * np.pi * k * phase_A)]
    basis_JA = np.stack(waves) * np.where(inside_A, np.sin(np.pi * phase_A) ** 2, 0.0)
    wave_AK = np.exp(-0.5 * ((axis_A[:, None] - beat.centre_K) / beat.width_K) ** 2)
    base_A, seen_JA = _band_pass(wave_AK @ (beat.dipole_K3 @ lead_vector)), _band_pass(basis_JA)
    conditions = [basis_JA.mean(axis=1), seen_JA @ base_A]
    if carrier == "QRS":
        conditions.append(np.gradient(seen_JA, axis=1)[:, np.argmin(np.abs(axis_A))])
    conditions = [condition / np.linalg.norm(condition) for condition in conditions]
    free_IJ = np.linalg.svd(np.stack(conditions))[2][len(conditions) :]
    # Whitened by their energy as seen after the band-pass, sorted by how much of it leaks out.
    energy_II = free_IJ @ (seen_JA @ seen_JA.T) @ free_IJ.T
    white_IJ = np.linalg.solve(np.linalg.cholesky(energy_II), free_IJ)
    outside_IA = white_IJ @ seen_JA[:, ~inside_A]
    leak_I, turn_II = np.linalg.eigh(outside_IA @ outside_IA.T)
    chosen_IJ = (turn_II.T @ white_IJ)[leak_I <= MAX_LEAK]
    return axis_A[inside_A], chosen_IJ @ basis_JA[:, inside_A] * np.sqrt(inside_A.sum())


def _band_pass(x_A: np.ndarray) -> np.ndarray:
    """Return `x_A` (last axis) after a zero-phase 0.5-40 Hz Butterworth filter of order 3."""
    hz = np.fft.rfftfreq(x_A.shape[-1], _FINE_S)
    low, high = (hz / 0.5) ** 6, (hz / 40.0) ** 6
    return np.asarray(np.fft.irfft(np.fft.rfft(x_A) * low / (1 + low) / (1 + high), x_A.shape[-1]))


def add_recorder(plant: Plant, signal_T: np.ndarray, *, fs_hz: float, seed: int, person: str) -> np.ndarray:
    """Return what the person's own recorder makes of an analogue signal (no-op unless ``device``)."""
    if plant.carrier != "device":
        return signal_T
    rng = np.random.default_rng(seed_for(seed, "planted recorder", person))
    return ringing(signal_T, fs_hz, rng.uniform(8.0, 32.0), plant.resonance_gain)
