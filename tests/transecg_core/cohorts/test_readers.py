import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read

from transecg_core.cohorts import READERS, open_reader, open_site, ptbxl
from transecg_core.cohorts.ecgiddb import OPENING_CUT, cut_opening
from transecg_core.cohorts.people import AGE_HIDDEN, AGE_UNKNOWN, SEX_UNKNOWN
from transecg_core.cohorts.ptbxl import NO_CODES
from transecg_core.cohorts.qtdb import NO_BEAT_LABELS
from transecg_core.cohorts.reader import natural
from transecg_core.cohorts.schema import BEATS, UNKNOWN, SkipLog
from transecg_core.config import parse
from transecg_core.errors import UserError
from transecg_core.signals.windows import build_windows

Write = Callable[..., Path]


@given(st.lists(st.text(max_size=6), max_size=20))
def test_natural_order_is_total(names: list[str]) -> None:
    assert sorted(sorted(names), key=natural) == sorted(sorted(names, reverse=True), key=natural)


def test_natural_order_counts() -> None:
    assert sorted(["rec_10", "rec_2", "rec_1"], key=natural) == ["rec_1", "rec_2", "rec_10"]


def test_ecgiddb(ecgiddb_folder: Path) -> None:
    recordings, skipped = read("ecgiddb", ecgiddb_folder)
    assert skipped == {AGE_UNKNOWN: 1}
    assert [(r.participant, r.record, r.session) for r in recordings] == [
        ("Person_01", "Person_01/rec_1", 1),
        ("Person_01", "Person_01/rec_2", 1),
        ("Person_01", "Person_01/rec_10", 2),
        ("Person_02", "Person_02/rec_1", 1),
    ]
    assert [(r.age, r.sex, r.lead) for r in recordings[2:]] == [(25.0, "M", "I"), (None, "F", "I")]
    # The raw channel, not the filtered one, which these files hold at half the size.
    assert all(0.9 < r.signal_mv.max() < 1.1 for r in recordings)
    assert all(r.labels.diagnosis is None and r.labels.beat_sample_B is None for r in recordings)


def test_ecgiddb_damage(ecgiddb_folder: Path, write_record: Write) -> None:
    about = ("Age: 30", "Sex: male", "ECG date: 01.01.2005")
    person = ecgiddb_folder / "Person_03"
    x_T = np.sin(np.arange(5000) / 10)
    x_T[:1024] = -0.005
    write_record(person, "rec_1", leads=("ECG I",), comments=about, signal=x_T)
    write_record(person, "rec_2", leads=("ECG I",), comments=about, signal=200 * np.sin(np.arange(5000) / 10))
    write_record(person, "rec_3", leads=("ECG I",), comments=("Age: 30", "Sex: male"), seed=4)
    (person / "rec_4.hea").write_text("rec_4 1 500 5000\n../x.dat 16 200 12 0 0 0 0 ECG I\n")
    recordings, skipped = read("ecgiddb", ecgiddb_folder)
    assert [r.record for r in recordings if r.participant == "Person_03"] == ["Person_03/rec_1"]
    assert recordings[-1].signal_mv.size == 5000 - 1024
    assert skipped == {
        AGE_UNKNOWN: 1,
        OPENING_CUT: 1,
        "record: corrupt samples (beyond 20 mV)": 1,
        "record: recording date unknown": 1,
        "record: signal file is not a plain local .dat or .mat file": 1,
    }


@given(st.integers(0, 900), st.integers(1, 300))
def test_only_long_constant_openings_are_cut(opening: int, rest: int) -> None:
    x_T = np.concatenate([np.zeros(opening), 1 + np.arange(rest)]).astype(np.float32)
    cut, note = cut_opening(x_T, 500.0)
    assert (note is not None) == (opening > 500)
    assert cut.size == (rest if opening > 500 else x_T.size)


def test_mitdb(tmp_path: Path, write_record: Write) -> None:
    symbols = "NLRejVESaAJF/Q"
    options = {"fs_hz": 360, "leads": ("V5", "MLII"), "seconds": 15.0}
    write_record(tmp_path, "100", comments=("69 M 1085 1629 x1",), beat_symbols=symbols, seed=1, **options)
    write_record(tmp_path, "103", comments=("-1 M 742 654 x1",), beat_symbols="N+N~", seed=2, **options)
    write_record(tmp_path, "201", comments=("68 M 1960 1851 x1",), beat_symbols="N", seed=3, **options)
    write_record(tmp_path, "202", comments=("68 M 1960 1851 x1",), beat_symbols="N", seed=4, **options)
    write_record(tmp_path, "208", comments=("23 F 2546 N/A x1",), seed=5, **options)
    (tmp_path / "102-0.atr").write_bytes(b"\0\0")
    recordings, skipped = read("mitdb", tmp_path)
    assert [(r.participant, r.session, r.record) for r in recordings] == [
        ("100", 1, "100"),
        ("103", 1, "103"),
        ("201", 1, "201"),
        ("201", 2, "202"),
    ]
    assert skipped == {AGE_UNKNOWN: 1, "record: .atr file missing": 1}
    assert [(r.age, r.sex, r.lead) for r in recordings[:2]] == [(69.0, "M", "MLII"), (None, "M", "MLII")]
    classes = recordings[0].labels.beat_class_B
    assert classes is not None
    n, v, s = (BEATS.index(name) for name in "NVS")
    assert classes.tolist() == [n] * 5 + [v] * 2 + [s] * 4 + [UNKNOWN] * 3
    assert recordings[1].labels.beat_class_B is not None
    assert recordings[1].labels.beat_class_B.size == 2


def test_ludb(tmp_path: Path, write_record: Write) -> None:
    findings = {
        "1": ("Rhythm: Sinus bradycardia.", "Electric axis of the heart: left axis deviation. "),
        "2": ("Rhythm: Sinus rhythm.", "Left ventricular hypertrophy. "),
        "10": ("Rhythm: Atrial fibrillation.",),
        "11": ("Electric axis of the heart: normal.",),
    }
    for seed, (name, lines) in enumerate(findings.items()):
        about = ("<age>: >89" if name == "10" else "<age>: 51", "<sex>: F", "<diagnoses>:", *lines)
        write_record(tmp_path / "data", name, leads=("i", "ii"), comments=about, seed=seed)
    recordings, skipped = read("ludb", tmp_path)
    assert skipped == {AGE_HIDDEN: 1}
    assert [(r.participant, r.age, r.sex, r.lead, r.labels.diagnosis) for r in recordings] == [
        ("1", 51.0, "F", "I", "normal"),
        ("2", 51.0, "F", "I", "abnormal"),
        ("10", 90.0, "F", "I", "abnormal"),
        ("11", 51.0, "F", "I", None),
    ]


def test_ptbxl(ptbxl_folder: Path) -> None:
    recordings, skipped = read("ptbxl", ptbxl_folder)
    assert [(r.participant, r.session, r.age, r.sex, r.labels.diagnosis) for r in recordings] == [
        ("13243", 1, None, "M", None),
        ("13244", 1, 90.0, "M", None),
        ("15709", 1, 56.0, "F", "normal"),
        ("15709", 2, 57.0, "F", "abnormal"),
        ("16723", 1, 40.0, "M", None),
    ]
    assert skipped == {AGE_HIDDEN: 1, AGE_UNKNOWN: 1, NO_CODES: 1, "record: duplicate waveform (known)": 1}
    source = open_reader("ptbxl", ptbxl_folder, "ptbxl")
    assert source.person("16723") == source.person("16690") == "ptbxl/16690"
    assert source.person("13243") == "ptbxl/13243"


def test_qtdb(tmp_path: Path, write_record: Write) -> None:
    options = {"fs_hz": 250, "seconds": 15.0, "beat_symbols": "NV"}
    comments = {
        "sel100": ("69 M 1085 1629 x1", "Aldomet"),
        "sele0104": ("Age: 47  Sex: M",),
        "sele0166": ("Age: -  Sex: -",),
    }
    leads = {"sel100": ("MLII", "V5"), "sele0104": ("D3", "D4"), "sele0166": ("D3", "ECG1")}
    for seed, record in enumerate(comments):
        write_record(tmp_path, record, comments=comments[record], leads=leads[record], seed=seed, **options)
    header = tmp_path / "sel100.hea"
    header.write_text(header.read_text().replace("2 250 ", "2 250/360 "))
    write_record(tmp_path, "sele0999", leads=("X", "Y"), seed=7, **options)
    write_record(tmp_path, "sel30", leads=("ECG1", "ECG2"), fs_hz=250, seconds=15.0, seed=8)
    recordings, skipped = read("qtdb", tmp_path)
    assert [(r.record, r.session, r.fs_hz, r.lead, r.age, r.sex) for r in recordings] == [
        ("sel30", 1, 250.0, "ECG", None, None),
        ("sel100", 1, 250.0, "MLII", 69.0, "M"),
        ("sele0104", 1, 250.0, "V4", 47.0, "M"),
        ("sele0166", 1, 250.0, "III", None, None),
    ]
    assert [r.labels.beat_class_B is not None for r in recordings] == [False, True, True, True]
    assert skipped == {
        AGE_UNKNOWN: 2,
        SEX_UNKNOWN: 2,
        NO_BEAT_LABELS: 1,
        "record kept: lead D4 read as V4": 1,
        "record kept: lead D3 read as III": 1,
        "record: no known lead in millivolts": 1,
    }


def test_who_is_in_two_datasets_is_one_person_whatever_the_sites_are_called(
    tmp_path: Path, write_record: Write
) -> None:
    for folder, record in (("mitdb", "100"), ("mitdb", "101"), ("qtdb", "sel100"), ("qtdb", "sel116")):
        write_record(tmp_path / folder, record, beat_symbols="N", seed=len(record))
    tapes = open_reader("mitdb", tmp_path / "mitdb", "clinic")
    intervals = open_reader("qtdb", tmp_path / "qtdb", "mitdb")
    assert tapes.person("100") == intervals.person("sel100") == "physionet:mitdb/100"
    assert tapes.person("101") == "clinic/101"
    assert intervals.person("sel116") == "physionet:mitdb/116"
    # A site may be called mitdb and hold somebody else as 100.
    assert intervals.person("100") == "mitdb/100"
    assert tapes.people == intervals.people == 2


@pytest.mark.parametrize("path", ["../../etc/passwd", "records100/00000/../../x", "http://host/00003_lr", ""])
def test_ptbxl_paths_from_the_table_are_not_trusted(ptbxl_folder: Path, path: str) -> None:
    table = ptbxl_folder / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("records100/00000/00003_lr", path))
    recordings, skipped = read("ptbxl", ptbxl_folder)
    assert "13243" not in {r.participant for r in recordings}
    assert skipped["record: name is not a plain local one"] == 1


def test_broken_tables_are_named(ptbxl_folder: Path) -> None:
    (ptbxl_folder / "ptbxl_database.csv").write_text("ecg_id,age\n1,2\n")
    with pytest.raises(UserError, match=r"site 'ptbxl': .*ptbxl_database\.csv lacks the columns filename_lr"):
        open_reader("ptbxl", ptbxl_folder, "ptbxl")
    (ptbxl_folder / "ptbxl_database.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="site 'ptbxl'"):
        open_reader("ptbxl", ptbxl_folder, "ptbxl")
    (ptbxl_folder / "ptbxl_database.csv").unlink()
    with pytest.raises(UserError, match=r"ptbxl_database\.csv is missing"):
        open_reader("ptbxl", ptbxl_folder, "ptbxl")


@pytest.mark.parametrize("reader", sorted(READERS))
def test_missing_and_empty_folders_are_named(tmp_path: Path, reader: str) -> None:
    with pytest.raises(UserError, match=f"site 'clinic': no folder .*{reader}"):
        open_reader(reader, tmp_path / "nowhere", "clinic")
    with pytest.raises(UserError, match=r"site 'clinic': .*(no record found|missing)"):
        open_reader(reader, tmp_path, "clinic")


def test_unknown_reader_and_missing_root(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no reader named 'edf'; there are ecgiddb, ludb, mitdb, ptbxl, qtdb"):
        open_reader("edf", tmp_path, "clinic")
    cfg = parse({"cohort": "real", "data-root": str(tmp_path / "nowhere")})
    with pytest.raises(UserError, match=r"data-root=.*no such folder"):
        open_site(cfg, "mitdb")


def test_no_usable_record_is_named(tmp_path: Path, write_record: Write) -> None:
    header = write_record(tmp_path, "100", beat_symbols="N")
    header.with_suffix(".dat").write_bytes(b"")
    with pytest.raises(UserError, match=r"site 'clinic': no usable record .*shorter than its header says"):
        open_reader("mitdb", tmp_path, "clinic")


def test_the_cap_keeps_whole_people_and_ignores_the_seed(ecgiddb_folder: Path) -> None:
    root = ecgiddb_folder.parent
    options = {"cohort": "real", "data-root": str(root), "participants-per-site": 2}
    both = [list(open_site(parse({**options, "seed": seed}), "ecgiddb").read(SkipLog())) for seed in (0, 1)]
    assert [r.record for r in both[0]] == [r.record for r in both[1]]
    assert len(both[0]) == 4
    one, _ = read("ecgiddb", ecgiddb_folder, people=1)
    assert {r.participant for r in one} in ({"Person_01"}, {"Person_02"})
    assert len(one) == (3 if one[0].participant == "Person_01" else 1)


def test_a_folder_becomes_windows(ecgiddb_folder: Path) -> None:
    windows = build_windows(open_reader("ecgiddb", ecgiddb_folder, "clinic"))
    assert windows.participants == ("Person_01", "Person_02")
    assert len(windows.records) == 4
    assert len(windows) >= 4 * 8


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_dataset_says_where_it_comes_from(name: str) -> None:
    origin = READERS[name].origin
    assert origin is not None
    assert re.fullmatch(r"https://physionet\.org/content/[a-z-]+/\d\.\d\.\d/", origin.url)
    assert origin.doi.startswith("10.13026/")
    assert origin.licence_url.startswith("https://")
    assert 1 < origin.megabytes < 1000
    assert len(origin.quirks) >= 4
    assert all(quirk.endswith(".") and "\n" not in quirk for quirk in origin.quirks)


def test_qtdb_can_be_named_but_is_none_of_the_default_sites() -> None:
    options = {"cohort": "real", "data-root": "x"}
    assert "qtdb" not in parse(options).site_names
    assert parse({**options, "sites": "mitdb,qtdb"}).site_names == ("mitdb", "qtdb")


@given(st.text(max_size=60) | st.from_regex(r"\{('[A-Z]+'|\[\]|\{\}): [0-9.]+\}", fullmatch=True))
def test_any_statement_is_a_diagnosis_or_unreadable(codes: str) -> None:
    diagnosis, readable = ptbxl._diagnosis(codes, {"NORM": "NORM", "IMI": "MI"})
    assert diagnosis is None or readable


def test_a_folder_that_leads_out_is_not_even_listed(tmp_path: Path, write_record: Write) -> None:
    write_record(tmp_path / "outside", "secret")
    for name in ("ludb", "ecgiddb"):
        (tmp_path / name).mkdir()
    (tmp_path / "ludb" / "data").symlink_to(tmp_path / "outside")
    (tmp_path / "ecgiddb" / "Person_01").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="data lies outside the dataset's folder"):
        open_reader("ludb", tmp_path / "ludb", "clinic")
    with pytest.raises(UserError, match="folder can't be read or lies outside") as caught:
        open_reader("ecgiddb", tmp_path / "ecgiddb", "clinic")
    assert "secret" not in str(caught.value)
