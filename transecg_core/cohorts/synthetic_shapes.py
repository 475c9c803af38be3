"""Shapes of synthetic beats: from clinical measurements to waves, and how shapes vary.

SYNTHETIC: no constant in here describes a person.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from transecg_core.cohorts.synthetic_beats import EDGE, P_WAVES, QRS_WAVES, T_WAVES, WAVES, BeatShape

K = len(WAVES)
R = WAVES.index("R")


@dataclass(frozen=True)
class Traits:
    """Clinical measurements a person's beats are built from (times at RR = 1 s)."""

    heart_rate_bpm: float
    hrv: float
    pr_s: float
    qrs_s: float
    qtc_s: float
    axis_deg: float
    t_gain: float
    st_mv: float


POPULATION = Traits(
    heart_rate_bpm=68.0,
    hrv=0.045,
    pr_s=0.158,
    qrs_s=0.092,
    qtc_s=0.405,
    axis_deg=42.0,
    t_gain=1.0,
    st_mv=0.035,
)
"""Means for a healthy man of 50."""


@dataclass(frozen=True)
class Spread:
    """Standard deviations of one source of variation, for all waves together.

    ``rotation_deg`` turns the whole heart (or the electrodes), ``turn_deg`` each wave by itself,
    ``log_gain`` and ``log_width`` are relative, ``shift_s`` moves wave centres, and ``extra_mv``
    adds a dipole to each wave, however small the wave is.
    """

    rotation_deg: float
    turn_deg: float
    log_gain: float
    log_width: float
    shift_s: float
    extra_mv: float


@dataclass(frozen=True)
class Variation:
    """How much people differ, and how much one person differs from day to day and beat to beat.

    ``benchmarks/calibrate_synthetic.py`` prints what these constants give next to ECG-ID's floors.

    Attributes
    ----------
    person
        Between people.
    session
        Between sessions of one person (electrode placement, posture, autonomic state).
    session_log_scale
        Log-sd of a session's factor on `session`: most sessions drift little, some a lot.
    record
        Between records of one session, as a fraction of `session`.
    session_heart_rate_bpm
        Standard deviation of a session's mean heart rate.
    beat_log_gain
        Beat-to-beat relative amplitude change of each wave.
    noise_factor
        Factor on every device's muscle noise; varies by record with log-sd 0.3.
    """

    person: Spread = Spread(14.0, 16.0, 0.28, 0.15, 0.006, 0.025)
    session: Spread = Spread(3.0, 2.1, 0.037, 0.014, 0.0007, 0.0030)
    session_log_scale: float = 0.65
    record: float = 0.9
    session_heart_rate_bpm: float = 6.0
    beat_log_gain: float = 0.06
    noise_factor: float = 1.0


CALIBRATED = Variation()


def _direction(angle_deg: float, front: float) -> np.ndarray:
    """Return a unit vector at `angle_deg` in the frontal plane (0 left, 90 feet), tilted to the front."""
    angle = np.deg2rad(angle_deg)
    vector = np.array([np.cos(angle), np.sin(angle), front])
    return np.asarray(vector / np.linalg.norm(vector))


def normal_beat(traits: Traits) -> BeatShape:
    """Return the sinus beat that has exactly these traits (PR, QRS, QT from onset to end)."""
    axis, t = traits.axis_deg, traits.t_gain
    dipole_K3 = np.stack(
        [
            0.068 * _direction(65.0, 0.5),
            0.062 * _direction(45.0, -0.4),
            0.12 * _direction(axis + 150.0, 0.9),
            1.10 * _direction(axis, -0.15),
            0.16 * _direction(axis - 30.0, -0.8),
            0.30 * _direction(axis + 170.0, -0.9),
            traits.st_mv * _direction(axis, 0.3),
            0.17 * t * _direction(axis - 5.0, 0.5),
            0.20 * t * _direction(axis, 0.4),
            0.015 * _direction(axis, 0.5),
        ]
    )
    onset = -0.47 * traits.qrs_s
    end = onset + traits.qrs_s
    p_onset, t_end = onset - traits.pr_s, onset + traits.qtc_s
    width_K = np.array([0.016, 0.018, 0.008, 0.0105, 0.009, 0.010, 0.034, 0.036, 0.027, 0.030])
    width_K[QRS_WAVES] *= traits.qrs_s / POPULATION.qrs_s
    centre_K = np.array(
        [
            p_onset + EDGE * width_K[0],
            p_onset + 0.058,
            onset + EDGE * width_K[2],
            0.0,
            0.30 * end,
            end - EDGE * width_K[5],
            end + 0.055,
            t_end - 0.100,
            t_end - EDGE * width_K[8],
            t_end + 0.070,
        ]
    )
    return BeatShape(dipole_K3, centre_K, width_K)


def ventricular_beat(rng: np.random.Generator, normal: BeatShape, traits: Traits) -> BeatShape:
    """Return the person's PVC-like beat: no P, wide QRS from one focus, T opposite to it."""
    focus = _direction(
        traits.axis_deg + rng.choice([-1.0, 1.0]) * rng.uniform(70, 200), rng.uniform(-0.8, 0.8)
    )
    size = 2.2 * np.exp(0.2 * rng.standard_normal())
    dipole_K3, centre_K, width_K = np.zeros((K, 3)), normal.centre_K.copy(), normal.width_K.copy()
    dipole_K3[QRS_WAVES] = size * np.array([[-0.15], [0.95], [0.50], [-0.25]]) * focus
    centre_K[QRS_WAVES] = [-0.045, 0.0, 0.032, 0.075]
    width_K[QRS_WAVES] = [0.013, 0.018, 0.016, 0.018]
    dipole_K3[T_WAVES] = -size * np.array([[0.15], [0.18]]) * focus
    centre_K[T_WAVES] += 0.035
    return BeatShape(dipole_K3, centre_K, width_K)


def supraventricular_beat(rng: np.random.Generator, normal: BeatShape) -> BeatShape:
    """Return the person's APC-like beat: normal QRS, shorter PR, P wave from another focus."""
    dipole_K3, centre_K, width_K = normal.dipole_K3.copy(), normal.centre_K.copy(), normal.width_K.copy()
    dipole_K3[P_WAVES] *= rng.uniform(-1.1, -0.5)
    centre_K[P_WAVES] += rng.uniform(0.015, 0.035)
    width_K[P_WAVES] *= 0.9
    return BeatShape(dipole_K3, centre_K, width_K)


def perturb(rng: np.random.Generator, beat: BeatShape, spread: Spread, scale: float) -> BeatShape:
    """Return `beat` with every kind of variation of `spread`, times `scale`; R stays the time anchor."""
    turn_K33 = _rotations(np.deg2rad(spread.turn_deg) * scale * rng.standard_normal((K, 3)))
    whole_33 = _rotations(np.deg2rad(spread.rotation_deg) * scale * rng.standard_normal((1, 3)))[0]
    gain_K = np.exp(spread.log_gain * scale * rng.standard_normal(K))
    present_K1 = np.any(beat.dipole_K3 != 0, axis=1, keepdims=True)
    extra_K3 = spread.extra_mv * scale * rng.standard_normal((K, 3)) * present_K1
    shift_K = spread.shift_s * scale * rng.standard_normal(K)
    shift_K[T_WAVES] *= 2.5
    shift_K[R] = 0.0
    width_K = beat.width_K * np.exp(spread.log_width * scale * rng.standard_normal(K))
    turned_K3 = np.einsum("kij,kj->ki", turn_K33, beat.dipole_K3) @ whole_33.T
    return replace(
        beat,
        dipole_K3=turned_K3 * gain_K[:, None] + extra_K3,
        centre_K=beat.centre_K + shift_K,
        width_K=width_K,
    )


def _rotations(vector_N3: np.ndarray) -> np.ndarray:
    """Return rotation matrices (N, 3, 3) of rotation vectors in radians (Rodrigues' formula)."""
    angle_N11 = np.linalg.norm(vector_N3, axis=1)[:, None, None] + 1e-12
    x, y, z = vector_N3.T / angle_N11[:, 0, 0]
    zero = np.zeros_like(x)
    cross_N33 = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    square_N33 = cross_N33 @ cross_N33
    return np.asarray(np.eye(3) + np.sin(angle_N11) * cross_N33 + (1 - np.cos(angle_N11)) * square_N33)
