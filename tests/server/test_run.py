"""Whole tiny runs through the real apps on the in-process engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import client.app
import server.run
from client.ledger import read
from client.round import Result
from simulations.engines import inline
from simulations.engines.base import Order
from simulations.launcher import check, installed_app, options_of
from transecg_core.errors import UserError
from transecg_core.report.folder import noted_run
from transecg_core.run_record import RunRecord

TINY = {
    "participants-per-site": "4", "num-server-rounds": "2", "local-steps": "3", "patch": "10",
    "profile": "quick", "batch-size": "8",
}  # fmt: skip


def launch(out: Path, nodes: int = 4, workers: int = 1, **options: str) -> tuple[Path, list[str]]:
    """Run the apps on `nodes` nodes; return the run folder and what was said."""
    cfg = check({**TINY, "output-dir": str(out), **{k.replace("_", "-"): v for k, v in options.items()}}, out)
    lines: list[str] = []
    order = Order(installed_app(), options_of(cfg), nodes, lines.append, lines.append)
    inline.run(order, workers)
    return next(path for path in out.iterdir() if path.is_dir()), lines


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return launch(tmp_path_factory.mktemp("reference"))[0]


def figures(report: dict) -> dict:
    return {
        key: report[key]
        for key in (
            "data",
            "training",
            "privacy",
            "utility",
            "risks",
            "attribution",
            "attribution_at_sites",
            "verdict",
        )
    }


def test_a_run_leaves_a_valid_report_weights_and_card(reference: Path) -> None:
    report = report_of(reference)
    assert [row["name"] for row in report["data"]["sites"]] == ["synth-a", "synth-b", "synth-c", "synth-d"]
    assert {row["kind"] for row in report["risks"]} == {"A", "B", "C"}
    assert (reference / "report.html").stat().st_size > 10_000
    assert report["data"]["duplicates"]["across_ids"] == 0  # nobody's recording is another's
    named = (reference / "skipped.csv").read_text().splitlines()[1:]
    counted = sum(sum(site["skipped"].values()) for site in report["data"]["sites"])
    assert sum(int(line.rpartition(",")[2]) for line in named) == counted > 0
    assert (reference / "duplicates.csv").read_text().count("\n") == 1
    rows = report["attribution_at_sites"]  # of four people a site, so without a figure
    assert {row["site"] for row in rows} == {"synth-a", "synth-b", "synth-c", "synth-d"}
    assert all(row["components"] is row["n_participants"] is row["accuracy"] is None for row in rows)
    card = json.loads((reference / "model-card.json").read_text())
    assert card["privacy"]["covers"].startswith("nothing")
    weights = load_file(reference / "encoder.safetensors")
    assert not [name for name in weights if "participant" in name]
    assert not [name for name in load_file(reference / "checkpoint.safetensors") if "participant" in name]


@pytest.mark.parametrize(("nodes", "workers"), [(2, 1), (4, 2)])
def test_same_seed_same_bytes_whatever_serves_the_sites(
    reference: Path, tmp_path: Path, nodes: int, workers: int
) -> None:
    folder, _ = launch(tmp_path, nodes=nodes, workers=workers)
    assert (folder / "encoder.safetensors").read_bytes() == (reference / "encoder.safetensors").read_bytes()
    assert figures(report_of(folder)) == figures(report_of(reference))


def test_another_seed_gives_other_weights(reference: Path, tmp_path: Path) -> None:
    folder, _ = launch(tmp_path, seed="1")
    assert (folder / "encoder.safetensors").read_bytes() != (reference / "encoder.safetensors").read_bytes()


def fail_at(
    monkeypatch: pytest.MonkeyPatch, site: str, round_number: int, how: Callable[[Result], Result]
) -> None:
    """Make one site fail in one round."""
    honest = client.app.train_round

    def train(cfg, node, data, order, weights, local):
        result = honest(cfg, node, data, order, weights, local)
        return how(result) if (order.site, order.round) == (site, round_number) else result

    monkeypatch.setattr(client.app, "train_round", train)


def raise_it(result: Result) -> Result:
    raise RuntimeError("disk on fire")


def poison(result: Result) -> Result:
    shared = {name: torch.full_like(value, np.nan) for name, value in result.shared.items()}
    return Result(shared, result.local, result.tasks, result.log, result.mechanism, None)


@pytest.mark.parametrize(("how", "reason"), [(raise_it, "disk on fire"), (poison, "non-finite")])
def test_a_failing_site_is_named_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: Callable[[Result], Result], reason: str
) -> None:
    fail_at(monkeypatch, "synth-c", 2, how)
    folder, lines = launch(tmp_path)
    report = report_of(folder)
    absent = [row["absent"] for row in report["training"]["rounds"]]
    assert absent[0] == {}
    assert list(absent[1]) == ["synth-c"]
    assert reason in absent[1]["synth-c"]
    assert any("site 'synth-c' is absent" in line and reason in line for line in lines)
    assert any("synth-c missed 1 of 2 rounds" in limit for limit in report["limits"])


def test_a_head_that_nobody_trained_is_neither_released_nor_audited(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """synth-c alone has diagnoses, says so at the start, and then never answers."""
    honest = client.app.train_round

    def train(cfg, node, data, order, weights, local):
        if order.site == "synth-c":
            raise RuntimeError("disk on fire")
        return honest(cfg, node, data, order, weights, local)

    monkeypatch.setattr(client.app, "train_round", train)
    folder, _ = launch(tmp_path, sites="synth-a,synth-b,synth-c", nodes=3)
    card = json.loads((folder / "model-card.json").read_text())
    heads = {
        name.split(".")[1] for name in load_file(folder / "encoder.safetensors") if name.startswith("heads.")
    }
    assert heads == set(card["tasks"]) - {"participant"}
    assert "sex" in heads
    assert "diagnosis" not in heads
    report = report_of(folder)
    assert "diagnosis" not in report["utility"]
    assert "diagnosis" not in report["attribution"]


def test_one_site_alone_ends_the_run_and_keeps_what_was_finished(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fail_at(monkeypatch, "synth-b", 2, raise_it)
    with pytest.raises(UserError, match="round 2: only 1 of 2 sites answered"):
        launch(tmp_path, sites="synth-a,synth-b", nodes=2)
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    assert (folder / "checkpoint.safetensors").exists()
    assert not (folder / "report.html").exists()
    assert "round 1/2" in (folder / "progress.log").read_text()


@pytest.mark.parametrize("unit", ["participant", "window"])
def test_a_private_run_shows_both_levels_and_keeps_its_ledgers(tmp_path: Path, unit: str) -> None:
    folder, lines = launch(tmp_path, privacy=unit, target_epsilon="8")
    privacy = report_of(folder)["privacy"]
    assert privacy["simulation_noise"] is True
    for row in privacy["sites"]:
        own = row["epsilon_window"] if unit == "window" else row["epsilon_participant"]
        assert 7.5 < own <= 8.0
        assert row["epsilon_participant"] >= own
        assert row["steps"] == 6
    assert any(f"{unit} epsilon" in line and "of 8" in line for line in lines)
    assert sorted(path.name for path in (folder / "ledger").iterdir()) == [
        f"synth-{x}.sqlite" for x in "abcd"
    ]  # fmt: skip
    charges = [charge for path in (folder / "ledger").iterdir() for charge in read(path).charges]
    assert {charge.key.run_id for charge in charges} == {noted_run(folder)}  # by which an audit finds them


def test_the_reference_arm_claims_nothing(tmp_path: Path) -> None:
    folder, _ = launch(tmp_path, privacy="participant", noise="off")
    report = report_of(folder)
    assert report["privacy"]["target_epsilon"] is None
    assert all(row["epsilon_participant"] is None for row in report["privacy"]["sites"])
    assert all(row["ceiling"] is None for row in report["risks"])
    assert not (folder / "ledger").exists()


def test_a_leaky_protocol_is_called_leaky(tmp_path: Path) -> None:
    folder, _ = launch(tmp_path, protocol="random-window", sites="synth-a,synth-b", nodes=2)
    report = report_of(folder)
    assert any("LEAKY" in limit for limit in report["limits"])
    assert "LEAKY" in (folder / "report.html").read_text().upper()


def test_a_task_that_nobody_can_train_ends_before_training(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no site has two classes for 'diagnosis'"):
        launch(tmp_path, nodes=2, tasks="sex,diagnosis", sites="synth-a,synth-b")
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    assert "round 1" not in (folder / "progress.log").read_text()


def test_a_simulation_keeps_what_observers_of_its_rounds_saw_and_writes_none_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fail_at(monkeypatch, "synth-c", 2, raise_it)
    records = []

    def keep(record: RunRecord, weights: object, folder: Path, say: object) -> Path:
        records.append(record)
        return folder

    monkeypatch.setattr(server.run, "report_run", keep)
    folder, _ = launch(tmp_path)
    (first, second) = records[0].observed.rounds
    assert (first.number, second.number) == (1, 2)
    assert set(first.updates) == {"synth-a", "synth-b", "synth-c", "synth-d"}
    assert set(second.updates) == {"synth-a", "synth-b", "synth-d"}  # absent, so nothing of it was seen
    name = "encoder.embed.weight"
    assert torch.equal(second.before[name], first.after[name])
    for seen in (first, second):
        mean = torch.stack([sent[name] for sent in seen.updates.values()]).mean(dim=0)
        assert torch.allclose(mean, seen.after[name], atol=1e-6)
        assert not torch.equal(seen.before[name], seen.after[name])
        assert not [key for sent in seen.updates.values() for key in sent if "participant" in key]
    assert {path.name for path in folder.iterdir()} == {"checkpoint.safetensors", "progress.log", "run-id"}
