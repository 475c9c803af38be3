"""Counting in chunks against the whole matrix, pair by pair."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.risk import standing, verification
from transecg_core.risk.curves import average_precision, first_among, first_k
from transecg_core.risk.figures import value
from transecg_core.risk.matching import Cosines, unit_rows
from transecg_core.risk.problems import ALL_SITES, Problem, everybody, outcome
from transecg_core.risk.verification import eer, enough_pairs, rate_estimate, tar_at


def asked(rng: np.random.Generator, people: int, sites: int, everywhere: bool) -> Problem:
    """Two queries of each person, who may be enrolled at several sites; entries in no order."""
    person_G = np.concatenate([np.arange(people), rng.integers(people, size=people // 2)])
    site_G = rng.integers(sites, size=len(person_G))
    genuine_K = rng.permutation(np.repeat(np.arange(people), 2))
    verified_K = site_G[genuine_K]
    ranked_K = np.full(len(genuine_K), ALL_SITES) if everywhere else verified_K
    person_P, person_K = np.unique(person_G[genuine_K], return_inverse=True)
    problem = Problem(
        "x",
        "y",
        rng.permutation(2 * people),
        genuine_K,
        ranked_K,
        verified_K,
        site_G,
        person_G,
        person_K,
        person_P,
    )
    kept = np.flatnonzero((problem.rivals_K > 0) & (problem.pairs_K > 0))
    person_P, person_K = np.unique(person_P[person_K[kept]], return_inverse=True)
    return Problem(
        "x", "y", problem.query_K[kept], genuine_K[kept], ranked_K[kept], verified_K[kept], site_G, person_G,
        person_K, person_P,
    )  # fmt: skip


def embeddings(rng: np.random.Generator, problem: Problem, tied: bool) -> Cosines:
    """Whole numbers make ties."""
    shape = (2 * len(problem.site_G), 3)
    z, g = (rng.integers(-1, 2, shape) if tied else rng.normal(size=shape) for _ in range(2))
    return Cosines(unit_rows(z.astype(float)), unit_rows(g[: len(problem.site_G)].astype(float)))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(3, 14), st.integers(1, 3), st.booleans(), st.booleans(), st.booleans()
)
def test_chunks_count_what_a_loop_over_all_pairs_counts(seed, people, sites, everywhere, tied, lazy):
    rng = np.random.default_rng(seed)
    problem = asked(rng, people, sites, everywhere)
    if not len(problem.query_K):
        return
    scores = embeddings(rng, problem, tied)
    whole = np.asarray(scores)
    found = outcome(problem, scores if lazy else whole)
    for k, (query, genuine) in enumerate(zip(problem.query_K, problem.genuine_K, strict=True)):
        own, mine = whole[query, genuine], problem.person_P[problem.person_K[k]]
        rivals = [
            whole[query, g]
            for g in range(len(problem.site_G))
            if problem.person_G[g] != mine and problem.ranked_K[k] in (ALL_SITES, problem.site_G[g])
        ]
        above = sum(score > own + 1e-9 for score in rivals)
        ties = sum(abs(score - own) <= 1e-9 for score in rivals)
        standing_ = found.counted.standing
        assert (standing_.above_K[k], standing_.ties_K[k], standing_.rivals_K[k]) == (
            above,
            ties,
            len(rivals),
        )
        pairs = np.array([
            whole[query, g]
            for g in range(len(problem.site_G))
            if problem.person_G[g] != mine and problem.verified_K[k] == problem.site_G[g]
        ])  # fmt: skip
        assert problem.pairs_K[k] == len(pairs)
        assert found.counted.impostor_K[k] == pytest.approx(pairs.mean())
        assert found.counted.impostor_square_K[k] == pytest.approx((pairs**2).mean())
    _same_rates(problem, whole, found.rates)


def _same_rates(problem: Problem, whole: np.ndarray, rates: verification.Verification) -> None:
    """EER and TAR lie where all thresholds, tried one by one, put them."""
    weight_K = 1 / np.bincount(problem.person_K)[problem.person_K] / len(problem.person_P)
    own_K = whole[problem.query_K, problem.genuine_K]
    score_KG, verify_KG = whole[problem.query_K], problem.verify_KG
    tries = np.unique(np.concatenate([score_KG.ravel() - 2e-9, score_KG.ravel() + 2e-9]))
    frr = np.array([weight_K @ (own_K < t) for t in tries])
    far = np.array(
        [weight_K @ ((verify_KG & (score_KG >= t)).sum(axis=1) / verify_KG.sum(axis=1)) for t in tries]
    )
    curves = rates.curves(np.ones((1, len(problem.person_P))))
    worst, best = np.minimum(frr, far).max(), np.maximum(frr, far).min()
    assert worst - 1e-9 <= eer(*curves)[0] <= best + 1e-9  # the crossing; interpolation decides where
    for limit in (0.05, 0.2):
        allowed = 1 - frr[far <= limit + 1e-12]
        assert tar_at(*curves, limit)[0] == pytest.approx(max(allowed, default=0.0))


def federation(people: int, noise: float = 0.25) -> tuple[Problem, Cosines]:
    rng = np.random.default_rng(1)
    g = rng.normal(size=(people, 16))
    return everybody(people), Cosines(unit_rows(g + noise * 4 * rng.normal(size=g.shape)), unit_rows(g))


def figures(problem: Problem, scores: Cosines) -> np.ndarray:
    found = outcome(problem, scores)
    curves = found.rates.curves(np.ones((1, len(problem.person_P))))
    return np.array(
        [found.rank1_P.mean(), found.precision_P.mean(), eer(*curves)[0], tar_at(*curves, 0.01)[0]]
    )


def test_small_chunks_and_several_threads_change_nothing(monkeypatch):
    problem, scores = federation(150)
    whole = figures(problem, scores)
    monkeypatch.setattr(standing, "CHUNK", 1000)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert np.array_equal(figures(problem, scores), whole)


def test_even_thresholds_are_off_by_no_more_than_they_say(monkeypatch):
    problem, scores = federation(400)
    exact = figures(problem, scores)
    assert not outcome(problem, scores).rates.even
    monkeypatch.setattr(verification, "_MOST", 0)
    rates = outcome(problem, scores).rates
    assert rates.even
    assert 0 < rates.uncertainty() < 0.02
    rough = figures(problem, scores)
    assert np.array_equal(rough[:2], exact[:2])  # ranks are counted one by one
    assert abs(rough[2] - exact[2]) <= rates.uncertainty()
    assert 0 <= exact[3] - rough[3] <= rates.uncertainty(0.01)
    assert np.all(np.diff(rates.frr_PT, axis=1) >= 0)
    assert np.all(np.diff(rates.far_PT, axis=1) <= 1e-12)
    assert (rates.frr_PT[:, [0, -1]] == [0, 1]).all()
    assert rates.far_PT[:, 1].max() <= 1.0


def test_counting_every_nth_pair_is_off_by_its_standard_error(monkeypatch):
    problem, scores = federation(600)
    exact = outcome(problem, scores)
    monkeypatch.setattr(standing, "MOST_PAIRS", 120_000)
    monkeypatch.setattr(standing, "CHUNK", 20_000)
    rough = outcome(problem, scores)
    assert rough.rates.counted_P.sum() == pytest.approx(120_000, rel=0.01)
    assert rough.rates.pairs_P.sum() == exact.rates.counted_P.sum() == 600 * 599
    assert np.array_equal(rough.precision_P, exact.precision_P)  # ranks count all pairs
    assert np.array_equal(rough.rates.frr_PT, exact.rates.frr_PT)
    far, rough_far = exact.rates.far_PT.mean(axis=0), rough.rates.far_PT.mean(axis=0)
    assert 0 < np.abs(rough_far - far).max() < 5 * np.sqrt(0.25 / 120_000)


def test_tar_needs_ten_over_far_impostor_pairs():
    rates = outcome(everybody(20), np.random.default_rng(0).normal(size=(20, 20))).rates
    assert rates.pairs_P.sum() == 380
    assert enough_pairs(rates, 0.05)
    assert not enough_pairs(rates, 0.01)
    found, all_of_them = outcome(everybody(20), np.eye(20)), np.ones(20, dtype=bool)
    assert value(found, all_of_them, "TAR@5%FAR") == 1.0
    assert value(found, all_of_them, "TAR@1%FAR") is None


def test_an_interval_of_perfect_separation_is_wilsons():
    found = rate_estimate(outcome(everybody(20), np.eye(20)).rates, eer, 100, np.random.default_rng(0))
    assert found.value == 0.0
    assert 0.1 < found.ci95[1] < 0.2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9), st.integers(0, 5), st.integers(0, 8), st.integers(1, 12))
def test_ties_precision_and_smaller_galleries_against_enumeration(above, ties, below, people):
    """Every order of the tied, every gallery drawn: by the definition."""
    n = above + ties + below
    one = standing.Standing(np.array([above]), np.array([ties]), np.array([n]))
    ranks = np.arange(above + 1, above + ties + 2)
    assert average_precision(one)[0] == pytest.approx((1 / ranks).mean())
    for k in (1, 5):
        assert first_k(one, k)[0] == pytest.approx((ranks <= k).mean())
    if people - 1 > n:
        assert np.isnan(first_among(one, people)[0])
        return
    chances = [comb(n - (rank - 1), people - 1) / comb(n, people - 1) for rank in ranks]
    assert first_among(one, people)[0] == pytest.approx(np.mean(chances))


def test_the_gallery_curve_ends_in_rank_1_and_begins_at_certainty():
    problem, scores = federation(60)
    found = outcome(problem, scores)
    assert found.among_P(1).mean() == pytest.approx(1.0)
    assert found.among_P(60).mean() == pytest.approx(found.rank1_P.mean())
    assert found.among_P(1000).size == 60
    assert np.isnan(found.among_P(1000)).all()
    sizes = [found.among_P(size).mean() for size in (2, 5, 10, 30, 60)]
    assert sizes == sorted(sizes, reverse=True)
    drawn = np.random.default_rng(0)
    whole, hits = np.asarray(scores), []
    for _ in range(400):
        chosen = drawn.permutation(60)[:10]
        part = whole[np.ix_(chosen, chosen)]
        hits.append((part.argmax(axis=1) == np.arange(10)).mean())
    assert found.among_P(10).mean() == pytest.approx(np.mean(hits), abs=0.02)  # standard error .005


def test_a_gallery_of_ten_thousand_is_exact_in_floating_point():
    """C(9000, 5000) does not fit; its ratio does."""
    one = standing.Standing(np.array([1.0]), np.array([1.0]), np.array([9999.0]))
    # One impostor above for certain, another half the time: (1 - p) and (1 - p) (1 - p') over the two orders.
    p = 4999 / 9999
    assert first_among(one, 5000)[0] == pytest.approx(((1 - p) + (1 - p) * (1 - 4999 / 9998)) / 2, rel=1e-6)
