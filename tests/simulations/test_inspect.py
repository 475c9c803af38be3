"""``transecg inspect``: which folder is what, what is printed, and with which status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from own_sites import write_site

from simulations.commands import inspect
from simulations.inspection_table import WIDTH, table
from transecg_core.cohorts import READERS
from transecg_core.cohorts.recognise import MARKS, reader_of, sites_in
from transecg_core.errors import UserError
from transecg_core.inspection import Inspection

LAYOUTS = {
    "ecgiddb": ("Person_01/rec_1.hea",),
    "ludb": ("data/1.hea", "data/1.avf", "ludb.csv"),
    "mitdb": ("100.hea", "100.atr"),
    "ptbxl": ("ptbxl_database.csv", "records100/00000/00001_lr.hea"),
    "qtdb": ("sel100.hea", "sel100.atr", "sele0104.hea"),
    "folder": ("participants.csv", "r1.hea"),
}


def lay_out(root: Path, reader: str) -> Path:
    for name in LAYOUTS[reader]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]):
    app = typer.Typer()
    app.command()(inspect.command)

    def call(*arguments: str) -> tuple[int, str]:
        status = app(list(arguments), standalone_mode=False)
        return int(status or 0), capsys.readouterr().out

    return call


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites of mixed file types, one record of the first damaged."""
    root = tmp_path_factory.mktemp("inspect")
    write_site(root / "clinic-a", "synth-a", ["wfdb", "edf", "csv"], people=3)
    write_site(root / "clinic-b", "synth-c", ["csv"], people=3)
    first = next(iter(sorted((root / "clinic-a").glob("*.edf"))))
    first.write_bytes(first.read_bytes()[:-100])
    return root


@pytest.mark.parametrize("reader", sorted(LAYOUTS))
def test_a_layout_is_recognised_and_no_other(tmp_path: Path, reader: str) -> None:
    assert reader_of(lay_out(tmp_path / reader, reader)) == reader
    assert set(MARKS) == set(READERS)


def test_what_fits_none_or_two_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert reader_of(tmp_path / "empty") is None
    assert reader_of(lay_out(lay_out(tmp_path / "both", "mitdb"), "qtdb")) is None
    for reader in LAYOUTS:
        lay_out(tmp_path / "all" / reader, reader)
    assert sites_in(tmp_path / "all") == {reader: reader for reader in sorted(LAYOUTS)}


def test_the_table_is_aligned_narrow_and_says_what_to_do(call, root: Path) -> None:
    status, page = call(str(root / "clinic-a"))
    assert status == 0
    assert max(map(len, page.splitlines())) <= WIDTH
    for words in ("3 usable of 3 on the roster", "other-session         yes", "membership            no",
                  "Skipped records", "r001.edf", "EDF file is not as long as its header says",
                  "clinic-a: can take part; the contract is kept"):  # fmt: skip
        assert words in page


def test_names_cant_write_to_the_terminal() -> None:
    found = Inspection(site="a", skipped=(("x\x1b[2Jy" * 40, "record: \x07bell"),))
    page = table(found, "folder", "/data/\x1b]0;title\x07")
    assert "\x1b" not in page
    assert "\x07" not in page
    assert max(map(len, page.splitlines())) <= WIDTH


def test_json_of_one_site_and_of_several(call, root: Path) -> None:
    status, text = call(str(root / "clinic-a"), "--json")
    one = json.loads(text)
    assert status == 0
    assert {"participants", "records", "sessions", "skipped", "measurable"} <= set(one)
    assert [skip["record"] for skip in one["skipped"]] == ["r001.edf"]
    status, text = call(str(root), "--json")
    assert status == 0
    assert json.loads(text)["sites"]["clinic-a"] == one
    assert list(json.loads(text)["sites"]) == ["clinic-a", "clinic-b"]


def test_nothing_usable_is_status_1_and_still_says_why(call, root: Path, tmp_path: Path) -> None:
    (tmp_path / "participants.csv").write_text("record,participant,session\nnone,P1,1\n")
    status, page = call(str(tmp_path))
    assert status == 1
    assert "NOTHING USABLE" in page
    assert "no usable record" in page
    status, text = call(str(tmp_path), "--json")
    body = json.loads(text)
    assert (status, body["records"]) == (1, 0)
    assert not any(verdict["measurable"] for verdict in body["measurable"].values())


def test_a_lead_that_no_record_has(call, root: Path) -> None:
    status, page = call(str(root / "clinic-b"), "--lead", "V6")
    assert status == 1
    assert "no lead V6" in page


def test_a_sites_file_is_inspected_as_it_would_run(call, root: Path) -> None:
    file = root / "sites.toml"
    file.write_text("[x]\nreader = 'folder'\npath = 'clinic-b'\n[y]\nreader = 'ludb'\npath = 'nowhere'\n")
    status, text = call("--sites-file", str(file), "--json")
    sites = json.loads(text)["sites"]
    assert status == 1
    assert sites["x"]["participants"] == 3
    assert "no folder" in sites["y"]["problems"][0]["what"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give DIR"),
        (("{root}", "--sites-file", "x"), "not both"),
        (("--sites-file", "x", "--lead", "I"), "leave --reader and --lead out"),
        (("{root}/none",), "no such folder"),
        (("{root}/clinic-a", "--reader", "fodler"), "nearest valid: folder"),
        (("{root}/clinic-a", "--lead", "V9"), "--lead V9: no such lead"),
        (("{root}/empty",), "no participants.csv, nor the layout of ecgiddb"),
    ],
)
def test_a_wrong_command_is_the_users_error(call, root: Path, arguments: tuple[str, ...], words: str) -> None:
    (root / "empty").mkdir(exist_ok=True)
    with pytest.raises(UserError, match=words):
        call(*(argument.format(root=root) for argument in arguments))


def test_folders_that_could_not_be_sites_are_refused(call, root: Path, tmp_path: Path) -> None:
    for name in ("a", "Clinic B"):
        lay_out(tmp_path / name, "folder")
    with pytest.raises(UserError, match="'Clinic B' is no site name"):
        call(str(tmp_path))


@pytest.mark.real
@pytest.mark.parametrize("name", sorted(READERS))
def test_the_public_datasets(call, data_root: Path, name: str) -> None:
    status, text = call(str(data_root / name), "--json")
    body = json.loads(text)
    assert (status, body["site"], body["problems"]) == (0, name, [])
    can = {protocol: verdict["measurable"] for protocol, verdict in body["measurable"].items()}
    assert can["later-in-record"]
    assert can["other-session"] == (name in ("ecgiddb", "mitdb", "ptbxl"))
    people = {"ecgiddb": 90, "ludb": 200, "mitdb": 47, "ptbxl": 465, "qtdb": 35}
    assert body["roster"] == people[name]
    assert people[name] - 2 <= body["participants"] <= people[name]
