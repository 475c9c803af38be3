"""The four synthetic recording devices: rate, lead, gain, noise, mains, quantisation.

SYNTHETIC: the devices are inventions with the sampling rates and leads of common ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter


@dataclass(frozen=True)
class Device:
    """One site's recorder.

    Attributes
    ----------
    lead_vector
        Sensitivity to the heart's dipole along (left, feet, front).
    gain
        Calibration error: recorded mV per true mV.
    noise_mv
        Standard deviation of muscle and amplifier noise between 0 and 125 Hz.
    wander_mv
        Amplitude of baseline wander from breathing and electrode drift.
    mains_hz, mains_mv
        Frequency and amplitude of power-line hum.
    lsb_mv
        Quantisation step.
    """

    fs_hz: float
    lead: str
    lead_vector: tuple[float, float, float]
    gain: float
    noise_mv: float
    wander_mv: float
    mains_hz: float
    mains_mv: float
    lsb_mv: float


DEVICES: Mapping[str, Device] = {
    "synth-a": Device(500.0, "I", (1.0, 0.0, 0.0), 1.00, 0.033, 0.10, 50.0, 0.010, 0.0005),
    "synth-b": Device(360.0, "II", (0.5, 0.87, 0.0), 1.04, 0.036, 0.15, 60.0, 0.015, 0.0050),
    "synth-c": Device(250.0, "V5", (0.95, 0.50, 0.40), 0.97, 0.030, 0.08, 50.0, 0.005, 0.0025),
    "synth-d": Device(128.0, "II", (0.5, 0.87, 0.0), 0.95, 0.040, 0.20, 50.0, 0.008, 0.0100),
}
"""Site name -> its device."""


def disturb(device: Device, clean_T: np.ndarray, rng: np.random.Generator, noise_factor: float) -> np.ndarray:
    """Return a clean lead with muscle noise, baseline wander and mains hum, in mV (T,).

    Parameters
    ----------
    noise_factor
        Factor on the muscle noise; 1 is the device's typical record.
    """
    samples = clean_T.size
    time_T = np.arange(samples) / device.fs_hz
    noise_T = muscle_noise(rng, samples, device.fs_hz) * device.noise_mv * noise_factor
    breath_hz, slow_hz = rng.uniform(0.18, 0.32), rng.uniform(0.03, 0.08)
    phase = rng.random(4)
    wander_T = np.sin(2 * np.pi * (breath_hz * time_T + phase[0])) * 0.5
    wander_T += np.sin(2 * np.pi * (slow_hz * time_T + phase[1]))
    hum_T = np.sin(2 * np.pi * (device.mains_hz * time_T + phase[2]))
    hum_T += 0.2 * np.sin(2 * np.pi * (3 * device.mains_hz * time_T + phase[3]))
    return np.asarray(clean_T + noise_T + device.wander_mv * wander_T + device.mains_mv * hum_T)


def digitise(device: Device, analogue_T: np.ndarray) -> np.ndarray:
    """Return what `device` stores: float32 (T,) mV with its gain, on its quantisation grid."""
    return (np.round(device.gain * analogue_T / device.lsb_mv) * device.lsb_mv).astype(np.float32)


def muscle_noise(rng: np.random.Generator, samples: int, fs_hz: float) -> np.ndarray:
    """Return noise with equal power density at every device rate, unit variance over 0-125 Hz.

    A weak first-order low-pass gives it the slope of surface muscle noise in the ECG band.
    """
    white_T = rng.standard_normal(samples) * np.sqrt(fs_hz / 250.0)
    pole = np.exp(-2 * np.pi * 60.0 / fs_hz)
    return np.asarray(lfilter([1 - pole], [1, -pole], white_T)) * 1.15


def ringing(signal_T: np.ndarray, fs_hz: float, resonance_hz: float, strength: float) -> np.ndarray:
    """Return `signal_T` after a recorder with a damped resonance (60 ms; gain `strength` at its frequency).

    Used only by the planted device shortcut: what rings is the recorder, not the heart.
    """
    time = np.arange(round(0.3 * fs_hz)) / fs_hz
    kernel = np.exp(-time / 0.06) * np.sin(2 * np.pi * resonance_hz * time) * strength / (0.03 * fs_hz)
    return signal_T + np.convolve(signal_T, kernel)[: signal_T.size]
