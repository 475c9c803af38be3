"""``transecg plan`` on the command line, and that runs use the very mechanism that it shows."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from server.run import Coordinator
from simulations import cli
from transecg_core.cohorts import open_site
from transecg_core.config import parse
from transecg_core.model.heads import new_site_model, shared_state
from transecg_core.privacy.plan import plan
from transecg_core.sites import prepare, public_counts

SMALL = ["num-server-rounds=2", "local-steps=5", "patch=10"]


@pytest.fixture
def transecg(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["transecg", "plan", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return call


def test_a_row_and_a_reading_for_every_roster(transecg, tmp_path) -> None:
    status, out, err = transecg("--people", "20,50", *SMALL)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("participant epsilon 8 at delta 1e-05")
    assert [line.split()[0] for line in lines[5:7]] == ["20", "50"]
    assert [line.split(":")[0] for line in lines[-2:]] == ["20 people a site", "50 people a site"]
    assert list(tmp_path.iterdir()) == []  # it writes nothing


def test_a_window_s_guarantee_is_not_sold_as_a_person_s_and_a_sure_draw_is_named(transecg) -> None:
    _, out, err = transecg("--people", "6,40", "privacy=window", *SMALL)
    assert err == ""
    few, many = out.splitlines()[-2:]
    assert "at most 256 windows a step" in out
    assert all("not for a person, whose epsilon is" in line for line in (few, many))
    assert "every window is in every step (q = 1), so sampling adds no privacy" in few
    assert "q = 1" not in many
    _, out, _ = transecg("--people", "6,400", *SMALL)
    few, many = out.splitlines()[-2:]
    assert "everybody is in every step (q = 1)" in few
    assert "q = 1" not in many
    assert "whose epsilon" not in out


def test_json_holds_the_same_numbers(transecg) -> None:
    status, out, _ = transecg("--people", "20", "--json", "privacy=window", *SMALL)
    assert status == 0
    found = json.loads(out)
    row = plan(parse({"privacy": "window", "num-server-rounds": 2, "local-steps": 5, "patch": 10}), 20)
    assert found["options"]["privacy"] == "window"
    assert found["options"]["local-steps"] == 5
    assert found["rows"][0]["sigma"] == row.sigma
    assert found["rows"][0]["audit"]["advantage"] == row.audit.advantage
    assert found["rows"][0]["epsilon_person"] > found["rows"][0]["epsilon_window"]


def test_institutions_are_planned_without_any_data(transecg) -> None:
    status, out, _ = transecg("cohort=node", "sites=a,b,c", "--people", "40", *SMALL)
    assert status == 0
    assert "3 sites" in out
    assert "nobody is held out" in out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["target-epsilon=0"], "target-epsilon"),
        (["target-epsilon=-1"], "target-epsilon"),
        (["delta=0"], "delta"),
        (["delta=0.01"], "at most 1/(10 n)"),
        (["--people", "20,20000"], "too large for 20000"),
        (["--people", "1"], "at least 2 people"),
        (["--people", "20,20"], "twice"),
        (["--people", "many"], "--people many: give numbers separated by commas, for example 20,200"),
        (["--people", "20,100001"], "--people 100001: a site has at most 100000 people"),
        (["participants-per-site=15000"], "at most 1/(10 n) = 6.66e-06"),  # 6.67e-06 would be refused
        (["--people", "20", "participants-per-site=30"], "give one of them"),
        (["participants-per-site=1"], "participants-per-site"),
        (["windows-per-draw=0"], "windows-per-draw"),
        (["max-windows-per-participant=0"], "max-windows-per-participant"),
        (["clip-norm=0"], "clip-norm"),
        (["privacy=none"], "privacy=none promises nothing"),
        (["noise=off"], "noise=off promises nothing"),
        (["cohort=node", "sites=a,b"], "--people N"),
        (["epsilon=8"], "nearest valid: target-epsilon"),
        (["people"], "is not key=value"),
    ],
)
def test_bad_input_is_one_line(transecg, arguments, part) -> None:
    status, out, err = transecg(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("transecg: error: ")
    assert err.count("\n") == 1
    assert part in err


def test_help_is_plain(transecg) -> None:
    status, out, _ = transecg("--help")
    assert status == 0
    assert "--people" in out
    assert "--json" in out


@pytest.mark.parametrize("unit", ["participant", "window"])
def test_server_and_site_use_the_mechanism_that_was_planned(unit: str, tmp_path: Path, monkeypatch) -> None:
    from client.order import Order  # Opacus takes seconds to import; only this test trains
    from client.round import train_round
    from client.site import INLINE_ENGINE, Node

    monkeypatch.setenv(INLINE_ENGINE, "1")
    cfg = parse({
        "privacy": unit, "participants-per-site": 6, "num-server-rounds": 2, "local-steps": 2, "patch": 10,
        "trainable": "head", "start": "random", "batch-size": 4,
    })  # fmt: skip
    row = plan(cfg, 6)
    coordinator = Coordinator(grid=None, cfg=cfg, folder=tmp_path, say=print)  # type: ignore[arg-type]
    assert coordinator.plan("synth-b", 6) == (row.q, row.sigma, cfg.steps)
    site = prepare(cfg, open_site(cfg, "synth-b"))
    weights = shared_state(new_site_model(cfg.patch, cfg.task_names, 0))
    done = train_round(cfg, Node(0, 1), site, Order("synth-b", 1, "1", tmp_path), weights, {})
    assert done.mechanism == (row.q, row.sigma, cfg.steps)
    assert row.steps == cfg.steps * cfg.rounds
    moved = sum(int((done.shared[name] != weights[name]).sum()) for name in weights)
    # Noise reaches every trainable parameter, and no other: what the plan counts.
    assert moved == pytest.approx(row.trainable, abs=2)
    other = replace(site, people=12)
    assert coordinator.plan("synth-b", other.people) != (row.q, row.sigma, cfg.steps)
    assert public_counts(cfg, 6)[0] == row.trained
