"""Ledgers of simulated sites over three runs, and one kill -9 in mid-round: intact, and nothing under-counted."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from safetensors import safe_open

from client.ledger import read, verify
from client.spending import spent
from simulations.ledger_account import account

SITES = ("synth-a", "synth-b", "synth-c", "synth-d")
TINY = (
    "participants-per-site=4", "num-server-rounds=2", "local-steps=3", "patch=10", "profile=quick", "batch-size=8",
    "privacy=participant", "audit-split=none",
)  # fmt: skip
PATH = Path(__file__).parents[2] / "benchmarks" / "interrupted_runs.py"


@pytest.mark.audit
def test_three_runs_and_a_kill_leave_ledgers_that_verify_and_count_everything(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("interrupted_runs", PATH)
    assert spec is not None
    assert spec.loader is not None
    runs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runs)

    for seed in (0, 1, 2):
        report = json.loads((runs.finish(tmp_path, seed, TINY) / "report.json").read_text())
        for row in report["privacy"]["sites"]:
            contents, _ = verify(tmp_path / "ledgers" / f"{row['name']}.sqlite")
            found = account(contents, row["delta"])
            assert row["lifetime"] == {
                "epsilon_participant": pytest.approx(found.epsilon_person, rel=1e-12),
                "events": 2 * (seed + 1),
            }
            # the report's own recomputation for the run, and the ledger's, from different records
            assert row["epsilon_participant"] == pytest.approx(found.runs[-1].epsilon_person, rel=1e-9)
            assert row["epsilon_participant"] <= 8.0
            assert (row["lifetime"]["epsilon_participant"] > 8.0) == (seed > 0)

    assert runs.charges(tmp_path) == dict.fromkeys(SITES, 6)
    long = [*(option for option in TINY if not option.startswith("num-")), "num-server-rounds=40"]
    runs.kill(tmp_path, 3, long)
    contents = {site: verify(tmp_path / "ledgers" / f"{site}.sqlite")[0] for site in SITES}
    fourth = {site: [c for c in contents[site].charges[6:]] for site in SITES}
    assert 0 < sum(map(len, fourth.values())) < 4 * 40
    assert len({charge.key.run_id for charges in fourth.values() for charge in charges}) == 1
    # Whatever the server had got, by its own checkpoint, is charged at every site.
    folders = sorted((tmp_path / "runs").glob("*-seed3"))
    received = 0
    if (checkpoint := folders[0] / "checkpoint.safetensors").exists():
        with safe_open(checkpoint, "pt") as file:
            received = int(file.metadata()["round"])
    assert all(len(charges) >= received for charges in fourth.values())
    # A later run goes on from all of it.
    runs.finish(tmp_path, 4, TINY)
    for site in SITES:
        after = read(tmp_path / "ledgers" / f"{site}.sqlite")
        assert after.charges[: len(contents[site].charges)] == contents[site].charges
        assert len(after.charges) == len(contents[site].charges) + 2
        assert spent(after.charges, 1e-5)[1] > spent(contents[site].charges, 1e-5)[1]
