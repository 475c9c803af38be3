import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transecg_core.signals.waves import (
    Beat,
    Place,
    Wave,
    find_qrs,
    find_wave,
    smooth,
    steadiness,
    typical_beat,
)

R, RR = 100, 250


def place(**changes: object) -> Place:
    known: dict[str, object] = {
        "first": 20,
        "last": 120,
        "usual": 60,
        "spread": 20,
        "edges": (12, 130),
        "flank": 40,
        "smoothing": 1,
    }
    return Place(**{**known, **changes})  # type: ignore[arg-type]


def beat(x_R: np.ndarray, noise: float = 0.01) -> Beat:
    return Beat(x_R, R, noise)


def triangle(peak: int, half_width: int, height: float) -> np.ndarray:
    return height * np.clip(1 - np.abs(np.arange(RR) - R - peak) / half_width, 0, None)


@pytest.mark.parametrize("height", [0.3, -0.3])
@pytest.mark.parametrize("peak", [45, 60, 80])
def test_a_triangle_has_the_edges_it_was_drawn_with(peak: int, height: float) -> None:
    wave = find_wave(beat(triangle(peak, 25, height)), place())
    assert wave is not None
    assert (wave.on, wave.peak, wave.off) == pytest.approx((peak - 25, peak, peak + 25), abs=1)
    assert wave.snr == pytest.approx(30, rel=0.02)


def test_of_two_like_waves_the_one_at_the_usual_place_is_taken_and_of_two_places_the_larger() -> None:
    twins = triangle(50, 10, 0.2) + triangle(100, 10, 0.2)
    for usual, taken in ((50, 50), (100, 100)):
        found = find_wave(beat(twins), place(usual=usual))
        assert found is not None
        assert found.peak == taken
    large = find_wave(beat(triangle(50, 10, 0.02) + triangle(100, 10, 0.5)), place(usual=50))
    assert large is not None
    assert large.peak == 100


def test_no_room_or_nothing_there_is_no_wave() -> None:
    assert find_wave(beat(np.zeros(RR)), place()) is None
    assert find_wave(beat(triangle(60, 25, 0.3)), place(first=60, last=65)) is None


def test_the_qrs_is_where_it_is_steep() -> None:
    on, off = find_qrs(beat(triangle(0, 12, 1.0)))
    assert (on, off) == pytest.approx((-12, 12), abs=2)
    # A T wave in reach, less steep than the threshold, isn't part of it.
    assert find_qrs(beat(triangle(0, 12, 1.0) + triangle(50, 38, 0.1)))[1] == pytest.approx(12, abs=2)


def test_the_typical_beat_ignores_a_strange_one_and_knows_its_noise() -> None:
    rng = np.random.default_rng(0)
    r_B = np.arange(150, 4800, RR)
    clean_T, x_T = np.zeros(5000), 0.05 * rng.standard_normal(5000)
    for r in r_B:
        clean_T[r - 12 : r + 13] = triangle(0, 12, 2.0)[R - 12 : R + 13]
    x_T += clean_T
    x_T[r_B[3] - 60 : r_B[3] + 60] += 5.0
    found = typical_beat(x_T, r_B, RR)
    assert found is not None
    assert found.r == R
    assert np.abs(found.x_R - clean_T[r_B[0] - R : r_B[0] - R + RR] / 2.0).max() < 0.06
    # 0.05 mV of noise under a QRS of 2 mV, 19 beats.
    assert found.noise == pytest.approx(1.25 * 0.05 / 2 / np.sqrt(r_B.size), rel=0.2)
    assert typical_beat(x_T, np.array([10]), RR) is None
    assert typical_beat(np.zeros(5000), r_B, RR) is None


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5, 7, 9]))
def test_smoothing_keeps_length_and_level_and_stays_within(seed: int, width: int) -> None:
    x_R = np.random.default_rng(seed).standard_normal(60)
    out = smooth(x_R, width)
    assert out.shape == x_R.shape
    assert out.min() >= x_R.min() - 1e-12
    assert out.max() <= x_R.max() + 1e-12
    np.testing.assert_allclose(smooth(np.full(60, 3.0), width), 3.0)


def beats_with(height_B: np.ndarray, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return white noise with a triangle of a given height before each R, and the R peaks."""
    r_B = 150 + RR * np.arange(height_B.size)
    x_T = noise * np.random.default_rng(seed).standard_normal(RR * height_B.size + 200)
    for r, height in zip(r_B, height_B, strict=True):
        x_T[r - 60 : r - 19] += height * np.clip(1 - np.abs(np.arange(-20, 21)) / 20, 0, None)
    return x_T, r_B


P = Wave(-60.0, -40, -20.0, 100.0)


def test_steadiness_is_mean_over_scatter_and_no_number_of_beats_raises_it() -> None:
    for height, spread in ((0.2, 0.1), (0.2, 0.02), (-0.2, 0.1)):
        for beats in (400, 4000):
            height_B = np.random.default_rng(1).normal(height, spread, size=beats)
            x_T, r_B = beats_with(height_B, noise=1e-4)
            assert steadiness(x_T, r_B, P) == pytest.approx(abs(height) / spread, rel=0.15)


def test_noise_and_waves_of_either_sign_are_not_steady_even_in_four_thousand_beats() -> None:
    either = np.random.default_rng(2).choice([-0.3, 0.3], size=4000)
    for height_B, noise in ((np.zeros(4000), 0.1), (either, 0.01), (np.full(4000, 0.01), 0.1)):
        assert steadiness(*beats_with(height_B, noise), P) < 1.0
    # Nor is a slope that all beats have.
    x_T, r_B = beats_with(np.zeros(400), 0.1)
    assert steadiness(x_T + 0.01 * np.arange(x_T.size), r_B, P) < 1.0


def test_a_single_beat_cant_be_doubted_and_nothing_at_all_is_not_steady() -> None:
    x_T, r_B = beats_with(np.full(5, 0.2), noise=0.01)
    assert steadiness(x_T, r_B[:1], P) == np.inf
    assert steadiness(x_T, r_B, P) > 5
    assert steadiness(np.zeros(2000), np.array([200, 500, 800]), P) == 0.0
    # Beats whose wave would lie outside the record don't count.
    assert steadiness(x_T, np.append(r_B, 10), P) == steadiness(x_T, r_B, P)
