"""K models: whose coin fell where, and what each model has for itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from transecg_core.audit_models import together
from transecg_core.audit_models.for_audit import audit_model_maker
from transecg_core.audit_models.together import (
    model_coins,
    model_config,
    train_audit_models,
)
from transecg_core.cohorts import open_site
from transecg_core.config import RunConfig, parse
from transecg_core.errors import UserError
from transecg_core.evaluation import audited_model
from transecg_core.risk.rows import NotMeasurable
from transecg_core.sites import Site, prepare

TINY = {"profile": "quick", "participants-per-site": 5, "local-steps": 2, "num-server-rounds": 2, "patch": 10,
        "batch-size": 8, "sites": "synth-a,synth-b"}  # fmt: skip


@pytest.fixture(scope="module")
def cfg() -> RunConfig:
    return parse(TINY)


@pytest.fixture(scope="module")
def sites(cfg: RunConfig) -> list[Site]:
    return [prepare(cfg, open_site(cfg, name)) for name in cfg.site_names]


def silent(line: str) -> None:
    pass


def test_coins_are_fair_and_independent_across_people_and_models() -> None:
    people = [f"site/p{i}" for i in range(400)]
    coins_KP = np.stack([model_coins(7, k, people) for k in range(40)]).astype(float)
    assert abs(coins_KP.mean() - 0.5) < 4 * 0.5 / np.sqrt(coins_KP.size)
    for table in (coins_KP, coins_KP.T):  # pairs of models, pairs of people: no more agreement than chance
        r = np.corrcoef(table)[np.triu_indices(len(table), 1)]
        assert abs(r.mean()) < 0.01
        assert r.std() == pytest.approx(1 / np.sqrt(table.shape[1]), rel=0.1)
    in_P = coins_KP.sum(axis=0)  # binomial, not balanced
    assert in_P.std() == pytest.approx(np.sqrt(40 * 0.25), rel=0.15)


def test_a_person_has_one_coin_wherever_they_are_and_whoever_else_is_there() -> None:
    alone = model_coins(7, 3, ["twin"])
    assert model_coins(7, 3, ["a", "twin", "b", "twin"]).tolist().count(bool(alone[0])) >= 2
    both = model_coins(7, 3, ["a", "twin", "b", "twin"])
    assert both[1] == both[3] == alone[0]


def test_every_model_has_its_own_seed_and_none_the_run_s(cfg: RunConfig) -> None:
    seeds = [model_config(cfg, k).seed for k in range(50)]
    assert len({*seeds, cfg.seed}) == 51
    assert all(parse({"seed": seed}) for seed in seeds)
    assert model_config(cfg, 0).model_dump(exclude={"seed"}) == cfg.model_dump(exclude={"seed"})


@pytest.mark.audit
@pytest.mark.parametrize("unit", ["none", "participant"])
def test_the_number_of_cores_changes_no_bit_and_models_differ(
    unit: str, sites: list[Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = parse(TINY | {"privacy": unit, "tasks": "sex"})
    done = []
    for cores in (1, 2):
        monkeypatch.setattr(together, "_cores", lambda cores=cores: cores)
        done.append(train_audit_models(cfg, sites, 2, silent))
    for one, two in zip(*done, strict=True):
        assert {n: w.numpy().tobytes() for n, w in one.trained.weights.items()} == {
            n: w.numpy().tobytes() for n, w in two.trained.weights.items()
        }
    first, second = done[0]
    name = "encoder.blocks.0.mlp.fc1.weight"
    assert not torch.equal(first.start[name], second.start[name])
    assert not torch.equal(first.trained.weights[name], second.trained.weights[name])
    for model, k in ((first, 0), (second, 1)):
        assert all(
            np.array_equal(own, model_coins(cfg.seed, k, site.data.person_P))
            for own, site in zip(model.members, sites, strict=True)
        )


def test_members_alone_train(cfg: RunConfig, sites: list[Site]) -> None:
    """Whoever's coin fell on "no" can have any windows: the model is the same."""
    (model,) = train_audit_models(cfg, sites, 1, silent)
    changed = []
    for site, member_P in zip(sites, model.members, strict=True):
        windows, out_N = site.data.windows, ~member_P[site.data.windows.participant_N]
        assert 0 < out_N.sum() < len(out_N)
        x_NL = np.where(out_N[:, None], -np.asarray(windows.x_NL), windows.x_NL)
        changed.append(replace(site, data=replace(site.data, windows=replace(windows, x_NL=x_NL))))
    (again,) = train_audit_models(cfg, changed, 1, silent)
    assert all(torch.equal(again.trained.weights[n], w) for n, w in model.trained.weights.items())


def test_one_failure_ends_the_others(
    cfg: RunConfig, sites: list[Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def broken(own: RunConfig, *rest: Any) -> None:
        begun.append(own.seed)
        if len(begun) == 1:
            raise FloatingPointError("loss is nan")
        while True:
            rest[-1]()  # the next round: raises once another model has failed

    monkeypatch.setattr(together, "train_recipe", broken)
    monkeypatch.setattr(together, "_cores", lambda: 2)
    with pytest.raises(FloatingPointError, match="loss is nan"):
        train_audit_models(cfg, sites, 12, silent)
    assert len(begun) < 12


def test_a_site_without_members_is_absent_and_one_site_is_no_federation(
    cfg: RunConfig, sites: list[Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    three = [*sites, prepare(cfg, open_site(cfg, "synth-c"))]
    lost = set(three[1].data.person_P)
    monkeypatch.setattr(
        together, "model_coins", lambda seed, k, persons: np.array([p not in lost for p in persons])
    )
    monkeypatch.setattr(
        together, "train_recipe", lambda own, there, *rest: seen.append([s.data.name for s in there])
    )
    train_audit_models(cfg, three, 1, silent)
    assert seen == [["synth-a", "synth-c"]]
    with pytest.raises(ValueError, match="1 of 2 sites"):
        train_audit_models(cfg, three[:2], 1, silent)


def test_what_asks_for_none_gets_none_and_a_failure_is_a_reason(
    cfg: RunConfig, sites: list[Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [site.data.name for site in sites]
    for options in ({}, {"audit-models": 4, "audit-split": "none"}, {"profile": "full", "audit-models": 0}):
        assert audit_model_maker(parse(TINY | options), sites, names, audited_model, silent) is None
    make = audit_model_maker(parse(TINY | {"audit-models": 4}), sites, names[:1], audited_model, silent)
    assert make is not None
    for _ in range(2):
        with pytest.raises(NotMeasurable, match="could not be trained"):
            make()
    with pytest.raises(UserError, match="audit-models"):
        parse({"audit-models": 257})


def test_the_audit_s_models_are_trained_once_and_cover_every_site(cfg: RunConfig, sites: list[Site]) -> None:
    said: list[str] = []
    three = [*sites, prepare(cfg, open_site(cfg, "synth-c"))]
    names = [site.data.name for site in sites]
    make = audit_model_maker(parse(TINY | {"audit-models": 2}), three, names, audited_model, said.append)
    assert make is not None
    made = make()
    assert make() is made
    assert [len(models) for models in (made.models, made.starts, made.members)] == [2, 2, 2]
    assert all(not members[2].any() and len(members) == 3 for members in made.members)  # synth-c has no part
    assert "participant" not in made.models[0].heads
    assert said[0].startswith("audit: training 2 audit models")
