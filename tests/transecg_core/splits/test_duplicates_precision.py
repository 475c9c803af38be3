"""Two measurements are never one waveform: of one person, paced at one rate, with beats of two kinds."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from simulated_hearts import by_another_clock, cut, ecg, pairs

from transecg_core.splits.duplicates import near_duplicates

MISTAKEN = (12.0, 0.25, False, 12)
"""The one group of recordings (length, swing, bigeminy, seed) in which two are taken for copies, wrongly."""


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


@pytest.mark.parametrize("seed", range(0, 60, 6))
@pytest.mark.parametrize("noise", [0.003, 0.03])
@pytest.mark.parametrize("spread_s", [0.0, 0.002])
@pytest.mark.parametrize("seconds", [8.0, 20.0, 60.0])
def test_beats_of_two_kinds_at_one_rate_are_no_copies(
    seconds: float, spread_s: float, noise: float, seed: int
) -> None:
    """Bigeminy: what is left without the mean beat repeats with every other beat, in any two recordings."""
    signals = {
        f"r{k}": ecg(seed + k, seconds, spread_s, person=seed, noise=noise, bigeminy=True) for k in range(6)
    }
    assert near_duplicates(cut({"s": signals})) == ()


@pytest.mark.parametrize(
    ("seconds", "swing", "bigeminy", "seed"),
    [group for group in product((12.0, 20.0, 60.0), (0.1, 0.25), (False, True), range(0, 60, 12))],
)
def test_one_person_breathing_in_step_is_no_copy(
    seconds: float, swing: float, bigeminy: bool, seed: int
) -> None:
    """Paced and quiet: nearly all that two windows differ by is what breathing does to one wave and not the other.

    One group of sixty is mistaken, as docs/splits.md says: too short. A mend, or another mistake, shows here.
    """
    signals = {
        f"r{k}": ecg(seed + k, seconds, 0.002, person=seed, noise=0.003, swing=swing, bigeminy=bigeminy)
        for k in range(6)
    }
    assert len(near_duplicates(cut({"s": signals}))) == ((seconds, swing, bigeminy, seed) == MISTAKEN)


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
        beat_N=second.beat_N[rows], scale_N=second.scale_N[rows], component_NL=second.component_NL[rows],
        r_sample_N=np.array([to[int(r)] for r in second.r_sample_N[rows]]),
    )  # fmt: skip
    assert near_duplicates([("x", first), ("y", second)]) == ()
    assert pairs(near_duplicates([("x", first), ("y", replace(first, records=second.records))])) == {
        ("x", "y")
    }
