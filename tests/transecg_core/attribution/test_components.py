from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from transecg_core.attribution.components import (
    durations,
    in_favour,
    left_in_favour,
    of_people,
    shares,
    shown_by_few,
    summarise,
    summary,
)
from transecg_core.attribution.intervals import mean_over_people, person_means, resample_counts
from transecg_core.attribution.judgement import MIN_PEOPLE, leader
from transecg_core.cohorts.schema import COMPONENT_CODE, COMPONENTS

MAPS = npst.arrays(np.float32, (4, 20), elements=st.floats(-3, 3, width=32))
CODES = npst.arrays(np.uint8, (4, 20), elements=st.integers(0, len(COMPONENTS) - 1))


@given(MAPS, CODES)
def test_shares_are_bounded_by_one_and_sum_to_it_in_favour(map_BL, code_BL):
    share_BK = shares(map_BL, code_BL)
    some = (map_BL != 0).any(axis=1)
    assert (np.abs(share_BK[some]).sum(axis=1) <= 1 + 1e-6).all()
    assert np.isnan(share_BK[~some]).all()
    np.testing.assert_allclose(shares(np.abs(map_BL), code_BL)[some].sum(axis=1), 1, rtol=1e-5)
    found_BK = in_favour(share_BK[some])
    speaks = np.clip(share_BK[some], 0, None).sum(axis=1) > 1e-6
    np.testing.assert_allclose(found_BK[speaks].sum(axis=1), 1)
    assert not found_BK[~speaks].any()
    assert (found_BK >= 0).all()
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
            assert (row["share"], row["enrichment"], row["ci95"], row["behind"]) == (0, None, None, None)


def test_known_shares_by_hand():
    code_BL = np.array([[0, 0, 2, 4]] * 2, dtype=np.uint8)
    map_BL = np.array([[1.0, -5.0, 3.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    map_BL, code_BL = np.tile(map_BL, (MIN_PEOPLE, 1)), np.tile(code_BL, (MIN_PEOPLE, 1))
    rows = summarise(map_BL, code_BL, np.arange(2 * MIN_PEOPLE), 300, 0)
    # Of 9: P -4, QRS 3; of 2: QRS 1, T 1. Means: P -2/9, QRS 5/12, T 1/4; P counts as nothing, not as 1.
    assert rows["P"]["share"] == 0
    assert rows["QRS"]["share"] == pytest.approx(0.625)
    assert rows["QRS"]["enrichment"] == pytest.approx(2.5)
    assert rows["QRS"]["behind"] is None
    # n of 20 people are of the second kind: QRS / (QRS + T) = (1/3 + n/120) / (1/3 + n/30); n is 10 +- 1.96 sqrt(5).
    assert rows["QRS"]["ci95"] == pytest.approx([2.27, 2.90], abs=0.1)
    assert rows["T"]["behind"] == pytest.approx([2 * 2.27 - 4, 2 * 2.90 - 4], abs=0.2)
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


def test_what_leads_by_chance_alone_is_rarely_above_its_duration_for_sure():
    """Every component has what its duration gives it, and people differ: one is largest all the same."""
    duration_K = np.array([0.12, 0.08, 0.12, 0.1, 0.2, 0.38, 0.0])
    alone = jointly = 0
    for seed in range(150):
        noise_PK = np.random.default_rng(seed).normal(size=(40, 7)) * np.sqrt(duration_K) * 0.5
        share_PK = duration_K + noise_PK
        share_PK /= np.abs(share_PK).sum(axis=1, keepdims=True)
        rows = summary(share_PK, np.tile(duration_K, (40, 1)), 200, seed)
        first = rows[leader(rows)]
        alone += first["ci95"][0] > 1
        jointly += first["joint95"][0] > 1
    assert alone > 12  # the control: single intervals of the largest of six err far more often than 1 in 40
    assert jointly <= 8


def test_what_cancels_exactly_leaves_nothing():
    """Rounding of single precision must not become the whole of what is left."""
    map_BL = np.random.default_rng(0).normal(size=(20, 160)).astype(np.float32)
    map_BL = np.concatenate([map_BL, -map_BL * np.float32(1 / 3)])
    code_BL = np.tile(np.repeat(np.arange(4, dtype=np.uint8), 40), (40, 1))
    assert summarise(map_BL, code_BL, np.tile(np.arange(20), 2), 100, 0) == {}
    assert left_in_favour(of_people(map_BL, code_BL, np.tile(np.arange(20), 2))[1]) < 1e-6
    big = summarise(np.full((20, 160), 3e37, np.float32), code_BL[:20], np.arange(20), 50, 0)
    assert big["P"]["enrichment"] == pytest.approx(1)


def test_what_is_left_over_of_a_few_people_has_no_enrichment():
    code_BL = np.full((30, 20), COMPONENT_CODE["QRS"], np.uint8)
    code_BL[0, :4] = COMPONENT_CODE["P"]
    rows = summarise(np.ones((30, 20)), code_BL, np.arange(30), 20, 0)
    assert rows["undefined"]["share"] == pytest.approx(0.2 / 30)
    assert rows["undefined"]["enrichment"] is rows["undefined"]["ci95"] is None
    assert rows["QRS"]["ci95"] is not None


def test_what_speaks_for_some_and_against_others_is_nothing_on_the_whole():
    """QRS moves the score much, either way; T a little, for everybody. Cut off per person, QRS would lead."""
    rng = np.random.default_rng(0)
    code_BL = np.full((120, 20), COMPONENT_CODE["TP"], np.uint8)
    code_BL[:, 5:8], code_BL[:, 9:17] = COMPONENT_CODE["QRS"], COMPONENT_CODE["T"]
    map_BL = np.zeros((120, 20))
    map_BL[:, 5:8] = np.repeat(rng.permutation(np.repeat([-1.0, 1.0], 30)), 2)[:, None]
    map_BL[:, 9:17] = 0.1
    person_B = np.repeat(np.arange(60), 2)
    rows = summarise(map_BL, code_BL, person_B, 300, 0)
    assert leader(rows) == "T"
    assert rows["QRS"]["share"] == pytest.approx(0, abs=1e-6)
    control = summarise(np.clip(map_BL, 0, None), code_BL, person_B, 300, 0)
    assert leader(control) == "QRS"


def test_the_leader_is_set_against_the_others_in_the_same_people():
    """Who has much of T has less of everything else: the intervals overlap, the difference is clear."""
    code_BL = np.tile(
        np.repeat([COMPONENT_CODE["QRS"], COMPONENT_CODE["T"], COMPONENT_CODE["TP"]], 5), (40, 1)
    )
    both_P = np.random.default_rng(1).uniform(0.5, 1, 40)
    share_PK = np.stack([0.52 * both_P, 0.48 * both_P, 1 - both_P], axis=1)
    rows = summarise(np.repeat(share_PK, 5, axis=1) / 5, code_BL, np.arange(40), 500, 0)
    assert leader(rows) == "QRS"
    assert rows["T"]["ci95"][1] > rows["QRS"]["ci95"][0]
    assert rows["T"]["behind"][0] > 0


def test_a_map_that_speaks_against_the_target_has_no_components():
    assert summarise(np.full((20, 4), -1.0), np.zeros((20, 4), dtype=np.uint8), np.arange(20), 10, 0) == {}


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
