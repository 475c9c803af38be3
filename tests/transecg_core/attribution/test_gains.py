"""A map is compared with random orders, and with the same lengths in other places."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from transecg_core.attribution.gains import Gain, even_over_people, gains, shifted, shifts
from transecg_core.attribution.group import Group
from transecg_core.attribution.methods import METHODS

TOKENS, PATCH, WINDOWS = 40, 5, 60
FIRST, STOP = 12, 20
"""Tokens of the wave that the first fake model reads."""


class Passing(nn.Module):
    patch = PATCH

    def forward(self, x_BL: Tensor) -> Tensor:
        return x_BL


class Wave:
    """Confident as far as one wave is there."""

    def confidence(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        return z_MD.reshape(len(z_MD), TOKENS, PATCH).mean(dim=2)[:, FIRST:STOP].mean(dim=1)


class Everywhere:
    """Confident as far as anything is there: no place is better than another."""

    def confidence(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        return z_MD.mean(dim=1)


def _gains(target: object, token_T: np.ndarray) -> Gain:
    """Every method has the same map; the windows are ones, the fill zeros."""
    map_BL = np.tile(np.repeat(token_T, PATCH), (WINDOWS, 1))
    cohort = SimpleNamespace(
        x_BL=np.ones(map_BL.shape, np.float32),
        fill_BL=np.zeros(map_BL.shape, np.float32),
        person_B=np.arange(WINDOWS) // 2,
        site_B=np.zeros(WINDOWS, int),
    )
    sized = type("Cohort", (SimpleNamespace,), {"__len__": lambda self: WINDOWS})(**vars(cohort))
    rows = {"t": np.ones(WINDOWS, bool)}
    group = Group(
        sized, rows, {"t": target}, {}, None, np.zeros(0), {"t": dict.fromkeys(METHODS, map_BL)}, {}
    )
    ctx = SimpleNamespace(model=SimpleNamespace(encoder=Passing()), seed=3)
    with torch.no_grad():
        return gains(ctx, group)["occlusion"]["t"]


def test_the_right_place_beats_random_orders_and_itself_elsewhere():
    token_T = np.zeros(TOKENS)
    token_T[FIRST:STOP] = np.linspace(1, 2, STOP - FIRST)
    found = _gains(Wave(), token_T)
    assert found.random_B.mean() > 0.3
    assert found.shifted_B.mean() > 0.3


def test_the_wrong_place_is_worse_than_other_places():
    token_T = np.zeros(TOKENS)
    token_T[28:36] = np.linspace(1, 2, 8)
    found = _gains(Wave(), token_T)
    assert found.random_B.mean() < -0.1
    assert found.shifted_B.mean() < -0.1


def test_where_no_place_is_better_nothing_is_gained():
    found = _gains(Everywhere(), np.arange(TOKENS, dtype=float))
    assert found.random_B == pytest.approx(0, abs=1e-6)
    assert found.shifted_B == pytest.approx(0, abs=1e-6)


def test_windows_not_asked_are_nan():
    found = _gains(Wave(), np.arange(TOKENS, dtype=float))
    assert np.isfinite(found.random_B).all()
    rows = even_over_people(np.repeat([0, 1, 2], [5, 1, 3]), np.zeros(9, int), 4)
    assert rows.tolist() == [0, 1, 5, 6]  # everybody's first, then the first person's second


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(1, 40))
def test_rows_are_even_over_people(person, most):
    person_B = np.array(person)
    rows = even_over_people(person_B, np.zeros(len(person_B), int), most)
    assert len(set(rows.tolist())) == len(rows) == min(most, len(person_B))
    taken = {p: int((person_B[rows] == p).sum()) for p in set(person)}
    left = {p: int((person_B == p).sum()) - taken[p] for p in taken}
    assert all(taken[p] >= max(taken.values()) - 1 for p in taken if left[p])


@pytest.mark.parametrize("people", [3, 24, 60, 120])
def test_every_site_is_judged_however_many_people_it_has(people):
    site_B = np.repeat(np.arange(4), 128)
    person_B = np.tile(np.arange(128) % people, 4) + site_B * people
    rows = even_over_people(person_B, site_B, 96)
    assert np.bincount(site_B[rows]).tolist() == [24] * 4
    assert len(np.unique(person_B[rows])) == 4 * min(people, 24)


def test_a_small_site_gives_what_it_has():
    site_B = np.repeat([0, 1, 2], [50, 4, 50])
    rows = even_over_people(np.arange(104), site_B, 20)
    assert np.bincount(site_B[rows]).tolist() == [8, 4, 8]


@given(st.sampled_from([5, 10]), st.integers(0, 1000))
def test_a_map_moves_by_a_wave_at_least_and_keeps_its_values(patch, seed):
    tokens = 200 // patch
    shift_B = shifts(50, tokens, patch, seed)
    least = 0.1 * 250 / patch
    assert (np.minimum(shift_B, tokens - shift_B) >= round(least)).all()
    token_BT = np.random.default_rng(seed).random((50, tokens))
    moved = shifted(token_BT, shift_B)
    for row in (0, 17, 49):
        assert moved[row].tolist() == np.roll(token_BT[row], shift_B[row]).tolist()


def test_shifts_cover_all_of_the_window():
    shift_B = shifts(4000, TOKENS, PATCH, 0)
    assert set(shift_B.tolist()) == set(range(5, 36))
    assert shift_B.mean() == pytest.approx(TOKENS / 2, abs=0.5)
