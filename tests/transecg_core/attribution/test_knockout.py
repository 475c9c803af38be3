from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from transecg_core.attribution.components import shares
from transecg_core.attribution.knockout import FILLS, UNDEFINED, drops, replaced, spread
from transecg_core.attribution.relevance import relevance
from transecg_core.cohorts.schema import COMPONENT_CODE, COMPONENTS
from transecg_core.model.heads import new_site_model

LENGTH = 200
QRS, TP = COMPONENT_CODE["QRS"], COMPONENT_CODE["TP"]
BEAT = (("TP", 25), ("P", 25), ("PQ", 15), ("QRS", 25), ("ST", 20), ("T", 55), ("undefined", 10), ("TP", 25))
BEAT_L = np.concatenate([np.full(n, COMPONENT_CODE[name], dtype=np.uint8) for name, n in BEAT])
LEVELLED = ("people", "mean", "bridge")


class Passing(nn.Module):
    """An encoder whose embedding is the window itself."""

    patch = 5

    def forward(self, x_BL: Tensor) -> Tensor:
        return x_BL


class Linear:
    """score = w . z"""

    def __init__(self, weight_L: np.ndarray) -> None:
        self.weight_L = torch.from_numpy(weight_L.astype(np.float32))

    def score(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        return z_MD @ self.weight_L


def beats(windows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x_BL = np.random.default_rng(seed).normal(size=(windows, LENGTH)).astype(np.float32)
    return x_BL, np.tile(BEAT_L, (windows, 1))


@st.composite
def any_windows(draw):
    """Windows whose components lie anywhere, in any number of stretches, some missing."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    windows = draw(st.integers(1, 4))
    rows = []
    for _ in range(windows):
        cuts = np.sort(rng.integers(0, LENGTH, size=draw(st.integers(0, 9))))
        stretches = np.diff(np.concatenate([[0], cuts, [LENGTH]]))
        rows.append(np.repeat(rng.integers(0, len(COMPONENTS), len(stretches)), stretches))
    x_BL, fill_BL = rng.normal(size=(2, windows, LENGTH)).astype(np.float32)
    return x_BL, fill_BL, np.array(rows, dtype=np.uint8), draw(st.integers(0, UNDEFINED - 1))


@given(any_windows(), st.sampled_from(FILLS))
def test_a_replaced_component_leaves_every_other_sample_untouched(case, fill):
    x_BL, fill_BL, component_BL, code = case
    before = x_BL.copy()
    got = replaced(x_BL, component_BL, code, fill, fill_BL=fill_BL)
    outside = component_BL != code
    assert got.dtype == np.float32
    assert np.isfinite(got).all()
    assert np.array_equal(got[outside], x_BL[outside])
    assert np.array_equal(x_BL, before)


@given(any_windows())
def test_a_bridge_is_the_straight_line_between_the_kept_samples(case):
    x_BL, _, component_BL, code = case
    got = replaced(x_BL, component_BL, code, "bridge")
    for x_L, component_L, got_L in zip(x_BL, component_BL, got, strict=True):
        kept = np.flatnonzero(component_L != code)
        want = np.interp(np.arange(LENGTH), kept, x_L[kept]) if len(kept) else np.full(LENGTH, x_L.mean())
        np.testing.assert_allclose(got_L, want, atol=1e-5)


@given(any_windows())
def test_a_fill_keeps_its_shape_and_starts_and_ends_at_the_kept_samples(case):
    """What is added to the fill is a line over each stretch that closes the step at both edges."""
    x_BL, fill_BL, component_BL, code = case
    got = replaced(x_BL, component_BL, code, "people", fill_BL=fill_BL)
    assert np.array_equal(got, replaced(x_BL, component_BL, code, "mean", fill_BL=fill_BL))
    added_BL = got.astype(np.float64) - fill_BL
    for added_L, component_L in zip(added_BL, component_BL, strict=True):
        inside = component_L == code
        bent = np.abs(np.diff(added_L, 2))[inside[1:-1]]
        if not inside.all():
            assert np.all(bent < 1e-4 * (1 + np.abs(added_L).max()))


@pytest.mark.parametrize("fill", LEVELLED)
def test_of_a_smooth_beat_no_step_is_made_but_zero_makes_one(fill):
    slow_L = np.cos(np.linspace(0, 3, LENGTH)) + 2
    x_BL, fill_BL = slow_L[None].astype(np.float32), (5 - slow_L)[None].astype(np.float32)
    step = {
        name: np.abs(np.diff(replaced(x_BL, BEAT_L[None], QRS, name, fill_BL=fill_BL))).max()
        for name in (fill, "zero")
    }
    assert step[fill] < 0.05
    assert step["zero"] > 1


def test_windows_as_their_own_fill_stay_as_they_are():
    x_BL, component_BL = beats(3)
    for code in range(UNDEFINED):
        np.testing.assert_allclose(
            replaced(x_BL, component_BL, code, "people", fill_BL=x_BL), x_BL, atol=1e-6
        )


@pytest.mark.parametrize(
    ("code", "fill", "words"),
    [(QRS, "noise", "noise"), (QRS, "people", "fill_BL"), (QRS, "mean", "fill_BL"), (UNDEFINED, "zero", "undefined")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(code, fill, words):
    with pytest.raises(ValueError, match=words):
        replaced(*beats(1), code, fill)


@pytest.mark.parametrize("fill", LEVELLED[:2])
def test_drops_without_their_windows_are_refused(fill):
    with pytest.raises(ValueError, match="fill_KBL"):
        drops(Passing(), *beats(1), {}, fill)


def test_drops_of_a_linear_score_are_known():
    """A linear score loses exactly the weight times what the replacement changed, per component."""
    x_BL, component_BL = beats(5)
    component_BL[2][component_BL[2] == COMPONENT_CODE["P"]] = TP  # a beat without a P wave
    weight_L = np.random.default_rng(1).normal(size=LENGTH)
    fill_KBL = np.random.default_rng(2).normal(size=(3, 5, LENGTH)).astype(np.float32)
    target = {"linear": Linear(weight_L)}
    zero = drops(Passing(), x_BL, component_BL, target, "zero")["linear"]
    people = drops(Passing(), x_BL, component_BL, target, "people", fill_KBL)["linear"]
    for code in range(UNDEFINED):
        inside_BL = component_BL == code
        has_B = inside_BL.any(axis=1)
        np.testing.assert_allclose(zero[has_B, code], ((x_BL * inside_BL) @ weight_L)[has_B], atol=1e-4)
        changed_BL = x_BL - np.mean(
            [replaced(x_BL, component_BL, code, "people", fill_BL=f) for f in fill_KBL], axis=0
        )
        np.testing.assert_allclose(people[has_B, code], (changed_BL @ weight_L)[has_B], atol=1e-4)
        assert np.isnan(zero[~has_B, code]).all()
    assert np.isnan(zero[2, COMPONENT_CODE["P"]])
    assert np.isnan(people[:, UNDEFINED]).all()
    assert np.isfinite(np.delete(zero, [0, UNDEFINED], axis=1)).all()


@pytest.mark.parametrize("carrier", [name for name in COMPONENTS if name != "undefined"])
def test_a_score_that_reads_one_component_loses_by_that_one_alone(carrier):
    """Control: the other components' drops, and the relevance outside the carrier, are exactly 0."""
    x_BL, component_BL = beats(4)
    code = COMPONENT_CODE[carrier]
    weight_L = np.random.default_rng(3).normal(size=LENGTH) * (BEAT_L == code)
    toy = type("Toy", (), {"encoder": Passing()})()
    fill_KBL = np.random.default_rng(4).normal(size=(2, 4, LENGTH)).astype(np.float32)
    found = drops(toy.encoder, x_BL, component_BL, {"t": Linear(weight_L)}, "people", fill_KBL)["t"]
    assert (np.abs(found[:, code]) > 0.05).all()
    assert np.array_equal(np.delete(found, [code, UNDEFINED], axis=1), np.zeros((4, len(COMPONENTS) - 2)))
    got_BL = relevance(
        toy, x_BL, Linear(weight_L), "component-occlusion", fill_KBL=fill_KBL, component_BL=component_BL
    )
    assert not got_BL[component_BL != code].any()
    positive = found[:, code] > 0
    share_BK = shares(got_BL, component_BL)
    assert positive.any()
    np.testing.assert_allclose(share_BK[:, code], np.where(positive, 1, -1), rtol=1e-5)


@settings(max_examples=30)
@given(any_windows())
def test_relevance_by_component_adds_up_to_the_drops_and_is_even(case):
    x_BL, fill_BL, component_BL, _ = case
    target = {"t": Linear(np.linspace(-1, 2, LENGTH))}
    drop_BK = drops(Passing(), x_BL, component_BL, target, "people", fill_BL[None])["t"]
    map_BL = spread(drop_BK, component_BL)
    assert not map_BL[component_BL == UNDEFINED].any()
    for code in range(UNDEFINED):
        inside_BL = component_BL == code
        sums_B = (map_BL * inside_BL).sum(axis=1)
        np.testing.assert_allclose(sums_B, np.nan_to_num(drop_BK[:, code]), rtol=1e-3, atol=1e-3)
        assert all(len(np.unique(m[i])) <= 1 for m, i in zip(map_BL, inside_BL, strict=True))
    share_BK = shares(map_BL, component_BL)
    told_B = np.isfinite(share_BK[:, 0])
    assert (np.abs(share_BK[told_B]).sum(axis=1) <= 1 + 1e-5).all()
    np.testing.assert_allclose(np.sign(share_BK[told_B]), np.sign(np.nan_to_num(drop_BK[told_B])))


def test_a_window_with_nothing_delineated_has_no_relevance():
    x_BL, _ = beats(2)
    nothing_BL = np.full((2, LENGTH), UNDEFINED, dtype=np.uint8)
    model = new_site_model(5, ("sex",), seed=0)
    got = relevance(
        model, x_BL, Linear(np.ones(64)), "component-occlusion", fill_KBL=x_BL[None], component_BL=nothing_BL
    )
    assert got.shape == x_BL.shape
    assert not got.any()
    assert np.isnan(shares(got, nothing_BL)).all()


def test_component_occlusion_without_components_is_refused():
    x_BL, _ = beats(1)
    toy = type("Toy", (), {"encoder": Passing()})()
    with pytest.raises(ValueError, match="component_BL"):
        relevance(toy, x_BL, Linear(np.ones(LENGTH)), "component-occlusion", fill_KBL=x_BL[None])
