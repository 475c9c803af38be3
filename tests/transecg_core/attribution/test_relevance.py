from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from transecg_core.attribution.attention import cls_attention, gradient_weighted, rollout
from transecg_core.attribution.embedding import chunks, class_token, embed
from transecg_core.attribution.methods import CLAIM_METHODS, FAMILIES, METHODS, SIGNED, TASK_BLIND
from transecg_core.attribution.relevance import per_token, relevance, relevances
from transecg_core.attribution.targets import ClassTarget, RowsOf, SimilarityTarget
from transecg_core.model.heads import new_site_model

CLASS_B = np.array([0, 1, 1, 0, 1, 0])
COMPONENT_BL = np.tile(np.repeat(np.array([5, 0, 1, 2, 3, 4, 6, 5], dtype=np.uint8), 25), (6, 1))


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


@pytest.mark.parametrize("patch", [5, 10])
def test_the_short_way_to_the_class_token_is_the_encoder(x_BL, patch):
    encoder = new_site_model(patch, (), seed=4).encoder.eval()
    with torch.no_grad():  # weights of the size that training reaches
        for parameter in encoder.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    whole, short = (torch.from_numpy(x_BL).requires_grad_() for _ in range(2))
    weight = torch.linspace(-1, 1, 64)
    one, other = encoder(whole), class_token(encoder, short)
    assert torch.allclose(one, other, atol=2e-5)
    (one @ weight).sum().backward()
    (other @ weight).sum().backward()
    assert torch.allclose(whole.grad, short.grad, atol=1e-4)


def _maps(model, x_BL) -> list[Tensor]:
    maps: list[Tensor] = []
    with torch.no_grad():
        class_token(model.encoder, torch.from_numpy(x_BL), maps)
    return maps


def test_attention_is_that_of_the_encoder_and_sums_to_one(model, x_BL):
    seen: list[Tensor] = []
    attentions = [block.attn for block in model.encoder.blocks]
    hooks = [a.attn_drop.register_forward_hook(lambda *args: seen.append(args[2])) for a in attentions]
    for attention in attentions:
        attention.fused_attn = False
    with torch.no_grad():
        model.encoder.eval()(torch.from_numpy(x_BL))
    for attention, hook in zip(attentions, hooks, strict=True):
        attention.fused_attn = True
        hook.remove()
    maps = _maps(model, x_BL)
    assert [tuple(m.shape) for m in maps] == [(6, 4, 21, 21), (6, 4, 1, 21)]
    assert all(torch.allclose(m.sum(-1), torch.ones(m.shape[:-1]), atol=1e-5) for m in maps)
    assert torch.allclose(maps[0], seen[0], atol=1e-6)
    assert torch.allclose(maps[1], seen[1][:, :, :1], atol=1e-6)
    assert torch.allclose(cls_attention(maps), seen[1].mean(dim=1)[:, 0, 1:], atol=1e-6)


def test_rollout_and_gradient_weighting_are_the_class_row_of_the_whole_products():
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(2, 3, 6, 6, generator=generator).softmax(-1) for _ in range(3)]
    gradients = [torch.randn(2, 3, 6, 6, generator=generator) for _ in range(3)]
    identity = torch.eye(6)
    flow, relevance_BTT = identity, identity
    for attention, gradient in zip(maps, gradients, strict=True):
        flow = (0.5 * attention.mean(1) + 0.5 * identity) @ flow
        relevance_BTT = relevance_BTT + (attention * gradient).clamp(min=0).mean(1) @ relevance_BTT
    short = [*maps[:-1], maps[-1][:, :, :1]], [*gradients[:-1], gradients[-1][:, :, :1]]
    for a, g in ((maps, gradients), short):
        assert torch.allclose(rollout(a), flow[:, 0], atol=1e-6)
        assert torch.allclose(gradient_weighted(a, g), relevance_BTT[:, 0, 1:], atol=1e-5)
    assert torch.allclose(rollout(maps).sum(-1), torch.ones(2), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_restored_even_after_an_error(model, x_BL, method, training):
    class Failing(ClassTarget):
        def score(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
            raise RuntimeError("on purpose")

    model.encoder.train(training)
    target = Failing(model.heads["sex"], CLASS_B)
    options = {"fill_KBL": x_BL[None, ::-1], "component_BL": COMPONENT_BL}
    if method in TASK_BLIND:
        relevance(model, x_BL, target, method, **options)
    else:
        with pytest.raises(RuntimeError, match="on purpose"):
            relevance(model, x_BL, target, method, **options)
    assert model.encoder.training is training
    model.encoder.eval()


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
    got = relevance(model, x_BL, target, method, fill_KBL=x_BL[None, ::-1], component_BL=COMPONENT_BL, seed=1)
    for parameter in model.encoder.parameters():
        parameter.requires_grad_(True)
    assert got.shape == (6, 200)
    assert got.dtype == np.float32
    assert np.isfinite(got).all()
    assert np.ptp(got) > 0
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_only_signed_methods_speak_against_a_target(model, x_BL, method):
    target = ClassTarget(model.heads["sex"], CLASS_B)
    options = {"fill_KBL": x_BL[None, ::-1], "component_BL": COMPONENT_BL}
    assert (relevance(model, x_BL, target, method, **options).min() < 0) == (method in SIGNED)


def test_every_method_has_one_place_and_only_those_that_see_the_target_may_claim():
    families = [method for family in FAMILIES.values() for method in family]
    assert sorted((*families, *TASK_BLIND)) == sorted(METHODS)
    assert set(CLAIM_METHODS) == set(METHODS) - TASK_BLIND


@pytest.mark.parametrize("method", METHODS)
def test_shared_passes_change_nothing_and_only_class_specific_methods_see_the_target(model, x_BL, method):
    sex, age = ClassTarget(model.heads["sex"], CLASS_B), ClassTarget(model.heads["age"], CLASS_B + 1)
    both = relevances(
        model,
        x_BL,
        {"sex": sex, "age": age},
        method,
        fill_KBL=x_BL[None, ::-1],
        component_BL=COMPONENT_BL,
        seed=1,
    )
    alone = relevance(model, x_BL, age, method, fill_KBL=x_BL[None, ::-1], component_BL=COMPONENT_BL, seed=1)
    np.testing.assert_allclose(both["age"], alone, rtol=1e-4, atol=1e-6)
    assert np.array_equal(both["sex"], both["age"]) is (method in TASK_BLIND)


def test_gradient_attention_in_chunks_equals_row_by_row(model, monkeypatch, x_BL):
    target = ClassTarget(model.heads["age"], CLASS_B)
    whole = relevance(model, x_BL, target, "gradient-attention")
    monkeypatch.setattr("transecg_core.attribution.relevance.chunks", partial(chunks, size=4))
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
