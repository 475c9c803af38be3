"""The recipe in process is the run's own: the same bytes, from start to release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from simulations.engines import inline
from simulations.engines.base import Order
from simulations.launcher import check, installed_app, options_of
from transecg_core.audit_models.recipe import recipe_ceilings, train_recipe
from transecg_core.cohorts import open_site
from transecg_core.config import RunConfig
from transecg_core.privacy.account import ceiling_curves, planned_mechanism
from transecg_core.sites import prepare, public_counts
from transecg_core.training.pretrain import starting_weights

QUICK = {"profile": "quick", "participants-per-site": "4", "local-steps": "4", "patch": "10", "ema": "0.5"}
UNITS = {
    "none": {"batch-size": "8", "tasks": "participant,sex,beat"},
    "participant": {"tasks": "participant,sex", "batch-size": "64", "windows-per-draw": "4"},
}


def released(
    folder: Path, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> tuple[RunConfig, Any, Any]:
    """Run the real apps on the in-process engine, up to the audit; return config, record and weights."""
    import server.run

    kept: list[Any] = []
    monkeypatch.setattr(
        server.run, "report_run", lambda record, weights, *_: kept.extend((record, weights)) or folder
    )
    cfg = check({**options, "output-dir": str(folder)}, folder)
    silent = lambda line: None  # noqa: E731
    inline.run(Order(installed_app(), options_of(cfg), 4, silent, silent), 1)
    record, weights = kept
    return cfg, record, weights


@pytest.mark.audit
@pytest.mark.parametrize("unit", sorted(UNITS))
def test_with_the_run_s_seed_and_coins_it_gives_the_run_s_bytes(
    unit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, record, weights = released(tmp_path, QUICK | UNITS[unit] | {"privacy": unit}, monkeypatch)
    sites = [prepare(cfg, open_site(cfg, name)) for name in cfg.site_names]
    start = starting_weights(cfg, lambda line: None)
    again = train_recipe(cfg, list(reversed(sites)), start)
    assert again.tasks == record.tasks
    assert {n: w.numpy().tobytes() for n, w in again.weights.items()} == {
        n: w.numpy().tobytes() for n, w in weights.items()
    }
    assert not torch.equal(weights["encoder.embed.weight"], start["encoder.embed.weight"])
    other = train_recipe(cfg.model_copy(update={"seed": 1}), sites, start)  # it could have been otherwise
    assert not torch.equal(other.weights["encoder.embed.weight"], weights["encoder.embed.weight"])


def test_the_ceiling_counts_every_step_of_the_recipe_whoever_missed_a_round(tmp_path: Path) -> None:
    pairs = QUICK | {"privacy": "participant", "num-server-rounds": "3", "delta": "1e-3"}
    cfg = check({**pairs, "output-dir": str(tmp_path)}, tmp_path)
    sites = [prepare(cfg, open_site(cfg, name)) for name in cfg.site_names[:2]]
    found = recipe_ceilings(cfg, sites)
    assert found is not None
    assert sorted(found) == [site.data.name for site in sites]
    planned = planned_mechanism(cfg, *public_counts(cfg, sites[0].people))
    for rounds, more in ((3, False), (2, True)):
        charged = {sites[0].data.name: ((planned.q, planned.sigma, rounds * cfg.steps),)}
        curves = ceiling_curves(cfg, charged)
        assert curves is not None
        assert (found[sites[0].data.name].auc() > curves[sites[0].data.name].auc()) is more
    assert recipe_ceilings(cfg.model_copy(update={"privacy": "none"}), sites) is None
