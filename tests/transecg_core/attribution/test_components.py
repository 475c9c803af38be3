from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from transecg_core.attribution.components import durations, shares, shown_by_few, summarise
from transecg_core.attribution.intervals import mean_over_people, person_means, resample_counts
from transecg_core.attribution.judgement import MIN_PEOPLE, leader
from transecg_core.cohorts.schema import COMPONENT_CODE, COMPONENTS

MAPS = npst.arrays(np.float32, (4, 20), elements=st.floats(-3, 3, width=32))
CODES = npst.arrays(np.uint8, (4, 20), elements=st.integers(0, len(COMPONENTS) - 1))


@given(MAPS, CODES)
def test_shares_and_durations_sum_to_one_or_are_undefined(map_BL, code_BL):
    share_BK = shares(map_BL, code_BL)
    has_positive = (map_BL > 0).any(axis=1)
    np.testing.assert_allclose(share_BK[has_positive].sum(axis=1), 1, rtol=1e-9)
    assert np.isnan(share_BK[~has_positive]).all()
    np.testing.assert_allclose(durations(code_BL).sum(axis=1), 1)


@given(CODES, st.floats(0.125, 100))
def test_an_even_map_is_enriched_nowhere(code_BL, height):
    code_BL = np.tile(code_BL, (MIN_PEOPLE, 1))
    person_B = np.repeat(np.arange(3 * MIN_PEOPLE), np.tile([2, 1, 1], MIN_PEOPLE))
    rows = summarise(np.full(code_BL.shape, height), code_BL, person_B, 50, 0)
    for row in rows.values():
        if row["duration"] > 0:
            assert row["enrichment"] == pytest.approx(1)
            assert row["ci95"] == pytest.approx([1, 1])
        else:
            assert (row["share"], row["enrichment"], row["ci95"]) == (0, None, None)


def test_known_shares_by_hand():
    code_BL = np.array([[0, 0, 2, 4]] * 2, dtype=np.uint8)
    map_BL = np.array([[1.0, -5.0, 3.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    map_BL, code_BL = np.tile(map_BL, (MIN_PEOPLE, 1)), np.tile(code_BL, (MIN_PEOPLE, 1))
    rows = summarise(map_BL, code_BL, np.arange(2 * MIN_PEOPLE), 300, 0)
    assert rows["P"]["share"] == pytest.approx(0.125)  # .25 and 0: what speaks against doesn't count
    assert rows["QRS"]["share"] == pytest.approx(0.625)
    assert rows["QRS"]["enrichment"] == pytest.approx(2.5)
    # Half of the people have 2 and half 3; 20 people: half an interval is 2.09 * 0.5 / sqrt(19).
    assert rows["QRS"]["ci95"] == pytest.approx([2.26, 2.74], abs=0.06)
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)


def test_people_weigh_the_same_however_many_windows_they_have():
    code_BL = np.tile(np.array([0, 2], dtype=np.uint8), (100, 1))
    map_BL = np.tile([1.0, 0.0], (100, 1))
    map_BL[90:] = [0.0, 1.0]
    person_B = np.concatenate([np.repeat(np.arange(10), 9), np.arange(10, 20)])
    rows = summarise(map_BL, code_BL, person_B, 50, 0)
    assert rows["QRS"]["share"] == pytest.approx(0.5)


@pytest.mark.parametrize(("have", "told"), [(0, True), (1, False), (9, False), (10, True)])
def test_a_component_of_a_few_people_has_no_figure_and_counts_as_undefined(have, told):
    person_B = np.repeat(np.arange(30), 3)
    code_BL = np.full((90, 20), COMPONENT_CODE["TP"], np.uint8)
    code_BL[:, 5:10] = COMPONENT_CODE["QRS"]
    code_BL[:, 18:] = COMPONENT_CODE["undefined"]
    code_BL[person_B < have, :4] = COMPONENT_CODE["P"]
    map_BL = np.random.default_rng(0).random((90, 20))
    rows = summarise(map_BL, code_BL, person_B, 50, 0)
    undefined = (code_BL == COMPONENT_CODE["undefined"]).mean()
    time = (code_BL == COMPONENT_CODE["P"]).mean()
    if told:
        assert rows["P"]["duration"] == pytest.approx(time)
        assert (rows["P"]["enrichment"] is None) == (have == 0)
    else:
        assert set(rows["P"].values()) == {None}
        assert leader(rows) in ("QRS", "TP")
    assert rows["undefined"]["duration"] == pytest.approx(undefined if told else undefined + time)
    for what in ("share", "duration"):
        assert sum(row[what] for row in rows.values() if row[what] is not None) == pytest.approx(1)


def test_what_is_left_over_of_a_few_people_has_no_enrichment():
    code_BL = np.full((30, 20), COMPONENT_CODE["QRS"], np.uint8)
    code_BL[0, :4] = COMPONENT_CODE["P"]
    rows = summarise(np.ones((30, 20)), code_BL, np.arange(30), 20, 0)
    assert rows["undefined"]["share"] == pytest.approx(0.2 / 30)
    assert rows["undefined"]["enrichment"] is rows["undefined"]["ci95"] is None
    assert rows["QRS"]["ci95"] is not None


def test_a_map_without_relevance_has_no_components():
    assert summarise(np.zeros((2, 4)), np.zeros((2, 4), dtype=np.uint8), np.array([0, 1]), 10, 0) == {}


def test_component_codes_are_the_rows(toy):
    windows = toy.sites[0].windows
    rows = summarise(
        (windows.component_NL == COMPONENT_CODE["ST"]).astype(float),
        windows.component_NL,
        windows.participant_N,
        20,
        0,
    )
    assert list(rows) == list(COMPONENTS)
    assert rows["ST"]["share"] == pytest.approx(1)
    assert rows["ST"]["enrichment"] == pytest.approx(10)  # 20 of 200 samples


def test_person_means_and_resampling():
    np.testing.assert_allclose(
        person_means(np.array([[1.0], [3.0], [10.0]]), np.array([7, 7, 2])), [[10.0], [2.0]]
    )
    counts = resample_counts(5, 40, 1)
    assert (counts.sum(axis=1) == 5).all()
    assert np.array_equal(counts, resample_counts(5, 40, 1))


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        effect_P = rng.normal(1.0, 1.0, size=30)
        person = np.repeat(np.arange(30), 5)
        estimate = mean_over_people(effect_P[person] + 0.1 * rng.normal(size=150), person, 300, trial)
        hits += estimate.low <= 1.0 <= estimate.high
    assert 0.88 <= hits / 200 <= 0.99  # a window-level interval would cover about half the time


def test_what_one_to_nine_people_show_is_told_apart():
    component_BL = np.full((30, 20), COMPONENT_CODE["TP"])
    component_BL[:9, 3] = COMPONENT_CODE["P"]
    component_BL[:10, 8] = COMPONENT_CODE["T"]
    few_K = shown_by_few(component_BL, np.arange(30))
    assert [name for name, few in zip(COMPONENTS, few_K, strict=True) if few] == ["P"]
    # Ten windows of five people are five people's.
    assert shown_by_few(component_BL, np.minimum(np.arange(30), 28) // 2)[COMPONENT_CODE["T"]]
