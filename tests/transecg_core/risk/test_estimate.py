"""Estimates against known answers, and intervals against repeated sampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from transecg_core.risk.estimate import (
    PairWins,
    auc,
    auc_estimate,
    difference,
    difference_of_means,
    percentile,
    proportion,
    resamples,
    wilson,
)


def test_wilson_known_answers():
    # statsmodels.stats.proportion.proportion_confint(8, 10, method="wilson")
    assert wilson(8, 10) == pytest.approx((0.4901624715, 0.9433178485), abs=1e-9)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611251581), abs=1e-9)


@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=15), st.lists(st.integers(0, 5), min_size=2, max_size=15)
)
def test_auc_is_the_textbook_one(member, control):
    ours = auc([PairWins.of(np.array(member, float), np.array(control, float))])
    truth = roc_auc_score([1] * len(member) + [0] * len(control), member + control)
    assert ours == pytest.approx(truth)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-5, 5))
def test_a_shift_between_sites_is_not_membership(seed, shift):
    rng = np.random.default_rng(seed)
    groups = [(rng.normal(size=4), rng.normal(size=9)), (rng.normal(size=9), rng.normal(size=4))]
    plain = auc([PairWins.of(m, c) for m, c in groups])
    moved = auc([PairWins.of(m + shift * i, c + shift * i) for i, (m, c) in enumerate(groups)])
    assert moved == pytest.approx(plain)


def test_intervals_cover_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    hits = {"auc": 0, "share": 0, "gain": 0, "gap": 0}
    runs = 300
    for _ in range(runs):
        member, control = rng.normal(1.0, 1.0, 20), rng.normal(0.0, 1.0, 20)
        low, high = auc_estimate([PairWins.of(member, control)], 300, rng).ci95
        hits["auc"] += low <= 0.7602 <= high  # Phi(1 / sqrt 2)
        low, high = proportion(rng.binomial(2, 0.7, 25) / 2, 300, rng).ci95
        hits["share"] += low <= 0.7 <= high
        low, high = difference(
            rng.binomial(1, 0.7, 25) - rng.binomial(1, 0.4, 25).astype(float), 300, rng
        ).ci95
        hits["gain"] += low <= 0.3 <= high
        low, high = difference_of_means(member, control, 300, rng).ci95
        hits["gap"] += low <= 1.0 <= high
    # 300 runs: standard error .0126; percentile intervals of 20 people are a little short.
    assert all(0.89 <= count / runs <= 0.985 for count in hits.values()), hits


@pytest.mark.parametrize("people", [5, 11, 50])
def test_a_gain_is_rarely_concluded_where_there_is_none(people):
    rng = np.random.default_rng(people)
    runs = 600
    for differ in (0.1, 0.5, 0.9):
        found = [
            difference(
                rng.choice([-1.0, 0.0, 1.0], p=[differ / 2, 1 - differ, differ / 2], size=people), 200, rng
            ).ci95
            for _ in range(runs)
        ]
        # At a true rate of .025 the count of 600 has standard error .006.
        assert np.mean([low > 0 for low, _ in found]) <= 0.045, differ
        assert np.mean([high < 0 for _, high in found]) <= 0.045, differ
        assert np.mean([low > 0 or high < 0 for low, high in found]) <= 0.065, differ


@pytest.mark.parametrize("people", [5, 8, 12, 40])
@pytest.mark.parametrize(("share", "concentration"), [(0.5, 2.0), (0.9, 2.0), (0.7, 1e6), (0.95, 20.0)])
def test_shares_of_few_people_with_few_queries_cover_the_truth(people, share, concentration):
    rng, runs, queries = np.random.default_rng(people), 300, 3
    hits = plain = 0
    for _ in range(runs):
        own_P = rng.beta(share * concentration, (1 - share) * concentration, people)
        value_P = rng.binomial(queries, own_P) / queries
        found = proportion(value_P, 200, rng)
        low, high = found.ci95
        assert 0 <= low <= found.value <= high <= 1
        hits += low <= share <= high
        low, high = percentile(resamples(people, 200, rng) @ value_P / people)
        plain += low <= share <= high
    # 300 runs at .95 have a standard error of .013; the percentile interval alone falls to .80.
    assert hits / runs >= 0.91
    if (people, concentration) == (5, 1e6):
        assert plain / runs < 0.9


def test_two_pseudo_people_hardly_change_the_interval_of_many():
    value_P = np.random.default_rng(0).binomial(4, 0.8, 800) / 4
    low, high = proportion(value_P, 2000, np.random.default_rng(1)).ci95
    bare_low, bare_high = percentile(resamples(800, 2000, np.random.default_rng(1)) @ value_P / 800)
    assert abs(low - bare_low) < 0.003
    assert abs(high - bare_high) < 0.003


def test_a_few_agreeing_people_are_no_proof_and_many_are():
    rng = np.random.default_rng(0)
    assert difference(np.array([1.0, 1, 1, 0, 0]), 500, rng).ci95[0] <= 0
    low, high = difference(np.repeat([1.0, 0.0], [8, 12]), 500, rng).ci95
    assert 0 < low < 0.4 < high
    low, high = difference(np.append(np.full(30, 0.9), 0.8), 500, rng).ci95
    assert 0.6 < low < 0.89 < high <= 1


def test_agreement_of_all_people_is_not_certainty():
    rng = np.random.default_rng(0)
    assert proportion(np.ones(12), 100, rng).ci95[0] < 0.8
    assert proportion(np.full(12, 0.5), 100, rng).ci95 == pytest.approx(wilson(6, 12))
    low, high = difference(np.zeros(12), 100, rng).ci95
    assert -0.25 < low < -0.2 < 0.2 < high < 0.25
    perfect = auc_estimate([PairWins.of(np.ones(9), np.zeros(9))], 100, rng)
    assert perfect.value == 1.0
    assert perfect.ci95[0] < 0.75
    low, high = difference_of_means(np.ones(9), np.ones(9), 100, rng).ci95
    assert low < -0.2
    assert high > 0.2


@pytest.mark.parametrize(
    ("member", "control", "value", "ci"),
    [
        (1 / 3, 0.1, 1 / 3 - 0.1, (-0.115, 0.582)),  # sums of thirds differ by rounding
        (1.0, -0.5, 1.5, (1.152, 1.848)),  # corrected gaps go beyond 1
        (1.0, -1.0, 2.0, (1.652, 2.0)),
        (-1.0, 1.0, -2.0, (-2.0, -1.652)),
    ],
)
def test_two_groups_that_agree_within_themselves(member, control, value, ci):
    """1 - .05^(1/7) = .348 to each side, within [-2, 2]."""
    found = difference_of_means(np.full(7, member), np.full(7, control), 200, np.random.default_rng(0))
    assert found.value == pytest.approx(value)
    assert found.ci95 == pytest.approx(ci, abs=1e-3)
    assert found.ci95[0] <= found.value <= found.ci95[1]


@pytest.mark.parametrize("people", [5, 8, 12, 30])
def test_a_gap_between_two_groups_is_rarely_concluded_where_there_is_none(people):
    rng = np.random.default_rng(people)
    found, plain = 0, 0
    for _ in range(400):
        main, control = rng.binomial(4, 0.6, (2, people)) / 4
        low, high = difference_of_means(main, control, 300, rng).ci95
        found += low > 0 or high < 0
        weight = resamples(people, 300, rng), resamples(people, 300, rng)
        low, high = percentile((weight[0] @ main - weight[1] @ control) / people)
        plain += low > 0 or high < 0
    assert found <= 0.075 * 400
    if people == 5:
        assert plain > 0.075 * 400  # the control: plain percentiles would fail


def test_expanded_percentiles_are_plain_ones_for_many_and_wider_for_few():
    draws = np.random.default_rng(0).standard_normal(20_000)
    plain, few, many = percentile(draws), percentile(draws, 6), percentile(draws, 10_000)
    assert few[0] < plain[0] - 0.5
    assert few[1] > plain[1] + 0.5
    assert many == pytest.approx(plain, abs=0.02)
