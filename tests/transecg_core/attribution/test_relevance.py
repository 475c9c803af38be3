from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from transecg_core.attribution.attention import captured_attention, gradient_weighted, rollout
from transecg_core.attribution.relevance import METHODS, TASK_BLIND, embed, per_token, relevance, relevances
from transecg_core.attribution.targets import ClassTarget, RowsOf, SimilarityTarget
from transecg_core.model.heads import new_site_model

CLASS_B = np.array([0, 1, 1, 0, 1, 0])


@pytest.fixture(scope="module")
def model():
    return new_site_model(10, ("sex", "age"), seed=4)


@pytest.fixture(scope="module")
def x_BL() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 200)).astype(np.float32)


class Passing(nn.Module):
    """An encoder whose embedding is the window itself."""

    patch = 5

    def forward(self, x_BL: Tensor) -> Tensor:
        return x_BL


class Linear:
    """score = w . z"""

    def __init__(self, weight: np.ndarray) -> None:
        self.weight = torch.from_numpy(weight.astype(np.float32))

    def score(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        return z_MD @ self.weight


def test_captured_attention_rows_sum_to_one_and_match_the_fused_forward(model, x_BL):
    x = torch.from_numpy(x_BL)
    with torch.no_grad():
        fused = model.encoder.eval()(x)
        with captured_attention(model.encoder) as maps:
            plain = model.encoder(x)
    assert [tuple(m.shape) for m in maps] == [(6, 4, 21, 21)] * 2
    assert all(torch.allclose(m.sum(-1), torch.ones(6, 4, 21), atol=1e-5) for m in maps)
    assert torch.allclose(plain, fused, atol=1e-5)


@pytest.mark.parametrize("fused", [True, False])
def test_fused_attention_hooks_and_mode_are_restored_even_after_an_error(model, fused):
    attentions = [block.attn for block in model.encoder.blocks]
    for attention in attentions:
        attention.fused_attn = fused
    model.encoder.train()
    states = []

    def fail() -> None:
        with captured_attention(model.encoder):
            states.extend([attention.fused_attn for attention in attentions] + [model.encoder.training])
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert states == [False, False, False]
    assert all(attention.fused_attn is fused for attention in attentions)
    assert not any(attention.attn_drop._forward_hooks for attention in attentions)
    assert model.encoder.training
    for attention in attentions:
        attention.fused_attn = True


def test_rollout_is_row_stochastic_and_keeps_identity(model, x_BL):
    with torch.no_grad(), captured_attention(model.encoder) as maps:
        model.encoder(torch.from_numpy(x_BL))
    flow = rollout(maps)
    assert torch.allclose(flow.sum(-1), torch.ones(6, 21), atol=1e-5)
    assert (flow >= 0).all()
    identity = torch.eye(5).expand(2, 3, 5, 5)
    assert torch.allclose(rollout([identity, identity]), torch.eye(5).expand(2, 5, 5))


def test_gradient_weighting_drops_negative_evidence():
    attention = torch.full((1, 1, 3, 3), 1 / 3)
    gradient = torch.zeros(1, 1, 3, 3)
    gradient[0, 0, 0] = torch.tensor([0.0, 3.0, -3.0])
    assert torch.allclose(gradient_weighted([attention], [gradient]), torch.tensor([[1.0, 0.0]]))


def test_occlusion_of_a_linear_score_is_exact_and_adds_up(x_BL):
    weight = np.random.default_rng(1).normal(size=200)
    toy = SimpleNamespace(encoder=Passing())
    got = relevance(toy, x_BL, Linear(weight), "occlusion", fill_KBL=np.zeros((1, 6, 200), np.float32))
    want = (x_BL * weight).reshape(6, 40, 5).sum(axis=2)
    np.testing.assert_allclose(per_token(got, 5), want, atol=2e-5)
    np.testing.assert_allclose(got.sum(axis=1), x_BL @ weight, atol=2e-4)


def test_batched_occlusion_equals_the_loop(model):
    rng = np.random.default_rng(2)
    x_BL = rng.normal(size=(70, 200)).astype(np.float32)  # several chunks
    fill_KBL = rng.normal(size=(2, 70, 200)).astype(np.float32)
    target = ClassTarget(model.heads["sex"], np.arange(70) % 2)
    got = per_token(relevance(model, x_BL, target, "occlusion", fill_KBL=fill_KBL), 10)
    for row, token in [(0, 0), (7, 19), (33, 11), (69, 4)]:
        patch = slice(token * 10, (token + 1) * 10)
        copies = np.repeat(x_BL[[row]], 3, axis=0)
        copies[1:, patch] = fill_KBL[:, row, patch]
        with torch.no_grad():
            scores = target.score(embed(model.encoder, copies), torch.full((3,), row)).numpy()
        assert got[row, token] == pytest.approx(scores[0] - scores[1:].mean(), abs=1e-5)


def test_occlusion_without_a_fill_is_refused(model, x_BL):
    with pytest.raises(ValueError, match="fill_KBL"):
        relevance(model, x_BL, ClassTarget(model.heads["sex"], CLASS_B), "occlusion")


def test_rows_of_a_target_are_those_rows(model, x_BL):
    rows = np.array([4, 1, 5])
    target = ClassTarget(model.heads["age"], CLASS_B)
    z = embed(model.encoder, x_BL)
    some = RowsOf(target, rows)
    for name in ("score", "confidence"):
        whole = getattr(target, name)(z, torch.arange(6))
        assert torch.allclose(getattr(some, name)(z[rows], torch.arange(3)), whole[rows], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_finite_float32_maps_and_leaves_the_model_alone(model, x_BL, method):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for parameter in model.encoder.parameters():
        parameter.requires_grad_(False)  # also where training has frozen the encoder
    target = ClassTarget(model.heads["sex"], CLASS_B)
    got = relevance(model, x_BL, target, method, fill_KBL=x_BL[None, ::-1], seed=1)
    for parameter in model.encoder.parameters():
        parameter.requires_grad_(True)
    assert got.shape == (6, 200)
    assert got.dtype == np.float32
    assert np.isfinite(got).all()
    assert np.ptp(got) > 0
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_shared_passes_change_nothing_and_only_class_specific_methods_see_the_target(model, x_BL, method):
    sex, age = ClassTarget(model.heads["sex"], CLASS_B), ClassTarget(model.heads["age"], CLASS_B + 1)
    both = relevances(model, x_BL, {"sex": sex, "age": age}, method, fill_KBL=x_BL[None, ::-1], seed=1)
    alone = relevance(model, x_BL, age, method, fill_KBL=x_BL[None, ::-1], seed=1)
    np.testing.assert_allclose(both["age"], alone, rtol=1e-4, atol=1e-6)
    assert np.array_equal(both["sex"], both["age"]) is (method in TASK_BLIND)


def test_gradient_attention_in_chunks_equals_row_by_row(model, monkeypatch, x_BL):
    target = ClassTarget(model.heads["age"], CLASS_B)
    whole = relevance(model, x_BL, target, "gradient-attention")
    monkeypatch.setattr("transecg_core.attribution.relevance.CHUNK", 4)
    np.testing.assert_allclose(
        relevance(model, x_BL, target, "gradient-attention"), whole, rtol=1e-3, atol=1e-7
    )


def test_unknown_method_is_named(model, x_BL):
    with pytest.raises(ValueError, match="saliency"):
        relevance(model, x_BL, ClassTarget(model.heads["sex"], CLASS_B), "saliency")


def test_class_target_is_the_log_odds_of_the_own_class():
    head = nn.Linear(3, 3)
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    classes = np.array([2, 0, 1, -1])
    rows = torch.arange(4)
    p = head(z).softmax(1)[torch.arange(4), torch.tensor([2, 0, 1, 0])]
    target = ClassTarget(head, classes)
    assert torch.allclose(target.confidence(z, rows), p, atol=1e-6)
    assert torch.allclose(target.score(z, rows), torch.logit(p), atol=1e-5)


def test_similarity_target_is_one_at_the_template_and_ignores_length():
    template = np.array([[1.0, 0.0], [0.0, 2.0]])
    centre = np.array([[5.0, 5.0], [1.0, 1.0]])
    target = SimilarityTarget(template, centre)
    z = torch.tensor([[8.0, 5.0], [1.0, 0.5], [3.0, 1.0]])
    assert target.score(z, torch.tensor([0, 1, 1])).tolist() == pytest.approx([1.0, -1.0, 0.0])
