"""Two facts a reader relies on: training adds to an untrained encoder, and a leaky split flatters it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulations.engines import inline
from simulations.engines.base import Order
from simulations.launcher import check, installed_app, options_of

pytestmark = pytest.mark.audit


def pooled(out: Path, **options: str) -> dict[tuple[str, str], dict]:
    """Run once; return the pooled identification rows by protocol and metric."""
    common = {
        "profile": "quick", "participants-per-site": "24", "num-server-rounds": "12", "local-steps": "40",
        "tasks": "participant", "output-dir": str(out),
    }  # fmt: skip
    cfg = check({**common, **options}, out)
    inline.run(Order(installed_app(), options_of(cfg), 4, lambda line: None, lambda text: None), 2)
    report = json.loads(next(out.glob("*/report.json")).read_text())
    rows = [r for r in report["risks"] if r["name"] == "identification" and r["site"] == "pooled"]
    return {(row["protocol"], row["metric"]): row for row in rows}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict]:
    return pooled(tmp_path_factory.mktemp("honest"))


def test_training_beats_the_untrained_encoder_on_other_records(honest: dict) -> None:
    gain = honest["other-record", "gain in rank-1 over random-init"]
    assert gain["ci95"][0] > 0


def test_the_leaky_split_is_marked_and_gives_the_higher_figure(honest: dict, tmp_path: Path) -> None:
    leaky = pooled(tmp_path, protocol="random-window")["random-window", "rank-1"]
    assert "leaky" in leaky["notes"].lower()
    assert leaky["main"] > honest["other-record", "rank-1"]["main"]
