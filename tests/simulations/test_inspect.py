"""``transecg inspect``: which folder is what, what is printed, and with which status."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from own_sites import write_site

from simulations import launcher
from simulations.commands import inspect
from simulations.inspection_table import WIDTH, table
from transecg_core.cohorts import READERS, open_reader
from transecg_core.cohorts.recognise import MARKS, reader_of, sites_in
from transecg_core.errors import UserError
from transecg_core.inspection import Inspection
from transecg_core.signals.windows import build_windows

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
    (tmp_path / "participants.csv").write_text(
        "record,participant,session\nr2.edf,P1,1\nr10.edf,P1,1\n../x.edf,P2,1\n"
    )
    (tmp_path / "unlisted.csv").touch()
    status, page = call(str(tmp_path))
    assert status == 1
    for words in ("NOTHING USABLE", "0 usable, 4 skipped", "r2.edf, r10.edf\n", ".edf file missing",
                  "-> copy the missing file there", "-> write the path relative to the folder",
                  "-> add a row for it"):  # fmt: skip
        assert words in page
    assert "layout" not in page
    status, text = call(str(tmp_path), "--json")
    body = json.loads(text)
    assert (status, body["records"], len(body["skipped"])) == (1, 0, 4)
    assert not any(verdict["measurable"] for verdict in body["measurable"].values())


def test_a_site_that_cant_be_opened_is_short(call, tmp_path: Path) -> None:
    write_site(tmp_path / "a", "synth-a", ["csv"], people=1)
    table = tmp_path / "a" / "participants.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join([rows[0], *(f"{row.split(',')[0]},,,,,,," for row in rows[1:])]))
    status, page = call(str(tmp_path / "a"))
    assert status == 1
    assert "participant is blank in all" in page
    assert len(page.splitlines()) <= 12
    table.write_text("")
    _, page = call(str(tmp_path / "a"))
    assert "delete it, and write it with: transecg init-data" in page


def test_a_wrong_unit_and_a_wrong_rate_are_told_once(call, tmp_path: Path) -> None:
    write_site(tmp_path / "unit", "synth-a", ["csv"], people=2)
    table = tmp_path / "unit" / "participants.csv"
    table.write_text(table.read_text().replace(",mV", ",uV"))
    status, page = call(str(tmp_path / "unit"))
    assert status == 1
    assert page.count("spans too little") == page.count("is the unit right?") == 1
    assert "NOTHING USABLE" in page
    with pytest.raises(
        UserError, match=r"no usable record.*; check units and rates first"
    ):  # a run's own words
        build_windows(open_reader("folder", tmp_path / "unit", "unit"))
    write_site(tmp_path / "rate", "synth-a", ["csv"], people=3)
    table = tmp_path / "rate" / "participants.csv"
    rows = table.read_text().splitlines()
    cells = [row.split(",") for row in rows[1:]]
    at = rows[0].split(",").index("fs-hz")
    slow = [",".join([*row[:at], f"{float(row[at]) / 2:g}", *row[at + 1 :]]) for row in cells]
    table.write_text("\n".join([rows[0], *slow]) + "\n")
    _, page = call(str(tmp_path / "rate"))
    assert "heart rate outside 40 to 150 per minute" in page
    assert "-> check the sampling rate" in page
    assert "per minute, median" in page


def test_every_remark_has_its_remedy(call, root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "clinic-b", tmp_path / "clinic-b")
    table = tmp_path / "clinic-b" / "participants.csv"
    table.write_text(
        table.read_text().replace(",units", ",units,ward", 1).replace("mV\n", "mV,3\n").replace(",F,", ",,")
    )
    shutil.copy(tmp_path / "clinic-b" / "r000.csv", tmp_path / "clinic-b" / "M\u00fcller.csv")
    status, page = call(str(tmp_path / "clinic-b"))
    assert status == 0
    for words in ("column not read", "-> nothing to do, unless it is one of ours", "sex unknown", "-> fill it in if",
                  "'M\u00fcller.csv'", "-> rename it"):  # fmt: skip
        assert words in page


def test_a_range_of_one_value_is_that_value() -> None:
    found = Inspection("a", records=2, duration_s=(10.0, 10.0, 10.0), heart_rates=(60.0, 71.0, 80.0))
    page = table(found, "folder", "/data")
    assert "length                10 s\n" in page
    assert "60 to 80 per minute, median 71" in page


def test_folders_of_recordings_without_a_table_are_problems(call, root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "clinic-b", tmp_path / "clinic-b")
    status, _ = call(str(tmp_path))
    assert status == 0
    shutil.copytree(root / "clinic-b", tmp_path / "third")
    (tmp_path / "third" / "participants.csv").unlink()
    for name in ("empty", ".hidden", "papers"):
        (tmp_path / name).mkdir()
    (tmp_path / ".hidden" / "r.edf").touch()
    (tmp_path / "papers" / "notes.csv").write_text("who,what\nme,nothing\n")
    lay_out(tmp_path / "mitdb", "mitdb")
    status, text = call(str(tmp_path), "--json")
    sites = json.loads(text)["sites"]
    assert status == 1
    assert list(sites) == ["clinic-b", "mitdb", "third"]
    assert sites["clinic-b"]["problems"] == []
    count = len(list((tmp_path / "third").glob("*.csv")))
    assert (
        sites["third"]["problems"][-1]["what"] == f"'third' holds {count} recordings and no participants.csv"
    )
    assert "transecg init-data" in sites["third"]["problems"][-1]["remedy"]
    assert "is a public dataset (mitdb's layout)" in sites["mitdb"]["problems"][-1]["what"]
    _, page = call(str(tmp_path))
    assert "Site third" in page
    # The same folders, in the same words, from a run.
    with pytest.raises(UserError, match="'mitdb' is a public dataset") as refused:
        launcher.check({"cohort": "folder", "data-root": str(tmp_path)}, tmp_path)
    assert "'third'" in str(refused.value)


def test_public_datasets_alone_are_no_mistake(call, tmp_path: Path) -> None:
    for reader in ("ludb", "mitdb"):
        lay_out(tmp_path / reader, reader)
    _, text = call(str(tmp_path), "--json")
    found = json.loads(text)["sites"]
    assert not any("public dataset" in p["what"] for site in found.values() for p in site["problems"])


def test_a_reader_that_does_not_fit_is_asked_about(call, tmp_path: Path) -> None:
    (tmp_path / "r1.edf").touch()
    status, page = call(str(tmp_path), "--reader", "ludb")
    assert status == 1
    assert "no folder data/; is this ludb?" in " ".join(page.split())


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
