"""Copies of a waveform are found whatever was done to them; two recordings of one person never are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline
from scipy.signal import butter, find_peaks, resample_poly, sosfiltfilt

from transecg_core.cohorts.schema import Recording, SiteSource, SkipLog
from transecg_core.signals.schema import R_OFFSET, WINDOW, RecordInfo, Windows
from transecg_core.signals.windows import build_windows
from transecg_core.splits.duplicates import DuplicatePair, near_duplicates

FS = 250.0
BAND = butter(3, (0.5, 40.0), btype="bandpass", fs=FS, output="sos")
WAVES = (
    (-0.16, 0.02, 0.15),
    (-0.025, 0.008, -0.1),
    (0.0, 0.01, 1.0),
    (0.025, 0.008, -0.2),
    (0.26, 0.04, 0.3),
)


def ecg(
    seed: int,
    seconds: float = 20.0,
    spread_s: float = 0.03,
    person: int = 0,
    noise_seed: int | None = None,
    rr_s: float = 0.8,
) -> np.ndarray:
    """Return mV at 250 Hz; `person` shapes the beat, `seed` draws rhythm, breathing and noise."""
    who, beats = np.random.default_rng([7, person]), np.random.default_rng([9, seed])
    rng = np.random.default_rng([8, seed if noise_seed is None else noise_seed])
    waves = np.array(WAVES) * (1 + 0.1 * who.standard_normal((len(WAVES), 3)) * [0, 1, 1])
    t_T = np.arange(round(seconds * FS)) / FS
    x_T = 0.03 * sosfiltfilt(BAND, rng.standard_normal(t_T.size))
    x_T += 0.08 * np.sin(2 * np.pi * (rng.uniform(0.2, 0.35) * t_T + rng.uniform()))
    at = beats.uniform(0.3, 0.9)
    while at < seconds:
        near = slice(max(0, round((at - 0.4) * FS)), round((at + 0.6) * FS))
        for centre, width, height in waves:
            x_T[near] += height * np.exp(-0.5 * ((t_T[near] - at - centre) / width) ** 2)
        at += rr_s + spread_s * beats.standard_normal()
    return x_T


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
        r_N, rpeak_B, rpeak_record_B.astype(np.int32), tuple(i.participant for i in infos), tuple(infos), (),
    )  # fmt: skip


def others(count: int, **options: float) -> dict[str, np.ndarray]:
    return {f"other{k}": ecg(100 + k, person=k, **options) for k in range(count)}  # type: ignore[arg-type]


def pairs(found: tuple[DuplicatePair, ...]) -> set[tuple[str, str]]:
    return {(pair.record_a, pair.record_b) for pair in found}


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


def by_another_clock(x_T: np.ndarray, ppm: float) -> np.ndarray:
    """Return the signal as a converter that runs `ppm` fast would have sampled it."""
    at_T = np.arange(round(x_T.size * (1 + ppm / 1e6))) / (1 + ppm / 1e6)
    return np.asarray(CubicSpline(np.arange(x_T.size), x_T)(at_T))


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


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), spread_s=st.sampled_from([0.0, 0.004]), ppm=st.floats(-1000, 1000))
def test_no_clock_makes_copies_of_two_measurements(seed: int, spread_s: float, ppm: float) -> None:
    """One person, paced at one rate, or beat for beat at the same time: another clock fits, the rest doesn't."""
    paced = {
        "r": ecg(seed, 120, spread_s, person=seed),
        "s": by_another_clock(ecg(seed + 1, 120, spread_s, person=seed), ppm),
        "t": by_another_clock(ecg(seed, 120, spread_s, person=seed, noise_seed=seed + 2), ppm),
    }
    assert near_duplicates(cut({"s": paced})) == ()


@settings(max_examples=20)
@example(seed=44584, spread_s=0.0, seconds=60.0)  # windows of two kinds: its R and T peaks are of a height
@given(
    seed=st.integers(0, 10**6),
    spread_s=st.sampled_from([0.0, 0.004, 0.03]),
    seconds=st.sampled_from([10.0, 60.0]),
)
def test_recordings_of_one_person_are_no_copies_even_paced_at_one_rate(
    seed: int, spread_s: float, seconds: float
) -> None:
    signals = {f"r{k}": ecg(seed + k, seconds=seconds, spread_s=spread_s, person=seed) for k in range(6)}
    assert near_duplicates(cut({"s": signals})) == ()


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


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_beats_that_fall_on_each_other_are_not_enough(seed: int) -> None:
    """One rhythm to a sample or two, one heart, one shift; but two measurements."""
    rng = np.random.default_rng(seed)
    (_, first), (_, second) = cut({"x": {"x": ecg(seed)}, "y": {"y": ecg(seed + 1)}})
    count = min(len(first.rpeak_B), len(second.rpeak_B))
    near_B = first.rpeak_B[:count] + rng.integers(-1, 2, count)
    to = dict(zip(second.rpeak_B[:count].tolist(), near_B.tolist(), strict=True))
    rows = np.array([row for row in range(len(second)) if int(second.r_sample_N[row]) in to])
    second = replace(
        second, rpeak_B=near_B, rpeak_record_B=second.rpeak_record_B[:count], x_NL=second.x_NL[rows],
        participant_N=second.participant_N[rows], session_N=second.session_N[rows], record_N=second.record_N[rows],
        beat_N=second.beat_N[rows], component_NL=second.component_NL[rows],
        r_sample_N=np.array([to[int(r)] for r in second.r_sample_N[rows]]),
    )  # fmt: skip
    assert near_duplicates([("x", first), ("y", second)]) == ()
    assert pairs(near_duplicates([("x", first), ("y", replace(first, records=second.records))])) == {
        ("x", "y")
    }


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
