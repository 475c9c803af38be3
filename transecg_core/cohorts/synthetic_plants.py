"""Planted truths: synthetic cohorts in which we know where identity is, because we put it there.

SYNTHETIC, and a test instrument: an audit or an attribution method that can't find what
was planted here has no standing on real data.

In a planted cohort everybody has the same heart: no effect of sex, age or diagnosis, no
ectopy, no session drift (a drift shared by two records of a session would be identity
under the other-record protocol). What is left is heart-rate variability, beat-to-beat
amplitude changes and noise, equally distributed for all. On top of that comes the plant:

``P``, ``PQ``, ``QRS``, ``ST``, ``T``, ``TP``
    A shape change inside that component only. Its duration is the component's own, fixed,
    duration (QT does not follow RR here; ``TP`` counts from the end of the T wave to `TP_END_S`); its
    mean is zero; its energy is the same for
    everybody; it is orthogonal to the beat, so that the total energy is constant too; its
    slope at the R peak is zero, so that R alignment can't move. All this holds as seen after the
    usual 0.5-40 Hz band-pass, which carries at most 1 % of its energy out of the component.
    Only its direction differs between people. Without these conditions a z-normed,
    R-aligned window would carry the identity elsewhere. The usual heart's PQ segment (64 ms) holds one
    such shape, and one shape tells nobody from anybody; so everybody in the ``PQ`` cohort has a long
    PR interval (`LONG_PR_S`), whose PQ segment (104 ms) holds five.
``device``
    No identity in the heart. Each person's records all come from a recorder of their own with a
    resonance of its own, which rings after beats and colours noise: a shortcut that
    links records without any physiology.
``none``
    No identity at all: every linking result above chance is an error of the audit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from transecg_core.cohorts.synthetic_beats import BeatShape, Rhythm, component_edges
from transecg_core.cohorts.synthetic_devices import ringing
from transecg_core.cohorts.synthetic_shapes import POPULATION, Traits, normal_beat
from transecg_core.seeds import seed_for

Planted = Literal["P", "PQ", "QRS", "ST", "T", "TP", "device", "none"]
PLANTS: tuple[str, ...] = get_args(Planted)
WAVE_PLANTS: tuple[str, ...] = ("P", "PQ", "QRS", "ST", "T", "TP")
"""Plants that are a shape of one component."""
LONG_PR_S = 0.198
"""PR interval of the ``PQ`` cohort: the longest that still counts as normal is 0.2 s."""
TP_END_S = 0.5
"""Where a ``TP`` shape ends, in s after R: the end of a window."""
WIDE_QRS_S = 0.118
"""QRS duration of the strict ``QRS`` cohort: the longest that still counts as normal is 0.12 s."""
_FINE_S = 0.0005
_REACH_S = 2.0
_MAX_HZ = 45.0
MAX_LEAK = 0.01
"""Largest share of a shape's energy that the usual band-pass may carry out of its component."""
STRICT_LEAK, INSET_S = 1e-5, 0.004
"""The same of a strict plant, and how far inside its component's ends a strict shape starts and ends."""
STRICT_MAX_HZ = {"P": 55.0, "QRS": 55.0}
"""Highest harmonic of strict shapes, where the usual one leaves too few shapes."""


@dataclass(frozen=True)
class Plant:
    """What carries identity, and how strongly.

    Attributes
    ----------
    carrier
        One of `PLANTS`.
    strength_mv
        Root mean square of the shape change over its component (`WAVE_PLANTS`).
    resonance_gain
        Gain of the recorder's resonance at its own frequency (``device``).
    strict
        Hold the shape more tightly in its component (`WAVE_PLANTS`). An oracle that averages a person's
        windows sees one part in a thousand of a shape's energy, and `MAX_LEAK` is one in a hundred. The shape
        then starts and ends `INSET_S` inside the component, leaks at most `STRICT_LEAK`, and a QRS shape
        has no height and no third derivative at R either: the R peak of a noisy window is the
        largest sample of a rounded top, and a lopsided top moves it. That takes a wide QRS (`WIDE_QRS_S`).
    """

    carrier: Planted
    strength_mv: float = 0.05
    resonance_gain: float = 0.6
    strict: bool = False

    def __post_init__(self) -> None:
        if self.carrier not in PLANTS:
            raise ValueError(f"no plant named '{self.carrier}'; choose one of {', '.join(PLANTS)}")
        if not (self.strength_mv > 0 and self.resonance_gain > 0):
            raise ValueError(
                "a plant's strength must be positive; use Plant('none') for a cohort without identity"
            )

    @property
    def heart(self) -> Traits:
        """The heart that everybody in the cohort has."""
        if self.carrier == "PQ":
            return replace(POPULATION, pr_s=LONG_PR_S)
        if self.carrier == "QRS" and self.strict:
            return replace(POPULATION, qrs_s=WIDE_QRS_S)
        return POPULATION

    @property
    def span_s(self) -> tuple[float, float]:
        """Where the component starts and ends in everybody's beats, in s after R (`WAVE_PLANTS`)."""
        return component_span(self.carrier, normal_beat(self.heart))


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
    if plant.carrier not in WAVE_PLANTS:
        return signal_T
    offset_F, shapes_JF = shape_space(plant.carrier, beat, lead_vector, plant.strict)
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


def shape_space(
    carrier: str, beat: BeatShape, lead_vector: np.ndarray, strict: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the time axis (F,) in s after R and admissible shapes (J, F).

    The shapes are zero at the component's edges (strict: `INSET_S` inside) and have zero mean. After the
    band-pass they are orthogonal to each other and to the beat in this lead, have the same energy (unit rms
    over the time axis), at most `MAX_LEAK` (`STRICT_LEAK`) of it outside the component, and zero slope at R.
    All of this holds for every linear combination of them with weights of unit length.
    """
    start, end = component_span(carrier, beat)
    axis_A = np.arange(-_REACH_S, _REACH_S, _FINE_S)
    component_A = (axis_A >= start) & (axis_A <= end)
    if strict:
        start, end = start + INSET_S, end - INSET_S
    inside_A = (axis_A >= start) & (axis_A <= end)
    harmonics = _harmonics(carrier, end - start, strict)
    basis_JA = _waves((axis_A - start) / (end - start), harmonics) * inside_A
    wave_AK = np.exp(-0.5 * ((axis_A[:, None] - beat.centre_K) / beat.width_K) ** 2)
    base_A, seen_JA = _band_pass(wave_AK @ (beat.dipole_K3 @ lead_vector)), _band_pass(basis_JA)
    conditions = [basis_JA.mean(axis=1), seen_JA @ base_A]
    if carrier == "QRS":
        # The peak that a detector finds in this lead lies up to some ms from the R wave's own centre.
        height_A = np.abs(base_A) if strict else -np.abs(axis_A)
        conditions += _at_r(seen_JA, int(np.argmax(height_A)), strict)
    conditions = [condition / np.linalg.norm(condition) for condition in conditions]
    free_IJ = np.linalg.svd(np.stack(conditions))[2][len(conditions) :]
    # Whitened by their energy as seen after the band-pass, sorted by how much of it leaks out.
    energy_II = free_IJ @ (seen_JA @ seen_JA.T) @ free_IJ.T
    white_IJ = np.linalg.solve(np.linalg.cholesky(energy_II), free_IJ)
    outside_IA = white_IJ @ seen_JA[:, ~component_A]
    leak_I, turn_II = np.linalg.eigh(outside_IA @ outside_IA.T)
    chosen_IJ = (turn_II.T @ white_IJ)[leak_I <= (STRICT_LEAK if strict else MAX_LEAK)]
    return axis_A[inside_A], chosen_IJ @ basis_JA[:, inside_A] * np.sqrt(inside_A.sum())


def _waves(phase_A: np.ndarray, most: int) -> np.ndarray:
    """Return the tapered harmonics (J, A) up to number `most` of a phase that goes from 0 to 1."""
    waves = [np.ones_like(phase_A)]
    for k in range(1, most + 1):
        waves += [np.cos(2 * np.pi * k * phase_A), np.sin(2 * np.pi * k * phase_A)]
    return np.asarray(np.stack(waves) * np.sin(np.pi * phase_A) ** 2)


def _harmonics(carrier: str, seconds: float, strict: bool) -> int:
    """Return how many harmonics there are; a taper widens their band, so that the last ones leak.

    The usual plants have none that could; the strict ones take them and leave out what leaks.
    """
    if not strict:
        return min(int(_MAX_HZ * seconds) - 1, 5)
    return min(round(STRICT_MAX_HZ.get(carrier, _MAX_HZ) * seconds), 6)


def _at_r(seen_JA: np.ndarray, r: int, strict: bool) -> list[np.ndarray]:
    """Return what must be zero at R, each (J,): the slope; strict: height and third derivative too."""
    slope_JA = np.gradient(seen_JA, axis=1)
    if not strict:
        return [slope_JA[:, r]]
    third_JA = np.gradient(np.gradient(slope_JA, axis=1), axis=1)
    return [slope_JA[:, r], seen_JA[:, r], third_JA[:, r]]


def component_span(carrier: str, beat: BeatShape) -> tuple[float, float]:
    """Return where a component of `WAVE_PLANTS` starts and ends, in s after R."""
    p, qrs, t = component_edges(beat.centre_K[None], beat.width_K[None])[0].tolist()
    spans = {"P": p, "PQ": (p[1], qrs[0]), "QRS": qrs, "ST": (qrs[1], t[0]), "T": t, "TP": (t[1], TP_END_S)}
    start, end = spans[carrier]
    return start, end


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
