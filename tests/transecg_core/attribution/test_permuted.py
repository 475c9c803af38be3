"""Labels that mean nothing: as many of each, no longer anybody's."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from transecg_core.attribution import permuted
from transecg_core.attribution.permuted import permuted_model_maker, permuted_site
from transecg_core.config import parse
from transecg_core.evaluation import audited_model
from transecg_core.risk.rows import NotMeasurable
from transecg_core.sites import Site, available_tasks, site_training_set, trained_rows

TINY = {"profile": "quick", "local-steps": 1, "num-server-rounds": 1, "batch-size": 8, "sites": "synth-a,synth-b",
        "tasks": "participant,sex", "audit-models": 2}  # fmt: skip


@pytest.fixture
def site(toy) -> Site:
    data = toy.sites[0]
    beat_N = np.where(np.arange(len(data.windows)) % 3, 0, 1).astype(np.uint8)
    member_P = np.arange(14) >= 4
    return Site(replace(data, windows=replace(data.windows, beat_N=beat_N), member_P=member_P), 14, ("sex",))


def _sexes(site: Site) -> dict[str, set]:
    found: dict[str, set] = {}
    for record in site.data.windows.records:
        found.setdefault(record.participant, set()).add(record.sex)
    return found


def test_a_person_keeps_one_label_and_as_many_people_have_each(site):
    before, after = _sexes(site), _sexes(permuted_site(site, 1))
    assert all(len(own) == 1 for own in after.values())
    members = [f"p{i}" for i in range(4, 14)]
    count = [Counter(min(of[p]) for p in members) for of in (before, after)]
    assert count[0] == count[1]
    assert any(before[p] != after[p] for p in members)
    assert all(
        before[f"p{i}"] == after[f"p{i}"] for i in range(4)
    )  # who doesn't train, has nothing to permute


def test_a_window_has_somebody_s_participant_and_somebody_s_beat(site):
    other = permuted_site(site, 1)
    rows_N = trained_rows(site.data)
    assert (trained_rows(other.data) == rows_N).all()
    for name in ("participant_N", "beat_N"):
        old, new = getattr(site.data.windows, name), getattr(other.data.windows, name)
        assert (old[~rows_N] == new[~rows_N]).all()
        assert Counter(old[rows_N].tolist()) == Counter(new[rows_N].tolist())
    same = (site.data.windows.participant_N == other.data.windows.participant_N)[rows_N].mean()
    assert same == pytest.approx(1 / 10, abs=0.1)
    assert (other.data.windows.x_NL == site.data.windows.x_NL).all()


def test_permuted_labels_are_a_draw_and_the_training_set_is_as_large(site):
    one, again, other = (permuted_site(site, seed).data.windows.participant_N for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()
    cfg = parse(TINY)
    sets = [site_training_set(cfg, s) for s in (site, permuted_site(site, 1))]
    assert len(sets[0]) == len(sets[1])
    assert available_tasks(cfg, site) == available_tasks(cfg, permuted_site(site, 1))


def test_a_model_is_trained_once_and_only_where_the_run_trains_audit_models(toy):
    cfg = parse(TINY)
    sites = [
        Site(replace(data, name=name), 14, ("sex",))
        for data, name in zip(toy.sites, cfg.site_names, strict=True)
    ]
    said: list[str] = []
    make = permuted_model_maker(cfg, sites, set(cfg.site_names), audited_model, said.append)
    model = make()
    assert make() is model
    assert len(said) == 1
    assert set(model.heads) == {"sex"}
    start = audited_model(cfg, dict(permuted.starting_weights(cfg, said.append)), ("sex",))
    assert not torch.equal(model.encoder.embed.weight, start.encoder.embed.weight)
    none = cfg.model_copy(update={"audit_models": 0})
    assert permuted_model_maker(none, sites, set(), audited_model, said.append) is None
    assert (
        permuted_model_maker(parse({"profile": "default"}), sites, set(), audited_model, said.append) is None
    )


def test_a_recipe_that_fails_says_why_every_time(toy, monkeypatch):
    def fails(*_: object) -> None:
        raise FloatingPointError("loss is nan")

    monkeypatch.setattr(permuted, "train_recipe", fails)
    make = permuted_model_maker(parse(TINY), (), set(), audited_model, lambda line: None)
    for _ in range(2):
        with pytest.raises(NotMeasurable, match="loss is nan"):
            make()
