"""A pilot: the product's app on a real SuperLink, four SuperNodes, each with its own data folder and ledger."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import wfdb
from own_sites import write_site

from client.ledger import Ledger
from simulations.engines import deployment
from simulations.engines.base import Order, RunFailed
from simulations.launcher import check, installed_app, options_of
from transecg_core.cohorts.schema import SkipLog
from transecg_core.cohorts.synthetic import open_site

HOSPITALS = ("hospital-a", "hospital-b", "hospital-c", "hospital-d")
SYNTHETIC = ("synth-a", "synth-b", "synth-c", "synth-d")
PEOPLE = 4


def write_records(folder: Path, cohort: str) -> None:
    """Write a synthetic site as WFDB files in ECG-ID's layout."""
    people: dict[str, int] = {}
    for recording in open_site(cohort, PEOPLE, seed=5).read(SkipLog()):
        person = folder / f"Person_{people.setdefault(recording.participant, len(people) + 1):02d}"
        person.mkdir(parents=True, exist_ok=True)
        count = len(list(person.glob("*.hea"))) + 1
        wfdb.wrsamp(
            f"rec_{count}", fs=recording.fs_hz, units=["mV", "mV"], sig_name=["ECG I", "ECG I filtered"],
            p_signal=np.stack([recording.signal_mv.astype(np.float64)] * 2, axis=1), fmt=["16", "16"],
            comments=[f"Age: {recording.age:.0f}", f"Sex: {'male' if recording.sex == 'M' else 'female'}",
                      f"ECG date: 0{recording.session}.12.2004"],
            write_dir=str(person),
        )  # fmt: skip


@pytest.mark.deployment
def test_four_supernodes_train_on_their_own_folders_under_privacy(tmp_path, left, monkeypatch):
    """Two in a public dataset's layout, one with a table of its own, one declared by a sites file."""
    for hospital, cohort in zip(HOSPITALS[:2], SYNTHETIC, strict=False):
        write_records(tmp_path / hospital, cohort)
    write_site(tmp_path / "hospital-c", "synth-c", ["edf", "csv"], PEOPLE)
    write_site(tmp_path / "hospital-d", "synth-d", ["wfdb"], PEOPLE)
    (tmp_path / "sites.toml").write_text("[hospital-d]\nreader = 'folder'\npath = 'hospital-d'\n")
    (tmp_path / "policy.toml").write_text(
        "max-lifetime-epsilon = 20\nmin-sigma = 0.5\nallowed-tasks = ['sex', 'age']\n"
    )
    readers = dict(zip(HOSPITALS, ("ecgiddb", "ecgiddb", "folder", None), strict=True))
    monkeypatch.setenv("TRANSECG_CACHE", str(tmp_path / "cache"))
    options = {
        "cohort": "node", "sites": ",".join(HOSPITALS), "profile": "quick", "num-server-rounds": "1",
        "local-steps": "2", "tasks": "sex,age", "patch": "10", "privacy": "participant",
        "output-dir": str(tmp_path / "out"),
    }  # fmt: skip
    cfg = check(options, tmp_path)
    lines: list[str] = []
    nodes = [
        {
            "site": h,
            **(
                {"reader": readers[h], "data-dir": str(tmp_path / h)}
                if readers[h]
                else {"sites-file": str(tmp_path / "sites.toml")}
            ),
            "ledger": str(tmp_path / f"{h}.sqlite"),
            "people": PEOPLE,
            **({"policy": str(tmp_path / "policy.toml")} if h == "hospital-a" else {"max-epsilon": 20.0}),
        }
        for h in HOSPITALS
    ]
    deployment.run(Order(installed_app(), options_of(cfg), len(nodes), lines.append, lines.append), nodes)

    folder = next(path for path in (tmp_path / "out").iterdir() if path.is_dir())
    report = json.loads((folder / "report.json").read_text())
    assert report["manifest"]["engine"] == "deployment"
    assert report["edition"] == "shareable"
    assert [row["name"] for row in report["data"]["sites"]] == list(HOSPITALS)
    # Counts that describe the data are withheld under privacy; the roster's size is a declared constant.
    assert all(row["windows"] is None and row["skipped"] == {} for row in report["data"]["sites"])
    assert all(row["participants"] == PEOPLE for row in report["data"]["sites"])
    assert all(loss is None for row in report["training"]["rounds"] for loss in row["loss"].values())
    assert report["privacy"]["simulation_noise"] is False
    assert all(7.5 < row["epsilon_participant"] <= 8.0 for row in report["privacy"]["sites"])
    for row in report["privacy"]["sites"]:
        assert row["lifetime"] == {
            "epsilon_participant": pytest.approx(row["epsilon_participant"], rel=1e-6),
            "events": 1,
        }
    assert report["manifest"]["data_hashes"] == {}
    for hospital in HOSPITALS:
        events = Ledger(tmp_path / f"{hospital}.sqlite", site=hospital).events()
        assert [(event.key.round, event.steps) for event in events] == [(1, 2)]
    # Nothing of the participants' identities or folders reaches the server's log or report.
    told = "\n".join(lines) + (folder / "report.json").read_text()
    assert "Person_" not in told
    assert not [h for h in HOSPITALS if str(tmp_path / h) in told]
    assert "sites.toml" not in told
    assert "r001" not in told
    assert left() == []


@pytest.mark.deployment
def test_a_policy_s_refusal_reaches_the_server_by_its_name_alone(tmp_path, left):
    """The run asks for so little noise that one hospital refuses, before anybody reads a record."""
    (tmp_path / "policy.toml").write_text("max-lifetime-epsilon = 5000\nmin-sigma = 1.25\n")
    options = {
        "cohort": "node", "sites": ",".join(HOSPITALS[:2]), "profile": "quick", "tasks": "sex", "start": "random",
        "privacy": "participant", "target-epsilon": "1000", "output-dir": str(tmp_path / "out"),
    }  # fmt: skip
    cfg = check(options, tmp_path)
    nodes = [
        {"site": h, "reader": "ecgiddb", "data-dir": str(tmp_path / "none"), "people": 40,
         "ledger": str(tmp_path / f"{h}.sqlite"), "policy": str(tmp_path / "policy.toml")}
        for h in HOSPITALS[:2]
    ]  # fmt: skip
    lines: list[str] = []
    with pytest.raises(RunFailed):
        deployment.run(Order(installed_app(), options_of(cfg), 2, lines.append, lines.append), nodes)
    told = "\n".join(lines)
    assert "site 'hospital-a' can't take part: policy: min-sigma; the site's own log says why" in told
    assert not (tmp_path / "hospital-a.sqlite").exists()
    assert left() == []
