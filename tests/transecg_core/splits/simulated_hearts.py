"""Recordings drawn from a few numbers, cut into windows, for the tests of copies."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.signal import butter, find_peaks, sosfiltfilt

from transecg_core.signals.schema import R_OFFSET, WINDOW, RecordInfo, Windows
from transecg_core.splits.duplicates import DuplicatePair

FS = 250.0
BAND = butter(3, (0.5, 40.0), btype="bandpass", fs=FS, output="sos")
WAVES = (
    (-0.16, 0.02, 0.15),
    (-0.025, 0.008, -0.1),
    (0.0, 0.01, 1.0),
    (0.025, 0.008, -0.2),
    (0.26, 0.04, 0.3),
)
WIDE = ((-0.03, 0.02, -0.1), (0.0, 0.03, 1.1), (0.05, 0.02, -0.3), (0.3, 0.06, -0.35))


def ecg(
    seed: int,
    seconds: float = 20.0,
    spread_s: float = 0.03,
    person: int = 0,
    noise_seed: int | None = None,
    rr_s: float = 0.8,
    noise: float = 0.03,
    swing: float = 0.0,
    bigeminy: bool = False,
) -> np.ndarray:
    """Return mV at 250 Hz; `person` shapes the beat, `seed` draws rhythm, breathing and noise.

    Breathing changes the height of the QRS complex by `swing`; of `bigeminy`, every other beat is a wide one.
    """
    who, beats = np.random.default_rng([7, person]), np.random.default_rng([9, seed])
    rng = np.random.default_rng([8, seed if noise_seed is None else noise_seed])
    waves = np.array(WAVES) * (1 + 0.1 * who.standard_normal((len(WAVES), 3)) * [0, 1, 1])
    t_T = np.arange(round(seconds * FS)) / FS
    x_T = noise * sosfiltfilt(BAND, rng.standard_normal(t_T.size))
    breaths_hz, phase = rng.uniform(0.2, 0.35), rng.uniform()
    x_T += 0.08 * np.sin(2 * np.pi * (breaths_hz * t_T + phase))
    kinds = [waves, np.array(WIDE) * (1 + 0.1 * who.standard_normal((len(WIDE), 3)) * [0, 1, 1])]
    at, wide = beats.uniform(0.3, 0.9), False
    while at < seconds:
        near = slice(max(0, round((at - 0.4) * FS)), round((at + 0.6) * FS))
        gain = 1 + swing * np.sin(2 * np.pi * (breaths_hz * at + phase))
        for centre, width, height in kinds[wide]:
            height *= gain if abs(centre) < 0.1 else 1
            x_T[near] += height * np.exp(-0.5 * ((t_T[near] - at - centre) / width) ** 2)
        wide ^= bigeminy
        at += rr_s + spread_s * beats.standard_normal()
    return np.asarray(x_T)


def cut(sites: dict[str, dict[str, np.ndarray]]) -> list[tuple[str, Windows]]:
    """Return windows of signals at 250 Hz; R peaks are where the signal is farthest from its median."""
    return [(site, _cut(signals)) for site, signals in sites.items()]


def _cut(signals: dict[str, np.ndarray]) -> Windows:
    x, rows, peaks, infos = [], [], [], []
    for index, (name, x_T) in enumerate(signals.items()):
        height_T = np.abs(x_T - np.median(x_T))
        found = find_peaks(height_T, height=0.5 * height_T.max(), distance=60)[0].tolist()
        peaks += [(index, r) for r in found]
        for r in found:
            if R_OFFSET <= r <= x_T.size - (WINDOW - R_OFFSET):
                window = x_T[r - R_OFFSET : r - R_OFFSET + WINDOW]
                x.append((window - window.mean()) / window.std())
                rows.append((index, r))
        infos.append(RecordInfo(f"of {name}", 1, name, "I", x_T.size / FS, None, None, None))
    record_N, r_N = np.array(rows).T
    rpeak_record_B, rpeak_B = np.array(peaks).T
    return Windows(
        np.array(x, dtype=np.float32), record_N.astype(np.int32), np.ones(len(rows), np.int16),
        record_N.astype(np.int32), np.full(len(rows), 255, np.uint8), np.zeros((len(rows), WINDOW), np.uint8),
        r_N, np.ones(len(rows), np.float32), rpeak_B, rpeak_record_B.astype(np.int32),
        tuple(i.participant for i in infos), tuple(infos), (),
    )  # fmt: skip


def others(count: int, **options: float) -> dict[str, np.ndarray]:
    """Return recordings of other people, of seeds that no test draws."""
    return {f"other{k}": ecg(2 * 10**6 + k, person=k, **options) for k in range(count)}  # type: ignore[arg-type]


def pairs(found: tuple[DuplicatePair, ...]) -> set[tuple[str, str]]:
    return {(pair.record_a, pair.record_b) for pair in found}


def by_another_clock(x_T: np.ndarray, ppm: float) -> np.ndarray:
    """Return the signal as a converter that runs `ppm` fast would have sampled it."""
    at_T = np.arange(round(x_T.size * (1 + ppm / 1e6))) / (1 + ppm / 1e6)
    return np.asarray(CubicSpline(np.arange(x_T.size), x_T)(at_T))
