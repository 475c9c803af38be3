import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.signals.preprocess import clean, to_common_rate

RATES = st.sampled_from([100.0, 128.0, 250.0, 360.0, 500.0, 1000.0])


def tone(hz: float, fs_hz: float, seconds: float = 20.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * fs_hz)) / fs_hz).astype(np.float32)


def middle_rms(x_T: np.ndarray) -> float:
    part = x_T[x_T.size // 4 : -x_T.size // 4]
    return float(np.sqrt(np.mean(part**2)))


@settings(max_examples=20, deadline=None)
@given(fs_hz=RATES, hz=st.floats(2, 25))
def test_passes_the_band_without_delay(fs_hz: float, hz: float) -> None:
    out = clean(tone(hz, fs_hz), fs_hz)
    want = tone(hz, 250.0)
    assert out.size == want.size
    inner = slice(out.size // 4, -out.size // 4)
    assert np.abs(out[inner] - want[inner]).max() < 0.06


@pytest.mark.parametrize("fs_hz", [128.0, 250.0, 360.0, 500.0])
def test_removes_offset_drift_and_mains(fs_hz: float) -> None:
    assert middle_rms(clean(tone(0.1, fs_hz, 60.0) + 5, fs_hz)) < 0.01
    assert middle_rms(clean(tone(60.0, fs_hz), fs_hz)) < 0.12 * middle_rms(tone(60.0, fs_hz))


@settings(max_examples=10, deadline=None)
@given(fs_hz=RATES, scale=st.floats(0.1, 10), offset=st.floats(-3, 3))
def test_scales_and_ignores_offset(fs_hz: float, scale: float, offset: float) -> None:
    x_T = tone(5.0, fs_hz).astype(np.float64)
    np.testing.assert_allclose(
        clean(scale * x_T + offset, fs_hz), scale * clean(x_T, fs_hz), atol=1e-6 * scale
    )


@pytest.mark.parametrize(
    ("fs_hz", "seconds", "bad", "reason"),
    [
        (80.0, 20.0, 0.0, "rate"),
        (float("nan"), 20.0, 0.0, "rate"),
        (250.0, 3.0, 0.0, "shorter"),
        (250.0, 9.0, np.nan, "numbers"),
    ],
)
def test_refuses_what_it_cannot_clean(fs_hz: float, seconds: float, bad: float, reason: str) -> None:
    x_T = np.zeros(round(seconds * 250), dtype=np.float32)
    x_T[100] = bad
    with pytest.raises(ValueError, match=reason):
        clean(x_T, fs_hz)


def test_positions_move_with_the_signal() -> None:
    x_T = np.zeros(360 * 20, dtype=np.float32)
    x_T[3600] = 1.0
    assert abs(int(np.abs(clean(x_T, 360.0)).argmax()) - to_common_rate(np.array([3600]), 360.0)[0]) <= 1
