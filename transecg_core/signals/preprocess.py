"""From a raw recording to a clean one at the common rate."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np

from transecg_core.signals.schema import FS_HZ

BAND_HZ = (0.5, 40.0)
ORDER = 3
MIN_FS_HZ = 90.0
"""Lowest usable sampling rate: the band's upper edge must stay clear of the Nyquist frequency."""
MIN_DURATION_S = 4.0
"""Shortest usable recording: a few beats, and several periods of the slowest passed wave."""


def clean(signal_mv: np.ndarray, fs_hz: float) -> np.ndarray:
    """Remove offset, drift and high-frequency noise, and resample to `FS_HZ`.

    Median removal, zero-phase Butterworth band-pass (order 3, 0.5-40 Hz, run
    forwards and backwards), polyphase resampling.

    Parameters
    ----------
    signal_mv
        One lead in millivolts, shape (T,), finite.
    fs_hz
        Its sampling rate in Hz, at least `MIN_FS_HZ`.

    Returns
    -------
    numpy.ndarray
        float64, shape (T * 250 / fs_hz,); sample ``i`` is ``i / 250`` s after the first.

    Raises
    ------
    ValueError
        If the rate is too low, the recording too short, or a sample is not finite.
    """
    # A second to import, and not needed when windows come from the cache.
    from scipy.signal import resample_poly, sosfiltfilt

    if not fs_hz >= MIN_FS_HZ:
        raise ValueError(f"sampling rate below {MIN_FS_HZ:g} Hz")
    if signal_mv.shape[0] < MIN_DURATION_S * fs_hz:
        raise ValueError(f"recording shorter than {MIN_DURATION_S:g} s")
    if not np.isfinite(signal_mv).all():
        raise ValueError("samples that are not numbers")
    x_T = signal_mv.astype(np.float64)
    x_T -= np.median(x_T)
    x_T = sosfiltfilt(_band_pass(fs_hz), x_T)
    ratio = Fraction(FS_HZ / fs_hz).limit_denominator(1000)
    if ratio == 1:
        return np.asarray(x_T)
    return np.asarray(resample_poly(x_T, ratio.numerator, ratio.denominator))


@lru_cache(maxsize=16)
def _band_pass(fs_hz: float) -> np.ndarray:
    """Return the filter's second-order sections; designing it costs as much as running it on 10 s."""
    from scipy.signal import butter

    return np.asarray(butter(ORDER, BAND_HZ, btype="bandpass", fs=fs_hz, output="sos"))


def to_common_rate(sample_B: np.ndarray, fs_hz: float) -> np.ndarray:
    """Return sample positions at `fs_hz` as (fractional) positions at `FS_HZ`."""
    return np.asarray(sample_B, dtype=np.float64) * (FS_HZ / fs_hz)
