"""Private steps of audit models: the same mathematics and noise as `train_private`, to rounding."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch

from transecg_core.audit_models.recipe import one_by_one, train_recipe
from transecg_core.audit_models.stacked_units import UnitWeights, _train, private_side_by_side
from transecg_core.cohorts import open_site
from transecg_core.config import parse
from transecg_core.model.heads import SiteModel, new_site_model, set_trainable
from transecg_core.privacy.noise import source_for
from transecg_core.sites import prepare
from transecg_core.training import sampling
from transecg_core.training.local import MISSING, TrainingSet, cosine
from transecg_core.training.pretrain import starting_weights
from transecg_core.training.private import train_private
from transecg_core.training.sampling import PrivateSpec
from transecg_core.training.site_round import SiteRound

PATCH, PEOPLE, WINDOWS, STEPS = 10, 7, 40, 4
CFG = parse({"tasks": "participant,sex,age", "patch": PATCH, "local-steps": STEPS, "num-server-rounds": 2})
SPECS = {
    "participant": PrivateSpec("participant", 0.5, 0.05, 0.7, 5.0, 3, 12),
    "window": PrivateSpec("window", 0.5, 0.05, 0.4, 16.0, 1, 12),
}


def site(trainable: str = "full", number: int = 2) -> SiteRound:
    """One made-up site: no beats, one person without an age, uneven numbers of windows."""
    g = torch.Generator().manual_seed(3)
    person_N = torch.arange(WINDOWS) % PEOPLE
    targets = {"participant": person_N, "age": torch.where(person_N == 0, MISSING, person_N % 3)}
    model = new_site_model(PATCH, CFG.task_names, 1, PEOPLE)
    set_trainable(model, trainable)
    return SiteRound(
        "s", number, model, TrainingSet(torch.randn(WINDOWS, 200, generator=g), person_N, targets), ()
    )


def reference(at: SiteRound, spec: PrivateSpec, seed: int) -> SiteModel:
    model, rate = deepcopy(at.model), cosine(CFG.rate, CFG.rounds * CFG.steps)
    train_private(model, at.data, spec, steps=CFG.steps, seed=seed,
                  lr_schedule=lambda s: rate((at.number - 1) * CFG.steps + s))  # fmt: skip
    return model


def agree(one: SiteModel, other: SiteModel, keys: bool = True) -> None:
    """Compare weights; without noise not those of `keys`, whose bias changes no softmax: AdamW steps on rounding."""
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        a, b = p.detach().clone(), q.detach().clone()
        if not keys and name.endswith("qkv.bias"):
            a[64:128] = b[64:128] = 0.0
        torch.testing.assert_close(a, b, rtol=0, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("unit", sorted(SPECS))
@pytest.mark.parametrize("trainable", ["full", "bitfit", "head"])
def test_steps_agree_whatever_trains_and_whatever_is_a_unit(trainable: str, unit: str) -> None:
    at = site(trainable)
    before = {name: p.clone() for name, p in at.model.named_parameters()}
    expected, other = reference(at, SPECS[unit], 7), reference(at, SPECS[unit], 8)
    _train(CFG, at, SPECS[unit], source_for(7))
    agree(expected, at.model)
    with pytest.raises(AssertionError):  # it could have been otherwise
        agree(other, at.model)
    for name, p in at.model.named_parameters():
        assert torch.equal(p, before[name]) is not p.requires_grad, name


@pytest.mark.parametrize("unit", sorted(SPECS))
def test_large_draws_come_in_the_same_passes(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_WINDOWS_PER_PASS", 6)
    at = site()
    expected = reference(at, SPECS[unit], 7)
    _train(CFG, at, SPECS[unit], source_for(7))
    agree(expected, at.model)


def test_an_empty_draw_adds_its_noise() -> None:
    at = site()
    spec = replace(SPECS["window"], q=1e-9)
    expected, before = reference(at, spec, 7), deepcopy(at.model)
    _train(CFG, at, spec, source_for(7))
    agree(expected, at.model)
    with pytest.raises(AssertionError):
        agree(before, at.model)


def test_a_site_without_any_label_adds_its_noise() -> None:
    at = site()
    at = replace(at, data=TrainingSet(at.data.x_NL, at.data.participant_N, {}))
    expected = reference(at, SPECS["participant"], 7)
    _train(CFG, at, SPECS["participant"], source_for(7))
    agree(expected, at.model)


@pytest.mark.parametrize("clip_norm", [1e-3, 1e3])
def test_each_unit_s_gradient_is_clipped_by_itself(clip_norm: float) -> None:
    """Without noise, all clipped and none clipped."""
    at = site()
    spec = replace(SPECS["participant"], sigma=0.0, clip_norm=clip_norm, q=1.0)
    batch = sampling.unit_batch(at.data, sampling.draw_units(at.data, spec, source_for(7), 0), spec, None)
    weights = UnitWeights(at.model)
    whole, alone = weights.gradients(batch), deepcopy(at.model)
    rows = slice(0, spec.group)
    loss = sum(
        (torch.nn.functional.cross_entropy(
            alone(batch.x_BL[rows])[task], target_B[rows], ignore_index=MISSING, reduction="none")
         * batch.weight_B[rows]).sum() * {"participant": 1.0, "age": 0.3}[task]
        for task, target_B in batch.targets_B.items()
    )  # fmt: skip
    loss.backward()  # type: ignore[union-attr]
    first = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in alone.parameters()]
    )
    torch.testing.assert_close(whole[0], first, rtol=1e-4, atol=1e-6)
    agree(reference(at, spec, 7), _trained(at, spec), keys=False)


def _trained(at: SiteRound, spec: PrivateSpec) -> SiteModel:
    own = replace(at, model=deepcopy(at.model))
    _train(CFG, own, spec, source_for(7))
    return own.model


def test_a_unit_without_a_finite_gradient_counts_as_absent() -> None:
    at = site()
    at.data.x_NL[at.data.participant_N == 2] = torch.nan
    expected = reference(at, SPECS["participant"], 7)
    _train(CFG, at, SPECS["participant"], source_for(7))
    agree(expected, at.model)
    assert all(bool(torch.isfinite(p).all()) for p in at.model.parameters())


def test_more_windows_than_the_cap_are_refused() -> None:
    with pytest.raises(ValueError, match="more than max_windows=2"):
        _train(CFG, site(), replace(SPECS["participant"], max_windows=2), source_for(7))


@pytest.mark.audit
@pytest.mark.parametrize("unit", sorted(SPECS))
def test_a_whole_recipe_agrees(unit: str) -> None:
    pairs = {
        "profile": "quick",
        "participants-per-site": 6,
        "local-steps": 4,
        "patch": 10,
        "num-server-rounds": 3,
    }
    cfg = parse({**pairs, "privacy": unit, "tasks": "participant,sex,age", "batch-size": 32, "delta": 1e-3})
    sites = [prepare(cfg, open_site(cfg, name)) for name in cfg.site_names]
    start = starting_weights(cfg, lambda line: None)
    one, other, bound = (
        train_recipe(cfg, sites, start, steps)
        for steps in (partial(one_by_one, bound=False), private_side_by_side, one_by_one)
    )
    assert one.tasks == other.tasks
    for name, weights in one.weights.items():
        torch.testing.assert_close(weights, other.weights[name], rtol=0, atol=1e-4)
    assert any(not torch.allclose(w, bound.weights[n], atol=1e-3) for n, w in one.weights.items())
