"""Copies of a waveform are found whatever was done to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly
from simulated_hearts import FS, by_another_clock, cut, ecg, others, pairs

from transecg_core.cohorts.schema import Recording, SiteSource, SkipLog
from transecg_core.signals.windows import build_windows
from transecg_core.splits.duplicates import near_duplicates


def through_rates(x_T: np.ndarray, *rates: float) -> np.ndarray:
    """Resample 250 Hz to each rate in turn and back."""
    now = FS
    for rate in (*rates, FS):
        ratio = Fraction(rate / now).limit_denominator(1000)
        x_T, now = resample_poly(x_T, ratio.numerator, ratio.denominator), rate
    return x_T


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    gain=st.floats(0.05, 20.0),
    offset_mv=st.floats(-5, 5),
    inverted=st.booleans(),
    rates=st.sampled_from([(), (360.0,), (360.0, 500.0), (100.0,)]),
    step_mv=st.sampled_from([0.0, 0.005, 0.02]),
    noise=st.floats(0, 0.05),
    start_s=st.floats(0, 10),
)
def test_a_copy_is_found_whatever_was_done_to_it(
    seed: int, gain: float, offset_mv: float, inverted: bool, rates: tuple[float, ...], step_mv: float,
    noise: float, start_s: float,
) -> None:  # fmt: skip
    x_T = ecg(seed)
    copy_T = x_T + noise * x_T.std() * np.random.default_rng(seed).standard_normal(x_T.size)
    copy_T = through_rates(copy_T[round(start_s * FS) :], *rates)
    if step_mv:
        copy_T = np.round(copy_T / step_mv) * step_mv
    copy_T = (-1 if inverted else 1) * gain * copy_T + offset_mv
    found = near_duplicates(cut({"s": {"a": x_T, **others(6)}, "t": {"copy": copy_T}}))
    assert pairs(found) == {("a", "copy")}
    assert found[0].offset_s == pytest.approx(start_s, abs=0.012)
    assert found[0].correlation > 0.8
    assert (found[0].site_a, found[0].participant_b) == ("s", "of copy")


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), seconds=st.floats(6.5, 15), start_s=st.floats(0, 280))
def test_an_excerpt_of_a_long_recording_is_found(seed: int, seconds: float, start_s: float) -> None:
    x_T = ecg(seed, seconds=300)
    first = round(start_s * FS)
    found = near_duplicates(cut({"s": {"long": x_T, "part": x_T[first : first + round(seconds * FS)]}}))
    assert pairs(found) == {("long", "part")}
    assert found[0].offset_s == pytest.approx(start_s, abs=0.012)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_two_long_recordings_that_share_a_stretch_are_found(seed: int) -> None:
    x_T = ecg(seed, seconds=360)
    halves = {"early": x_T[: round(200 * FS)], "late": x_T[round(120 * FS) :]}
    found = near_duplicates(cut({"s": halves}))
    assert pairs(found) == {("early", "late")}
    assert found[0].offset_s == pytest.approx(120, abs=0.012)


@pytest.mark.parametrize("seconds", [30.0, 300.0, 1800.0])
@pytest.mark.parametrize("ppm", [0, 20, 100, 300, 1000, -1000])
def test_a_copy_is_found_whatever_clock_it_was_copied_by(seconds: float, ppm: float) -> None:
    x_T = ecg(5, seconds=seconds)
    copy_T = by_another_clock(x_T[1000:], ppm)
    copy_T += 0.005 * np.random.default_rng(0).standard_normal(copy_T.size)
    (pair,) = near_duplicates(cut({"s": {"a": x_T, **others(2, seconds=seconds)}, "t": {"copy": copy_T}}))
    assert (pair.record_a, pair.record_b) == ("a", "copy")
    assert pair.correlation > 0.8
    # Wherever one looks, what is at one time in the copy is where the pair says in the original.
    at_b_K = np.linspace(0, copy_T.size - 1, 9)
    true_a_K = 1000 + at_b_K / (1 + ppm / 1e6)
    assert np.abs(pair.in_a(at_b_K) - true_a_K).max() <= 5
    assert np.abs(pair.in_b(true_a_K) - at_b_K).max() <= 5


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    ppm=st.floats(-1000, 1000),
    start_s=st.floats(0, 200),
    seconds=st.floats(30, 300),
)
def test_an_excerpt_by_another_clock_is_found(seed: int, ppm: float, start_s: float, seconds: float) -> None:
    x_T = ecg(seed, seconds=300)
    part_T = by_another_clock(x_T[round(start_s * FS) :][: round(seconds * FS)], ppm)
    found = near_duplicates(cut({"s": {"long": x_T, "part": part_T}}))
    assert pairs(found) == {("long", "part")}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("added", [0.01, 0.015])
@pytest.mark.parametrize("noise", [0.003, 0.005])
def test_a_noisy_copy_of_a_quiet_recording_is_found(noise: float, added: float, seed: int) -> None:
    """Little but breathing is in both: it alone is no proof, and of what else is left most is in the copy only."""
    x_T = ecg(seed, 120, noise=noise, swing=0.25)
    copy_T = x_T + added * np.random.default_rng(seed).standard_normal(x_T.size)
    signals = {"a": x_T, "copy": copy_T, **others(2, seconds=120, noise=noise, swing=0.25)}
    assert pairs(near_duplicates(cut({"s": signals}))) == {("a", "copy")}


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), order=st.permutations(range(4)))
def test_the_order_of_sites_and_repetition_change_nothing(seed: int, order: list[int]) -> None:
    x_T = ecg(seed)
    sites = cut({"a": {"x": x_T, "y": ecg(seed + 1)}, "b": {"x": 2 * x_T + 0.01 * ecg(seed + 2)}, "c": others(3),
                 "d": {"z": x_T[750:]}})  # fmt: skip
    found = near_duplicates(sites)
    assert near_duplicates([sites[i] for i in order]) == found == near_duplicates(sites)
    assert [(p.site_a, p.site_b) for p in found] == [("a", "b"), ("a", "d"), ("b", "d")]


def test_identical_windows_are_found_without_any_rhythm() -> None:
    ((site, windows),) = cut({"s": others(2)})
    x_NL = windows.x_NL.copy()
    row = int(np.flatnonzero(windows.record_N == 1)[0])
    x_NL[row] = x_NL[3]
    found = near_duplicates([(site, replace(windows, x_NL=x_NL))])
    assert pairs(found) == {("other0", "other1")}
    assert found[0].correlation == 1.0
    assert found[0].offset_s == (windows.r_sample_N[3] - windows.r_sample_N[row]) / FS


def test_nothing_to_compare_is_no_pair() -> None:
    assert near_duplicates([]) == ()
    assert near_duplicates(cut({"s": {"one": ecg(0)}})) == ()
    assert near_duplicates(cut({"s": {"one": ecg(0, seconds=3), "two": ecg(1, seconds=3)}})) == ()


@pytest.mark.parametrize("fs_hz", [100.0, 360.0, 500.0])
def test_through_the_whole_pipeline(fs_hz: float) -> None:
    ratio = Fraction(fs_hz / FS).limit_denominator(1000)
    x_T = ecg(1)

    def read(_skips: SkipLog) -> Iterator[Recording]:
        copy_T = -3 * resample_poly(x_T[500:], ratio.numerator, ratio.denominator) + 1
        for record, rate, signal in (("a", FS, x_T), ("b", FS, ecg(2)), ("copy", fs_hz, copy_T)):
            yield Recording("s", "p", 1, record, rate, "I", signal.astype(np.float32))

    windows = build_windows(SiteSource("s", "synthetic", read, "x", 1, ()))
    found = near_duplicates([("s", windows)])
    assert pairs(found) == {("a", "copy")}
    assert found[0].offset_s == pytest.approx(2.0, abs=0.012)
