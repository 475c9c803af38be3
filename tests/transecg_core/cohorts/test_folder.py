import errno
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import edfio
import numpy as np
import pytest
import wfdb

from transecg_core.cohorts import folder, open_reader
from transecg_core.cohorts.fingerprint import DUPLICATE, SHARED
from transecg_core.cohorts.folder import LOOSE, NO_SESSIONS, UNLISTED, open_folder
from transecg_core.cohorts.leads import LeadChoice
from transecg_core.cohorts.people import TWO_AGES
from transecg_core.cohorts.schema import Recording, SiteSource, SkipLog
from transecg_core.cohorts.synthetic import open_site
from transecg_core.errors import UserError
from transecg_core.inspection import inspect_source
from transecg_core.signals.cache import cached_windows

HEADER = "record,participant,session,age,sex,lead,fs-hz,units"
PEOPLE = 4


@pytest.fixture(scope="module")
def originals() -> list[Recording]:
    return list(open_site("synth-b", PEOPLE, 3).read(SkipLog()))


@pytest.fixture(scope="module")
def _mixed(tmp_path_factory: pytest.TempPathFactory, originals: list[Recording]) -> Path:
    """Synthetic people as EDF, CSV and WFDB in turns, in folders with a space and a dot."""
    root = tmp_path_factory.mktemp("mixed")
    lines = [HEADER]
    for number, recording in enumerate(originals):
        below = root / ("ward 3" if number % 2 else "export.2024")
        below.mkdir(exist_ok=True)
        write = (write_edf, write_csv, write_wfdb)[number % 3]
        name, said = write(below, f"r{number}" if number % 3 == 2 else f"rec {number}.x", recording)
        age, session = f"{recording.age:.0f}", recording.session
        lines.append(f"{below.name}/{name},{recording.participant},{session},{age},{recording.sex},{said}")
    (root / "participants.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def mixed(tmp_path: Path, _mixed: Path) -> Path:
    return Path(shutil.copytree(_mixed, tmp_path / "mixed"))


def write_edf(below: Path, name: str, recording: Recording) -> tuple[str, str]:
    whole = int(recording.signal_mv.size // recording.fs_hz * recording.fs_hz)
    signal = edfio.EdfSignal(
        1e3 * recording.signal_mv[:whole].astype(np.float64), recording.fs_hz, label=f"EKG {recording.lead}",
        physical_dimension="uV", physical_range=(-10_000, 10_000),
    )  # fmt: skip
    edfio.Edf([signal]).write(below / f"{name}.EDF")
    return f"{name}.EDF", ",,"


def write_csv(below: Path, name: str, recording: Recording) -> tuple[str, str]:
    np.savetxt(below / f"{name}.csv", recording.signal_mv, fmt="%.6f")
    return f"{name}.csv", f"{recording.lead},{recording.fs_hz:g},mV"


def write_wfdb(below: Path, name: str, recording: Recording) -> tuple[str, str]:
    x_TC = recording.signal_mv.astype(np.float64)[:, None]
    wfdb.wrsamp(name, int(recording.fs_hz), ["mV"], [recording.lead], x_TC, fmt=["16"], write_dir=str(below))
    return name, ",,"


def read(source: SiteSource) -> tuple[list[Recording], SkipLog]:
    skips = SkipLog()
    return list(source.read(skips)), skips


def edit(root: Path, old: str, new: str) -> None:
    text = (root / "participants.csv").read_text()
    assert old in text
    (root / "participants.csv").write_text(text.replace(old, new))


def test_every_kind_of_file_gives_the_recording_back(mixed: Path, originals: list[Recording]) -> None:
    source = open_folder(mixed, "clinic")
    recordings, skips = read(source)
    assert (source.people, source.kind, skips.items) == (PEOPLE, "real", [])
    assert len(recordings) == len(originals) == 12
    found = {(r.participant, r.session, r.signal_mv.size // 1000): r for r in recordings}
    for original in originals:
        got = found[original.participant, original.session, original.signal_mv.size // 1000]
        assert (got.fs_hz, got.lead, got.sex) == (original.fs_hz, original.lead, original.sex)
        assert got.age == round(original.age or 0)
        x_T = original.signal_mv[: got.signal_mv.size]
        # 16 bits over 20 mV at the coarsest; a record of anybody else is far off.
        np.testing.assert_allclose(got.signal_mv, x_T, atol=4e-4)


def test_records_come_sorted_whatever_the_tables_order(mixed: Path) -> None:
    path = mixed / "participants.csv"
    header, *rows = path.read_text().splitlines()
    before = [r.record for r in read(open_folder(mixed, "clinic"))[0]]
    path.write_text("\n".join((header, *reversed(rows))) + "\n")
    assert [r.record for r in read(open_folder(mixed, "clinic"))[0]] == before


def test_declared_tasks_follow_the_header_alone(mixed: Path) -> None:
    assert open_folder(mixed, "clinic").tasks == ("sex", "age")
    text = (mixed / "participants.csv").read_text().splitlines()
    blank = [",".join((*line.split(",")[:3], "", "", *line.split(",")[5:])) for line in text[1:]]
    (mixed / "participants.csv").write_text("\n".join((text[0], *blank)) + "\n")
    assert open_folder(mixed, "clinic").tasks == ("sex", "age")
    extended = [f"{line},,", f"{line},normal,"][0] if (line := text[1]) else ""
    (mixed / "participants.csv").write_text(f"{text[0]},diagnosis,beats\n{extended}\n")
    assert open_folder(mixed, "clinic").tasks == ("sex", "age", "beat", "diagnosis")


def test_the_fingerprint_follows_every_file_it_depends_on(mixed: Path) -> None:
    first = open_folder(mixed, "clinic").fingerprint
    assert open_folder(mixed, "clinic").fingerprint == first
    seen = {first}
    for name in ("export.2024/rec 0.x.EDF", "ward 3/rec 1.x.csv", "export.2024/r2.dat"):
        raw = (mixed / name).read_bytes()
        (mixed / name).write_bytes(raw[:-4] + bytes((raw[-4] ^ 1,)) + raw[-3:])
        seen.add(open_folder(mixed, "clinic").fingerprint)
    edit(mixed, ",F,", ",M,")
    seen.add(open_folder(mixed, "clinic").fingerprint)
    (mixed / "stray.edf").write_bytes(b"0")
    seen.add(open_folder(mixed, "clinic").fingerprint)
    assert len(seen) == 6


def test_windows_come_from_the_cache(mixed: Path, tmp_path: Path) -> None:
    source = open_folder(mixed, "clinic")
    first = cached_windows(source, tmp_path / "cache")
    unread = replace(source, read=lambda _skips: pytest.fail("the cache was not used"))
    assert len(cached_windows(unread, tmp_path / "cache")) == len(first) > 100
    assert set(first.participants) == {r.participant for r in read(source)[0]}


@pytest.mark.parametrize(("same", "kept", "reason"), [(True, 12, DUPLICATE), (False, 13, SHARED)])
def test_one_signal_under_two_names_counts_once_per_person(
    mixed: Path, same: bool, kept: int, reason: str
) -> None:
    shutil.copy(mixed / "export.2024" / "rec 0.x.EDF", mixed / "copy.edf")
    owner = next(r.participant for r in read(open_folder(mixed, "clinic"))[0] if "rec 0.x" in r.record)
    with (mixed / "participants.csv").open("a") as handle:
        handle.write(f"copy.edf,{owner if same else 'zz'},1,,,,,\n")
    recordings, skips = read(open_folder(mixed, "clinic"))
    assert (len(recordings), skips.counts()[reason]) == (kept, 1)


def test_one_persons_ages_take_nobody_else_out(mixed: Path) -> None:
    before, _ = read(open_folder(mixed, "clinic"))
    who = before[0]
    lines = (mixed / "participants.csv").read_text().splitlines()
    place = next(k for k, line in enumerate(lines) if who.record in line)
    lines[place] = lines[place].replace(f",{who.session},{who.age:.0f},", f",{who.session},3,")
    own = [r.record for r in before if r.participant == who.participant]
    assert sum(r.session == who.session for r in before if r.record in own) > 1
    (mixed / "participants.csv").write_text("\n".join(lines) + "\n")
    source = open_folder(mixed, "clinic")
    after, skips = read(source)
    assert [(r.record, None if r.record in own else r.age) for r in before] == [
        (r.record, r.age) for r in after
    ]
    assert skips.items == [(record, TWO_AGES) for record in own]
    found = inspect_source(source)
    assert found.problems == ()
    assert set(found.kept) >= {(record, TWO_AGES) for record in own}


def test_the_cap_keeps_whole_people(mixed: Path) -> None:
    source = open_folder(mixed, "clinic", people=2)
    recordings, _ = read(source)
    assert (source.people, len(recordings)) == (2, 6)


def test_two_ids_of_one_person(mixed: Path) -> None:
    first, second, *_ = dict.fromkeys(r.participant for r in read(open_folder(mixed, "clinic"))[0])
    text = (mixed / "participants.csv").read_text().splitlines()
    rows = [f"{line},{first if f',{second},' in line else ''}" for line in text[1:]]
    rows = [
        line.replace(f",{second},1,", f",{second},3,").replace(f",{second},2,", f",{second},4,")
        for line in rows
    ]
    (mixed / "participants.csv").write_text("\n".join((f"{text[0]},same-person-as", *rows)) + "\n")
    source = open_folder(mixed, "clinic")
    assert source.person(second) == source.person(first) == f"clinic/{first}"
    assert source.people == PEOPLE - 1


def test_the_roster_counts_people_without_a_usable_record(mixed: Path) -> None:
    with (mixed / "participants.csv").open("a") as handle:
        handle.write("gone.edf,zz,1,40,F,,,\n")
    source = open_folder(mixed, "clinic")
    assert source.people == PEOPLE + 1
    assert read(source)[1].items == [("gone.edf", "record: .edf file missing")]


def test_files_that_no_row_names_are_counted(mixed: Path) -> None:
    edit(mixed, "ward 3/rec 1.x.csv", "ward 3/rec 1.y.csv")
    (mixed / "lost.dat").write_bytes(b"\0\0")
    (mixed / ".hidden.edf").write_bytes(b"")
    (mixed / "=cmd().csv").write_text("1\n")
    _, skips = read(open_folder(mixed, "clinic"))
    # A name that a spreadsheet would run comes out quoted; hidden files are nobody's recordings.
    assert sorted(skips.items) == [
        ("'=cmd().csv'", UNLISTED),
        ("lost.dat", LOOSE),
        ("ward 3/rec 1.x.csv", UNLISTED),
        ("ward 3/rec 1.y.csv", "record: .csv file missing"),
    ]


def test_the_lead_that_the_run_wants(mixed: Path) -> None:
    with pytest.raises(UserError, match=r"site 'clinic': no usable|no lead V5"):
        list(cached_windows(open_folder(mixed, "clinic", leads=LeadChoice(wanted="V5"))).records)
    known, _ = read(open_folder(mixed, "clinic"))
    wanted, _ = read(open_folder(mixed, "clinic", leads=LeadChoice(wanted=known[0].lead)))
    assert [r.record for r in wanted] == [r.record for r in known]


def test_a_sites_own_header(mixed: Path) -> None:
    edit(mixed, "participant", "Patient")
    with pytest.raises(UserError, match="line 1: unknown column Patient; rename it to 'participant'"):
        open_folder(mixed, "clinic")
    source = open_reader("folder", mixed, "clinic", columns={"participant": "Patient"})
    assert source.people == PEOPLE
    assert folder.reader(mixed, {"participant": "Patient"}).tasks == source.tasks


def test_annotated_beats_are_labels(tmp_path: Path, originals: list[Recording]) -> None:
    write_wfdb(tmp_path, "a", originals[0])
    wfdb.wrann("a", "qrs", np.array([100, 400, 700]), symbol=["N", "V", "+"], write_dir=str(tmp_path))
    (tmp_path / "participants.csv").write_text("record,participant,beats\na,P1,qrs\n")
    source = open_folder(tmp_path, "clinic")
    (recording,), skips = read(source)
    assert recording.labels.beat_sample_B is not None
    assert recording.labels.beat_sample_B.tolist() == [100, 400]
    assert recording.labels.beat_class_B is not None
    assert recording.labels.beat_class_B.tolist() == [0, 1]
    assert (source.tasks, skips.items) == (("beat",), [("participants.csv", NO_SESSIONS)])
    before = source.fingerprint
    wfdb.wrann("a", "qrs", np.array([100, 401]), symbol=["N", "V"], write_dir=str(tmp_path))
    assert open_folder(tmp_path, "clinic").fingerprint != before


def test_matlab_signals_of_wfdb_records(tmp_path: Path, originals: list[Recording]) -> None:
    digital_T = np.round(1000 * originals[0].signal_mv).astype("<i2")
    # MATLAB v4: type 30 (int16), rows, columns, not complex, the name "val" and its end: 24 bytes.
    start = struct.pack("<5i", 30, 1, digital_T.size, 0, 4) + b"val\0"
    (tmp_path / "A1.mat").write_bytes(start + digital_T.tobytes())
    (tmp_path / "A1.hea").write_text(f"A1 1 360 {digital_T.size}\nA1.mat 16+24 1000/mV 16 0 0 0 0 II\n")
    (tmp_path / "participants.csv").write_text("record,participant,session\nA1.mat,P1,1\n")
    (recording,), skips = read(open_folder(tmp_path, "clinic"))
    np.testing.assert_array_equal(recording.signal_mv, (digital_T / 1000).astype(np.float32))
    assert (recording.record, recording.lead, skips.items) == ("A1", "II", [])


def test_errors_name_site_folder_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"site 'clinic': .*nowhere: no such folder; give the one"):
        open_folder(tmp_path / "nowhere", "clinic")
    with pytest.raises(UserError, match=r"site 'clinic': .*participants\.csv: missing; .*transecg init-data"):
        open_folder(tmp_path, "clinic")
    with pytest.raises(UserError, match=r"^.*participants\.csv: missing"):
        folder.reader(tmp_path)


def test_unreadable_files_are_counted(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's answer is put in its mouth: a superuser, as in many containers, may read everything."""
    locked, really_open = mixed / "ward 3" / "rec 1.x.csv", Path.open
    assert locked.is_file()

    def refusing(path: Path, *args: object, **options: object) -> object:
        if path.resolve() == locked.resolve():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return really_open(path, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refusing)
    assert read(open_folder(mixed, "clinic"))[1].counts() == {"record: file can't be opened": 1}
