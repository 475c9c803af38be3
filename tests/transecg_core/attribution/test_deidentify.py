"""Replacing a component: what is put there, what stays, and that nothing of the old one shows through."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.attribution.deidentify import (
    GRID,
    Shapes,
    changed,
    common_edges,
    donor_rows,
    flat,
    public_shape,
    runs_of,
    shapes_of,
    unscaled,
)
from transecg_core.cohorts.schema import COMPONENT_CODE

L = 40


def _znormed(x_NL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centred_NL = x_NL - x_NL.mean(axis=1, keepdims=True)
    scale_N = centred_NL.std(axis=1)
    return centred_NL / scale_N[:, None], scale_N


def _bump(count: int) -> Shapes:
    return Shapes(np.tile(np.sin(np.linspace(0, np.pi, GRID)), (count, 1)), np.full(count, 10.0))


masks = st.lists(st.lists(st.booleans(), min_size=L, max_size=L), min_size=1, max_size=4)


@settings(max_examples=30)
@given(masks)
def test_runs_are_the_stretches_of_the_mask(mask):
    inside_NL = np.array(mask)
    runs, again_NL = runs_of(inside_NL), np.zeros_like(inside_NL)
    for row, start, stop in zip(runs.row_R, runs.start_R, runs.stop_R, strict=True):
        assert start == 0 or not inside_NL[row, start - 1]
        assert stop == L or not inside_NL[row, stop]
        again_NL[row, start:stop] = True
    assert (again_NL == inside_NL).all()


@settings(max_examples=25)
@given(masks, st.integers(0, 2**31), st.sampled_from(["flat", "mean"]))
def test_what_was_there_does_not_show_through_in_shape_or_scale(mask, seed, how):
    inside_NL = np.array(mask)
    rng = np.random.default_rng(seed)
    one_NL = rng.normal(size=inside_NL.shape)
    other_NL = np.where(inside_NL, 5 * rng.normal(size=inside_NL.shape) + 3, one_NL)
    site_N, typical_S = np.zeros(len(one_NL), dtype=int), np.array([0.7])
    put = flat(len(one_NL)) if how == "flat" else _bump(len(one_NL))
    out = [
        changed(unscaled(*_znormed(x_NL), site_N, typical_S), inside_NL, put) for x_NL in (one_NL, other_NL)
    ]
    reached_N = out[0][1]
    assert (reached_N == (inside_NL.any(axis=1) & ~inside_NL.all(axis=1))).all()
    # With one sample left nothing but rounding is z-normed.
    enough_N = reached_N & ((~inside_NL).sum(axis=1) > 2)
    np.testing.assert_allclose(out[0][0][enough_N], out[1][0][enough_N], atol=2e-3)


def test_the_rest_of_a_window_keeps_its_shape_and_durations():
    rng = np.random.default_rng(0)
    x_NL = rng.normal(size=(3, L)).astype(np.float32)
    inside_NL = np.zeros((3, L), dtype=bool)
    inside_NL[:, 10:20] = True
    out_NL, reached_N = changed(x_NL, inside_NL, _bump(3))
    assert reached_N.all()
    for before, after in zip(x_NL[:, ~inside_NL[0]], out_NL[:, ~inside_NL[0]], strict=True):
        assert np.corrcoef(before, after)[0, 1] == pytest.approx(1)
    np.testing.assert_allclose(out_NL.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(out_NL.std(axis=1), 1, atol=1e-5)
    assert not np.allclose(out_NL[:, inside_NL[0]], _znormed(x_NL)[0][:, inside_NL[0]], atol=0.1)


def test_flat_is_a_straight_line_between_the_neighbours():
    x_NL = np.random.default_rng(1).normal(size=(2, L)).astype(np.float32)
    inside_NL = np.zeros((2, L), dtype=bool)
    inside_NL[:, 10:20] = True
    out_NL, _ = changed(x_NL, inside_NL, flat(2))
    np.testing.assert_allclose(np.diff(out_NL[:, 9:21], n=2, axis=1), 0, atol=1e-5)
    assert np.abs(np.diff(x_NL[:, 9:21], n=2, axis=1)).max() > 1  # as it was not before


def test_a_shape_is_stretched_to_the_duration_and_tied_to_both_edges():
    slope_L = np.linspace(-2, 2, L, dtype=np.float32)
    inside_NL = np.zeros((2, L), dtype=bool)
    inside_NL[0, 5:15], inside_NL[1, 5:35] = True, True
    out_NL, _ = changed(np.stack([slope_L, slope_L]), inside_NL, _bump(2))
    for row, (start, stop) in enumerate(((5, 15), (5, 35))):
        rest = ~inside_NL[row]
        gain, shift = np.polyfit(slope_L[rest], out_NL[row][rest], 1)
        added_L = (out_NL[row] - shift) / gain - slope_L
        assert abs(int(added_L.argmax()) - (start + stop - 1) / 2) <= 0.5
        assert added_L.max() == pytest.approx(1, abs=0.02)
        assert np.abs(added_L[[start - 1, stop]]).max() < 1e-4


def test_what_the_edge_cuts_off_gets_the_part_of_the_shape_that_it_shows():
    ramp = Shapes(np.linspace(0, 1, GRID)[None] * np.ones((2, 1)), np.full(2, 20.0))
    wave_L = np.sin(np.arange(L)).astype(np.float32)
    inside_NL = np.zeros((2, L), dtype=bool)
    inside_NL[0, :5], inside_NL[1, -5:] = True, True
    out_NL, _ = changed(np.stack([wave_L, wave_L]), inside_NL, ramp)
    added = []
    for row in range(2):
        rest = ~inside_NL[row]
        gain, shift = np.polyfit(wave_L[rest], out_NL[row][rest], 1)
        added.append((out_NL[row] - shift) / gain)
    assert (added[0][:5] - wave_L[5]).min() > 0.7  # the last quarter of a whole one
    assert (added[1][-5:] - wave_L[-6]).max() < 0.3  # the first quarter


def test_a_window_without_the_component_or_without_a_shape_stays():
    x_NL = _znormed(np.random.default_rng(2).normal(size=(3, L)))[0].astype(np.float32)
    inside_NL = np.zeros((3, L), dtype=bool)
    inside_NL[1:, 3:9] = True
    put = _bump(3).of(np.array([0, 0, -1]))
    out_NL, reached_N = changed(x_NL, inside_NL, put)
    assert reached_N.tolist() == [False, True, False]
    np.testing.assert_allclose(out_NL[[0, 2]], x_NL[[0, 2]], atol=1e-6)


def test_shapes_are_of_whole_stretches_and_less_the_line_between_their_ends():
    x_NL = np.tile(np.linspace(0, 4, L), (2, 1))
    x_NL[:, 10:20] += np.sin(np.linspace(0, np.pi, 12))[1:-1]
    inside_NL = np.zeros((2, L), dtype=bool)
    inside_NL[0, 10:20], inside_NL[1, :20] = True, True
    found = shapes_of(x_NL, inside_NL)
    assert found.known_N.tolist() == [True, False]
    assert found.length_N[0] == 10
    np.testing.assert_allclose(found.shape_NG[0], np.sin(np.linspace(0, np.pi, GRID)), atol=0.03)


def test_donors_are_other_people_of_the_site_one_for_each_record():
    site_N, person_N = np.repeat([0, 1], 12), np.repeat([0, 1, 2, 3], 6)
    record_N = np.repeat(np.arange(8), 3)
    usable_N = np.ones(24, dtype=bool)
    usable_N[person_N == 3] = False  # nobody but themselves is left for person 2
    rows = donor_rows(site_N, person_N, record_N, site_N, person_N, usable_N, seed=3)
    assert (rows[person_N == 2] == -1).all()
    given = rows >= 0
    assert given[person_N != 2].all()
    assert (person_N[rows[given]] != person_N[given]).all()
    assert (site_N[rows[given]] == site_N[given]).all()
    again = donor_rows(site_N, person_N, record_N, site_N, person_N, usable_N, seed=3)
    assert (rows == again).all()


def test_common_edges_hold_nearly_everybody_of_the_site_and_follow_nobody():
    inside_NL = np.zeros((43, L), dtype=bool)
    for row in range(40):
        inside_NL[row, 10 + row % 4 : 20 + row % 4] = True
    inside_NL[40, :30] = True  # cut off by the window's edge
    inside_NL[41, 12:15] = inside_NL[42, 14:33] = True
    site_N = np.array([0] * 41 + [1] * 2)
    common_SL = common_edges(inside_NL, site_N, 3)
    assert np.flatnonzero(common_SL[0]).tolist() == list(range(10, 23))
    assert np.flatnonzero(common_SL[1])[[0, -1]].tolist() == [12, 32]
    assert not common_SL[2].any()


def test_the_public_mean_looks_like_the_component_and_is_the_same_for_everybody():
    qrs, p, t = (public_shape(COMPONENT_CODE[name]) for name in ("QRS", "P", "T"))
    assert qrs.shape_NG.shape == (1, GRID)
    assert qrs.shape_NG.max() > 3 * max(np.abs(p.shape_NG).max(), np.abs(t.shape_NG).max())
    assert 0.06 < qrs.length_N[0] / 250 < 0.14 < t.length_N[0] / 250 < 0.25
    assert public_shape(COMPONENT_CODE["QRS"]) is qrs
