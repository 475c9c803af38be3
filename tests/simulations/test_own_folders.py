"""An institution's own folders, from `inspect` to the report, as sub-folders and by a sites file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict
from own_sites import COLUMNS, write_site

import server.app
from simulations import launcher
from simulations.commands.inspect import declarations, document, inspect_all
from transecg_core.config import RunConfig, defaults

TINY = {
    "cohort": "folder", "profile": "quick", "num-server-rounds": "2", "local-steps": "2", "patch": "10",
    "batch-size": "8", "tasks": "sex,age",
}  # fmt: skip
THEIRS = tuple("Fallnummer" if name == "participant" else name for name in COLUMNS)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("federation")
    write_site(root / "clinic-csv", "synth-a", ["csv"], people=4)
    write_site(root / "clinic-edf", "synth-c", ["edf"], people=4)
    return root


def run(options: dict[str, str], out: Path, engine: str = "inline") -> dict:
    page = launcher.launch({**TINY, **options, "output-dir": str(out)}, engine, 1)
    return json.loads(page.with_suffix(".json").read_text())


def test_two_folders_of_csv_and_edf_train_and_are_audited(root: Path, tmp_path: Path) -> None:
    report = run({"data-root": str(root)}, tmp_path)
    assert report["data"]["kind"] == "real"
    assert report["manifest"]["config"]["sites"] == "clinic-csv,clinic-edf"
    rows = {row["name"]: row for row in report["data"]["sites"]}
    found = {one.site: one for one in inspect_all(declarations(root, None), print)}
    assert set(rows) == set(found) == {"clinic-csv", "clinic-edf"}
    for name, one in found.items():  # inspect counts what a run counts
        assert one.sound
        assert one.roster == one.participants == 4
        for what in ("participants", "records", "sessions", "windows"):
            assert rows[name][what] == getattr(one, what)
    assert any("each site's own table" in text for text in report["limits"])


def test_a_sites_file_reads_the_same_people(root: Path, tmp_path: Path) -> None:
    write_site(tmp_path / "mixed", "synth-b", ["wfdb", "edf", "csv"], people=4, columns=THEIRS)
    file = tmp_path / "sites.toml"
    file.write_text(
        f"[clinic-csv]\nreader = 'folder'\npath = '{root}/clinic-csv'\nlead = 'I'\n"
        "[mixed]\nreader = 'folder'\npath = 'mixed'\n[mixed.columns]\nparticipant = 'Fallnummer'\n"
    )
    found = document(inspect_all(declarations(None, file), print))
    assert {name: site["problems"] for name, site in found["sites"].items()} == {
        "clinic-csv": [],
        "mixed": [],
    }
    report = run({"sites-file": str(file)}, tmp_path / "out")
    assert report["manifest"]["config"]["sites"] == "clinic-csv,mixed"
    rows = {row["name"]: row for row in report["data"]["sites"]}
    assert rows["clinic-csv"]["windows"] == found["sites"]["clinic-csv"]["windows"]
    assert rows["mixed"]["participants"] == 4


class Stopped(Exception):
    pass


def test_plain_flower_has_the_server_spell_out_the_sites(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def coordinator(grid: object, cfg: RunConfig, *_: object) -> None:
        seen.append(cfg.site_names)
        raise Stopped

    monkeypatch.setattr(server.app, "Coordinator", coordinator)
    options = defaults() | {"cohort": "folder", "data-root": str(root), "output-dir": str(tmp_path)}
    with pytest.raises(Stopped):
        server.app.app(None, Context(1, 1, {}, RecordDict(), options))
    assert seen == [("clinic-csv", "clinic-edf")]


@pytest.mark.ray
def test_ray_ends_with_the_inline_bytes(root: Path, tmp_path: Path) -> None:
    pages = [
        launcher.launch({**TINY, "data-root": str(root), "output-dir": str(tmp_path / engine)}, engine, 1)
        for engine in ("inline", "ray")
    ]
    weights = [(page.parent / "encoder.safetensors").read_bytes() for page in pages]
    assert weights[0] == weights[1]
