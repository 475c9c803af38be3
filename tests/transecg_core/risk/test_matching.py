"""Matching on constructed embeddings: perfect, useless, tied, shifted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.risk.artefacts import Gallery, Probes
from transecg_core.risk.matching import cosines, match
from transecg_core.risk.problems import everybody, outcome
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.verification import eer, rate_estimate


def pair(people: int, dims: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray, Gallery, Probes]:
    """Two records of two windows per enrolled person, one query of two windows each."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(people, dims))
    entry = np.repeat(np.arange(people), 4)
    query = np.repeat(np.arange(people), 2)
    z, p = (truth[who] + noise * rng.normal(size=(len(who), dims)) for who in (entry, query))
    site = np.arange(people) % 2
    gallery = Gallery(z, entry, np.repeat(np.arange(people * 2), 2), site[entry], site)
    return z, p, gallery, Probes(p, query, site)


def test_perfect_useless_and_tied_embeddings():
    people = 30
    z, p, gallery, probes = pair(people, 16, 0.01, 0)
    found = outcome(everybody(people), match(z, p, gallery, probes))
    assert found.rank1_P.mean() == 1.0
    assert rate_estimate(found.rates, eer, 200, np.random.default_rng(0)).value == 0.0
    # One point for everybody, and rounding noise around one point: chance, not 1 and not 0.
    for flat in (0.0, 1e-9):
        found = outcome(
            everybody(people), match(np.ones_like(z) + flat * z, np.ones_like(p), gallery, probes)
        )
        assert found.rank1_P.mean() == pytest.approx(1 / people)
        assert found.rank_P(5).mean() == pytest.approx(5 / people)
        assert rate_estimate(found.rates, eer, 200, np.random.default_rng(0)).value == pytest.approx(0.5)


def test_permuted_identities_are_at_chance():
    people, rank, rates = 40, [], []
    for seed in range(25):
        z, p, gallery, probes = pair(people, 8, 0.1, seed)
        genuine = np.random.default_rng(seed).permutation(people)
        wrong = replace(everybody(people), genuine_K=genuine, person_K=np.argsort(np.argsort(genuine)))
        found = outcome(wrong, match(z, p, gallery, probes))
        rank.append(found.rank1_P.mean())
        rates.append(rate_estimate(found.rates, eer, 50, np.random.default_rng(0)).value)
    assert np.mean(rank) == pytest.approx(1 / people, abs=0.015)  # standard error .005
    assert np.mean(rates) == pytest.approx(0.5, abs=0.04)


def test_similarities_are_the_same_computed_at_once_or_when_asked_for():
    z, p, gallery, probes = pair(12, 6, 0.5, 0)
    lazy, whole = cosines(z, p, gallery, probes), match(z, p, gallery, probes)
    assert lazy.shape == whole.shape
    assert np.allclose(lazy[np.array([3, 1])], whole[[3, 1]], atol=1e-12)
    assert np.asarray(lazy, dtype=np.float32).dtype == np.float32


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


def test_embeddings_that_are_not_finite_give_a_reason():
    z, p, gallery, probes = pair(6, 4, 0.1, 0)
    with pytest.raises(NotMeasurable, match="not finite"):
        match(z, p * np.nan, gallery, probes)
