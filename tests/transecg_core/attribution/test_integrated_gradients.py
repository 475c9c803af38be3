from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from transecg_core.attribution.embedding import embed
from transecg_core.attribution.integrated_gradients import integrated_gradients
from transecg_core.attribution.relevance import per_token, relevance
from transecg_core.attribution.targets import ClassTarget, SimilarityTarget
from transecg_core.model.heads import new_site_model

WINDOWS, LENGTH = 36, 200  # more than one chunk


class Passing(nn.Module):
    """An encoder whose embedding is the window itself."""

    patch = 5

    def forward(self, x_BL: Tensor) -> Tensor:
        return x_BL


class Quadratic:
    """score = w . z + c z0 z1, whose integrated gradients are known by hand."""

    def __init__(self, weight_L: np.ndarray, coupling: float) -> None:
        self.weight_L = torch.from_numpy(weight_L.astype(np.float32))
        self.coupling = coupling

    def score(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        return z_MD @ self.weight_L + self.coupling * z_MD[:, 0] * z_MD[:, 1]


@pytest.fixture(scope="module")
def model():
    """An encoder with weights of the size that training reaches: its score is far from linear."""
    model = new_site_model(5, ("sex",), seed=4).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.15 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.fixture(scope="module")
def x_KBL() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, WINDOWS, LENGTH)).astype(np.float32)


def _targets(model):
    rng = np.random.default_rng(1)
    yield ClassTarget(model.heads["sex"], np.arange(WINDOWS) % 2)
    yield SimilarityTarget(rng.normal(size=(WINDOWS, 64)), 0.1 * rng.normal(size=(WINDOWS, 64)))


def _score(model, target, x_BL) -> np.ndarray:
    with torch.no_grad():
        return target.score(embed(model.encoder, x_BL), torch.arange(len(x_BL))).numpy()


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.floats(-3, 3))
def test_of_an_analytic_score_the_answer_is_known(seed, coupling):
    rng = np.random.default_rng(seed)
    x_BL, *fill_KBL = rng.normal(size=(3, 3, LENGTH)).astype(np.float32)
    weight_L = rng.normal(size=LENGTH)
    got = integrated_gradients(Passing(), x_BL, np.array(fill_KBL), Quadratic(weight_L, coupling))
    want = np.zeros((3, LENGTH))
    for fill_BL in fill_KBL:
        part_BL = (x_BL - fill_BL) * weight_L
        # The coupling's gradient by z0 is z1, whose mean along the path is half way.
        for one, other in ((0, 1), (1, 0)):
            middle_B = (x_BL[:, other] + fill_BL[:, other]) / 2
            part_BL[:, one] += coupling * (x_BL - fill_BL)[:, one] * middle_B
        want += part_BL / len(fill_KBL)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_attributions_add_up_to_the_rise_from_the_baselines(model, x_KBL):
    x_BL, fill_KBL = x_KBL[0], x_KBL[1:]
    for target in _targets(model):
        got_BL = integrated_gradients(model.encoder, x_BL, fill_KBL, target)
        rise_B = _score(model, target, x_BL) - np.mean([_score(model, target, f) for f in fill_KBL], axis=0)
        error_B = np.abs(got_BL.sum(axis=1, dtype=np.float64) - rise_B)
        assert np.abs(rise_B).mean() > 0.02
        assert np.median(error_B) < 0.02 * np.abs(rise_B).mean()
        # Control: they don't add up to the score alone, nor to another window's rise.
        assert np.median(np.abs(got_BL.sum(axis=1) - _score(model, target, x_BL))) > 10 * np.median(error_B)
        assert np.median(np.abs(got_BL.sum(axis=1) - np.roll(rise_B, 2))) > 10 * np.median(error_B)
        map_BL = relevance(model, x_BL, target, "integrated-gradients", fill_KBL=fill_KBL)
        np.testing.assert_allclose(map_BL.sum(axis=1), got_BL.sum(axis=1), atol=1e-4)
        np.testing.assert_allclose(per_token(map_BL, 5), per_token(got_BL, 5), atol=1e-5)


def test_a_window_that_is_its_own_baseline_has_none(model, x_KBL):
    for target in _targets(model):
        assert not integrated_gradients(model.encoder, x_KBL[0], x_KBL[:1], target).any()


def test_windows_don_t_mix_and_every_row_has_its_own_target(model, x_KBL):
    """Chunks and captum's copies along the path keep a window with its row."""
    x_BL, fill_KBL = x_KBL[0], x_KBL[1:]
    classes = np.arange(WINDOWS) % 2
    whole = integrated_gradients(model.encoder, x_BL, fill_KBL, ClassTarget(model.heads["sex"], classes))
    for row in (0, 7, 33, 35):
        own = ClassTarget(model.heads["sex"], classes[[row]])
        alone = integrated_gradients(model.encoder, x_BL[[row]], fill_KBL[:, [row]], own)
        np.testing.assert_allclose(whole[[row]], alone, rtol=1e-3, atol=1e-5)
    # Two classes: the log-odds of the other one are the negative.
    other = ClassTarget(model.heads["sex"], 1 - classes)
    np.testing.assert_allclose(
        integrated_gradients(model.encoder, x_BL, fill_KBL, other), -whole, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("method", ["integrated-gradients", "occlusion", "component-occlusion"])
def test_without_other_people_s_windows_it_is_refused(model, x_KBL, method):
    with pytest.raises(ValueError, match="fill_KBL"):
        relevance(model, x_KBL[0], next(_targets(model)), method)
