"""Matching on constructed embeddings: perfect, useless, tied, shifted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.risk.artefacts import Gallery, Probes
from transecg_core.risk.matching import (
    eer,
    enough_pairs,
    match,
    rank_credit,
    rate_estimate,
    tar_at,
    verification,
)
from transecg_core.risk.rows import NotMeasurable


def pair(people: int, dims: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray, Gallery, Probes]:
    """Two records of two windows per enrolled person, one query of two windows each."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(people, dims))
    entry = np.repeat(np.arange(people), 4)
    query = np.repeat(np.arange(people), 2)
    z, p = (truth[who] + noise * rng.normal(size=(len(who), dims)) for who in (entry, query))
    site = np.arange(people) % 2
    gallery = Gallery(z, entry, np.repeat(np.arange(people * 2), 2), site[entry], site, site)
    return z, p, gallery, Probes(p, query, site, site)


def everyone(people: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(people), ~np.eye(people, dtype=bool)


def test_perfect_useless_and_tied_embeddings():
    people = 30
    genuine, impostor = everyone(people)
    z, p, gallery, probes = pair(people, 16, 0.01, 0)
    scores = match(z, p, gallery, probes)
    assert rank_credit(scores, genuine, impostor, 1).mean() == 1.0
    rates = verification(scores, genuine, impostor, genuine, people)
    assert rate_estimate(rates, eer, 200, np.random.default_rng(0)).value == 0.0
    # One point for everybody, and rounding noise around one point: chance, not 1 and not 0.
    for flat in (0.0, 1e-9):
        scores = match(np.ones_like(z) + flat * z, np.ones_like(p), gallery, probes)
        assert rank_credit(scores, genuine, impostor, 1).mean() == pytest.approx(1 / people)
        assert rank_credit(scores, genuine, impostor, 5).mean() == pytest.approx(5 / people)
        rates = verification(scores, genuine, impostor, genuine, people)
        assert rate_estimate(rates, eer, 200, np.random.default_rng(0)).value == pytest.approx(0.5)


def test_permuted_identities_are_at_chance():
    people, rank, rates = 40, [], []
    for seed in range(25):
        z, p, gallery, probes = pair(people, 8, 0.1, seed)
        genuine = np.random.default_rng(seed).permutation(people)
        impostor = np.ones((people, people), dtype=bool)
        impostor[np.arange(people), genuine] = False
        scores = match(z, p, gallery, probes)
        rank.append(rank_credit(scores, genuine, impostor, 1).mean())
        found = verification(scores, genuine, impostor, np.arange(people), people)
        rates.append(rate_estimate(found, eer, 50, np.random.default_rng(0)).value)
    assert np.mean(rank) == pytest.approx(1 / people, abs=0.015)  # standard error .005
    assert np.mean(rates) == pytest.approx(0.5, abs=0.04)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(-50, 50))
def test_an_offset_of_a_site_changes_nothing(seed, offset):
    z, p, gallery, probes = pair(10, 6, 0.5, seed)
    shift = offset * np.ones(6)
    moved = match(
        z + shift * (gallery.site_N == 1)[:, None], p + shift * (probes.site_Q[probes.query_N] == 1)[:, None],
        gallery, probes,
    )  # fmt: skip
    assert np.allclose(moved, match(z, p, gallery, probes), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 3), st.integers(3, 12))
def test_eer_and_tar_agree_with_brute_force(seed, separation, people):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(people, people)) + separation * np.eye(people)
    genuine, impostor = everyone(people)
    rates = verification(scores, genuine, impostor, genuine, people)
    frr, far = rates.curves(np.ones((1, people)))
    own, other = np.diag(scores), scores[impostor]
    thresholds = np.concatenate([own, other])
    thresholds = np.sort(np.concatenate([thresholds, np.nextafter(thresholds, np.inf)]))
    brute_frr = np.array([(own < t).mean() for t in thresholds])
    brute_far = np.array([(other >= t).mean() for t in thresholds])
    worst = np.minimum(brute_frr, brute_far).max()
    best = np.maximum(brute_frr, brute_far).min()
    # The crossing lies between these two; interpolation decides where.
    assert worst - 1e-9 <= eer(frr, far)[0] <= best + 1e-9
    for limit in (0.05, 0.2):
        assert tar_at(frr, far, limit)[0] == pytest.approx((1 - brute_frr[brute_far <= limit + 1e-12]).max())


def test_tar_needs_ten_over_far_impostor_pairs():
    scores = np.random.default_rng(0).normal(size=(20, 20))
    genuine, impostor = everyone(20)
    rates = verification(scores, genuine, impostor, genuine, 20)
    assert rates.pairs_P.sum() == 380
    assert enough_pairs(rates, 0.05)
    assert not enough_pairs(rates, 0.01)


def test_embeddings_that_are_not_finite_give_a_reason():
    z, p, gallery, probes = pair(6, 4, 0.1, 0)
    with pytest.raises(NotMeasurable, match="not finite"):
        match(z, p * np.nan, gallery, probes)
