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
    everybody; it is orthogonal to the component's wave, so that the beat's total energy is
    constant too; its slope at the R peak is zero, so that R alignment can't move; and it has
    nothing above 45 Hz. Only its direction differs between people. Without these conditions
    a z-normed, R-aligned window would carry the identity elsewhere.
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
_MAX_HZ = 45.0


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
    """Return the time axis (F,) in s after R and admissible shapes (J, F), orthogonal, of unit rms.

    Every linear combination of them is zero at the component's edges, has zero mean, is
    orthogonal to the beat in this lead and has zero slope at R.
    """
    edge_C2 = component_edges(beat.centre_K[None], beat.width_K[None])[0]
    start, end = edge_C2[_COMPONENT_ROW[carrier]]
    offset_F = np.arange(start, end, _FINE_S)
    phase_F = (offset_F - start) / (end - start)
    top = int(_MAX_HZ * (end - start)) - 1
    waves = [np.ones_like(phase_F)]
    for k in range(1, min(top, 5) + 1):
        waves += [np.cos(2 * np.pi * k * phase_F), np.sin(2 * np.pi * k * phase_F)]
    basis_JF = np.stack(waves) * np.sin(np.pi * phase_F) ** 2
    base_F = np.exp(-0.5 * ((offset_F[:, None] - beat.centre_K) / beat.width_K) ** 2) @ (
        beat.dipole_K3 @ lead_vector
    )
    conditions = [basis_JF.mean(axis=1), basis_JF @ base_F / offset_F.size]
    if carrier == "QRS":
        conditions.append(np.gradient(basis_JF, _FINE_S, axis=1)[:, np.argmin(np.abs(offset_F))])
    free_JJ = np.linalg.svd(np.stack(conditions))[2][len(conditions) :]
    _, _, shapes_JF = np.linalg.svd(free_JJ @ basis_JF, full_matrices=False)
    return offset_F, shapes_JF * np.sqrt(offset_F.size)


def add_recorder(plant: Plant, signal_T: np.ndarray, *, fs_hz: float, seed: int, person: str) -> np.ndarray:
    """Return what the person's own recorder makes of an analogue signal (no-op unless ``device``)."""
    if plant.carrier != "device":
        return signal_T
    rng = np.random.default_rng(seed_for(seed, "planted recorder", person))
    return ringing(signal_T, fs_hz, rng.uniform(8.0, 32.0), plant.resonance_gain)
