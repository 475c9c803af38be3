"""The sites explain the model alike in every engine, and so do institutions that train without a guarantee."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from own_sites import write_site

from client.ledger import Ledger
from simulations.engines import deployment, inline, ray
from simulations.engines.base import Order
from simulations.launcher import check, installed_app, options_of
from transecg_core.attribution.site_rows import METHODS_AT_SITE, NEAR_CHANCE, NOT_ALLOWED

# synth-b and synth-d alone have labelled beats
SMALL = {
    "sites": "synth-b,synth-d", "participants-per-site": "24", "tasks": "participant,beat",
    "profile": "quick", "num-server-rounds": "1", "local-steps": "120", "batch-size": "16", "learning-rate": "0.006",
}  # fmt: skip


def rows(
    engine: ModuleType, options: dict[str, str], out: Path, nodes: list[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    cfg = check(options | {"output-dir": str(out)}, out.parent)
    order = Order(installed_app(), options_of(cfg), 2, lambda line: None, lambda text: None)
    engine.run(order, *([nodes] if nodes else []))
    folder = next(path for path in out.iterdir() if path.is_dir())
    found: list[dict[str, Any]] = json.loads((folder / "report.json").read_text())["attribution_at_sites"]
    return found


@pytest.mark.parametrize(
    "engine",
    [pytest.param(ray, marks=pytest.mark.ray), pytest.param(deployment, marks=pytest.mark.deployment)],
)
def test_the_same_rows_as_inline(engine: ModuleType, tmp_path: Path) -> None:
    found = rows(engine, SMALL, tmp_path / "out")
    assert any(row["components"] for row in found if row["head"] == "shared")
    assert found == rows(inline, SMALL, tmp_path / "inline")


@pytest.mark.deployment
def test_institutions_without_a_guarantee_answer_once_and_charge_it_or_withhold_it(
    tmp_path: Path, left: Any
) -> None:
    sites = ("clinic-a", "clinic-b")
    nodes = []
    for site, cohort in zip(sites, ("synth-a", "synth-c"), strict=True):
        write_site(tmp_path / site, cohort, ["csv"], people=11)
        nodes.append({"site": site, "reader": "folder", "data-dir": str(tmp_path / site), "people": 11,
                      "ledger": str(tmp_path / f"{site}.sqlite"), "max-epsilon": "none"})  # fmt: skip
    nodes[1]["attribution"] = "withheld"
    options = {"cohort": "node", "sites": ",".join(sites), "profile": "quick", "num-server-rounds": "1",
               "local-steps": "2", "tasks": "participant,sex"}  # fmt: skip
    found = rows(deployment, options, tmp_path / "out", nodes)
    asked = [(site, task) for site in sites for task in ("participant", "sex") for _ in METHODS_AT_SITE]
    assert [(row["site"], row["task"]) for row in found] == asked
    told, kept = found[: len(found) // 2], found[len(found) // 2 :]
    # After two steps no head is above chance: the site looked, and says so.
    assert {row["reason"] for row in told if row["task"] == "participant"} == {NEAR_CHANCE}
    assert {(row["site"], row["reason"], row["n_participants"]) for row in kept} == {
        ("clinic-b", NOT_ALLOWED, None)
    }
    for site, charged in zip(sites, (["description", "attribution"], ["description"]), strict=True):
        events = Ledger(tmp_path / f"{site}.sqlite", site=site).events()
        assert [event.key.input_hash for event in events if event.key.round == 0] == charged
    assert left() == []
