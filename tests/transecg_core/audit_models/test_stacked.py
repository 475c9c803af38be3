"""Sites side by side: the same mathematics as one after the other, to rounding."""

from __future__ import annotations

import math

import pytest
import torch

from transecg_core.audit_models.recipe import one_by_one, train_recipe
from transecg_core.audit_models.stacked import Stack, side_by_side
from transecg_core.audit_models.stacked_encoder import embed
from transecg_core.cohorts import open_site
from transecg_core.config import RunConfig, parse
from transecg_core.model.heads import SiteModel, new_site_model, set_trainable
from transecg_core.sites import prepare
from transecg_core.training.local import MISSING, TrainingSet
from transecg_core.training.pretrain import starting_weights
from transecg_core.training.site_round import SiteRound

CFG = parse(
    {"tasks": "participant,sex,age", "patch": 10, "local-steps": 4, "num-server-rounds": 2, "batch-size": 8}
)
PEOPLE = (3, 5, 2, 4, 6)


def site(index: int, trainable: str = "full", dtype: torch.dtype = torch.float64) -> SiteRound:
    """One made-up site in round 2; every second one has no ages."""
    g = torch.Generator().manual_seed(index)
    n, people = 24, PEOPLE[index]
    person_N = torch.arange(n) % people
    targets = {"participant": person_N, "sex": person_N % 2}
    if index % 2 == 0:
        targets["age"] = torch.where(person_N == 0, MISSING, person_N % 3)
    model = new_site_model(CFG.patch, CFG.task_names, index, people).to(dtype)
    set_trainable(model, trainable)
    x_NL = torch.randn(n, 200, generator=g, dtype=dtype)
    return SiteRound(f"s{index}", 2, model, TrainingSet(x_NL, person_N, targets), CFG.task_names)


def states(sites: list[SiteRound]) -> list[dict[str, torch.Tensor]]:
    return [{n: p.clone() for n, p in at.model.state_dict().items()} for at in sites]


@pytest.mark.parametrize("patch", [5, 10])
def test_a_stack_embeds_as_its_models_do(patch: int) -> None:
    models = [new_site_model(patch, ("sex",), seed).double() for seed in range(3)]
    x_MBL = torch.randn(3, 4, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z_MBD = embed(Stack(models, [{"sex"}] * 3).weights(), x_MBL, models[0].encoder)
    for model, x_BL, z_BD in zip(models, x_MBL, z_MBD, strict=True):
        torch.testing.assert_close(z_BD, model.encoder(x_BL), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("trainable", ["full", "bitfit", "head"])
def test_steps_agree_in_float64_whatever_trains_and_whoever_lacks_a_task(trainable: str) -> None:
    """Five sites: a full stack and a short one, heads of five sizes, two sites without ages."""
    one, other = ([site(i, trainable) for i in range(len(PEOPLE))] for _ in range(2))
    before = states(one)
    one_by_one(CFG, [(None, at) for at in one])  # type: ignore[list-item]  # plain steps look at no site
    side_by_side(CFG, [(None, at) for at in other])  # type: ignore[list-item]
    for was, a, b in zip(before, states(one), states(other), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)
        assert not torch.equal(a["heads.sex.weight"], was["heads.sex.weight"])
        frozen = torch.equal(b["encoder.embed.weight"], was["encoder.embed.weight"])
        assert frozen == (trainable != "full")
    untouched = "heads.age.weight"
    assert torch.equal(states(other)[1][untouched], before[1][untouched])  # no loss reached it


@pytest.mark.audit
def test_a_whole_recipe_agrees_in_float32() -> None:
    cfg = parse(
        {"profile": "quick", "participants-per-site": 6, "local-steps": 10, "patch": 10, "batch-size": 16}
    )
    sites = [prepare(cfg, open_site(cfg, name)) for name in cfg.site_names]
    start = starting_weights(cfg, lambda line: None)
    one, other = (train_recipe(cfg, sites, start, steps) for steps in (one_by_one, side_by_side))
    assert one.tasks == other.tasks
    for name, weights in one.weights.items():
        a, b = weights.clone(), other.weights[name].clone()
        if name.endswith(
            "qkv.bias"
        ):  # a key's bias changes no softmax: its gradient is rounding, AdamW makes steps of it
            a[64:128] = b[64:128] = 0.0
        torch.testing.assert_close(a, b, rtol=0, atol=2e-3)
    assert embedded(cfg, other.weights, start) > 100 * embedded(cfg, other.weights, one.weights)


def embedded(cfg: RunConfig, one: object, other: object) -> float:
    """Largest difference between two models' embeddings of noise."""
    x_BL = torch.randn(32, 200, generator=torch.Generator().manual_seed(5))
    z = []
    for weights in (one, other):
        model: SiteModel = new_site_model(cfg.patch, cfg.task_names, 0, 1)
        model.load_state_dict({**model.state_dict(), **weights})  # type: ignore[dict-item]
        with torch.no_grad():
            z.append(model.encoder(x_BL))
    return float((z[0] - z[1]).abs().max())


def test_a_loss_that_is_no_number_stops_it() -> None:
    broken = [site(0), site(1)]
    broken[1].data.x_NL[:] = math.nan
    with pytest.raises(FloatingPointError, match="at step 4"):
        side_by_side(CFG, [(None, at) for at in broken])  # type: ignore[list-item]
