"""A small exact ECG: Gaussian waves at known places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from transecg_core.cohorts.schema import Labels, Recording

# centre (s from R), width (s), height (mV)
WAVES = (
    (-0.16, 0.020, 0.15),
    (-0.025, 0.008, -0.1),
    (0.0, 0.010, 1.0),
    (0.025, 0.008, -0.2),
    (0.26, 0.040, 0.3),
)
PVC = ((0.0, 0.035, 1.4), (0.24, 0.06, -0.5))


def t_centre(rr_s: float) -> float:
    """Return where the T wave's peak is: it comes earlier at higher rates."""
    return WAVES[-1][0] * float(np.sqrt(rr_s / 0.8))


def beat_times(seconds: float, rr_s: float) -> np.ndarray:
    return np.arange(0.5, seconds - 0.2, rr_s)


def ecg(
    seconds: float = 20.0,
    fs_hz: float = 500.0,
    rr_s: float = 0.8,
    noise_mv: float = 0.01,
    ventricular: tuple[int, ...] = (),
    seed: int = 0,
    t_sign: int = 1,
    p_height: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return signal (T,) in mV and the beats' times in seconds."""
    t_T = np.arange(round(seconds * fs_hz)) / fs_hz
    x_T = noise_mv * np.random.default_rng(seed).standard_normal(t_T.size)
    times = beat_times(seconds, rr_s)
    for k, at in enumerate(times):
        for wave, (centre, width, height) in enumerate(PVC if k in ventricular else WAVES):
            if k not in ventricular and wave == len(WAVES) - 1:
                centre, height = t_centre(rr_s), t_sign * height
            if k not in ventricular and wave == 0:
                height *= p_height
            x_T += height * np.exp(-0.5 * ((t_T - at - centre) / width) ** 2)
    return x_T.astype(np.float32), times


@pytest.fixture(scope="session")
def make_ecg() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return ecg


@pytest.fixture
def make_recording() -> Callable[..., Recording]:
    def make(
        *,
        participant: str = "p1",
        record: str = "r1",
        session: int = 1,
        labels: bool = False,
        fs_hz: float = 500.0,
        scale: float = 1.0,
        ventricular: tuple[int, ...] = (),
        **kwargs: float,
    ) -> Recording:
        x_T, times = ecg(fs_hz=fs_hz, ventricular=ventricular, **kwargs)
        found = Labels()
        if labels:
            codes = np.array([int(k in ventricular) for k in range(times.size)], dtype=np.uint8)
            found = Labels(beat_sample_B=np.round(times * fs_hz).astype(np.int64), beat_class_B=codes)
        return Recording(
            "site", participant, session, record, fs_hz, "I", x_T * np.float32(scale), labels=found
        )

    return make
