import shutil
from collections.abc import Callable
from pathlib import Path

from reading import read

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.fingerprint import DUPLICATE, SHARED
from transecg_core.cohorts.schema import SkipLog

Write = Callable[..., Path]


def test_fingerprint_follows_content(ecgiddb_folder: Path) -> None:
    first = open_reader("ecgiddb", ecgiddb_folder, "ecgiddb").fingerprint
    assert open_reader("ecgiddb", ecgiddb_folder, "ecgiddb").fingerprint == first
    assert open_reader("ecgiddb", ecgiddb_folder, "ecgiddb", people=1).fingerprint != first
    (ecgiddb_folder / "README").write_text("not read")
    assert open_reader("ecgiddb", ecgiddb_folder, "ecgiddb").fingerprint == first
    data = ecgiddb_folder / "Person_02" / "rec_1.dat"
    raw = bytearray(data.read_bytes())
    raw[1000] ^= 1
    data.write_bytes(bytes(raw))
    assert open_reader("ecgiddb", ecgiddb_folder, "ecgiddb").fingerprint != first


def test_the_fingerprint_follows_the_files_that_headers_name(tmp_path: Path, write_record: Write) -> None:
    header = write_record(tmp_path, "100", beat_symbols="N")
    header.write_text(header.read_text().replace("100.dat", "other.dat"))
    other = header.with_suffix(".dat").rename(tmp_path / "other.dat")
    first = open_reader("mitdb", tmp_path, "clinic").fingerprint
    raw = bytearray(other.read_bytes())
    raw[1000] ^= 1
    other.write_bytes(bytes(raw))
    assert open_reader("mitdb", tmp_path, "clinic").fingerprint != first


def test_a_person_s_copies_are_used_once(ptbxl_folder: Path) -> None:
    before, _ = read("ptbxl", ptbxl_folder)
    own = [r.record for r in before if r.participant == "15709"]
    shutil.copy(ptbxl_folder / f"{own[0]}.dat", ptbxl_folder / f"{own[1]}.dat")
    recordings, skipped = read("ptbxl", ptbxl_folder)
    assert [r.record for r in recordings] == [r.record for r in before if r.record != own[1]]
    assert skipped[DUPLICATE] == 1


def test_a_copy_is_used_if_its_twin_cant_be_read(tmp_path: Path, write_record: Write) -> None:
    for name, lead in (("r1", "resp"), ("r2", "II"), ("r3", "II")):
        write_record(tmp_path, name, leads=(lead,))
    (tmp_path / "participants.csv").write_text("record,participant,session\nr1,p1,1\nr2,p1,1\nr3,p1,1\n")
    source = open_reader("folder", tmp_path, "clinic")
    for _ in range(2):
        skips = SkipLog()
        assert [r.record for r in source.read(skips)] == ["r2"]
        assert skips.items == [("r1", "record: no known lead in millivolts"), ("r3", DUPLICATE)]


def test_one_file_twice_in_a_header_is_no_copy_of_another_record(tmp_path: Path, write_record: Write) -> None:
    header = write_record(tmp_path, "r1", leads=("I", "II"))
    shutil.copy(write_record(tmp_path, "half").with_suffix(".dat"), tmp_path / "r1.dat")
    shutil.copy(tmp_path / "r1.dat", tmp_path / "twin.dat")
    first, lead, other = header.read_text().splitlines()
    header.write_text("\n".join((first, lead, other.replace("r1.dat", "twin.dat"))) + "\n")
    (tmp_path / "participants.csv").write_text("record,participant,session\nr1,p1,1\n")
    recordings, _ = read("folder", tmp_path)
    assert [r.record for r in recordings] == ["r1"]


def test_who_is_one_person_changes_the_fingerprint(tmp_path: Path, write_record: Write) -> None:
    for name in ("r1", "r2"):
        write_record(tmp_path, name)
    seen, kept = set(), []
    for same in ("", "p1"):
        rows = f"record,participant,session,same-person-as\nr1,p1,1,\nr2,p2,1,{same}\n"
        (tmp_path / "participants.csv").write_text(rows)
        source = open_reader("folder", tmp_path, "clinic")
        seen.add(source.fingerprint)
        kept.append(len(list(source.read(SkipLog()))))
    assert (len(seen), kept) == (2, [2, 1])


def test_names_of_records_come_without_terminal_codes(tmp_path: Path, write_record: Write) -> None:
    header = write_record(tmp_path, "100", beat_symbols="N")
    header.with_name("\x1b[2J.hea").write_bytes(header.read_bytes())
    skips = SkipLog()
    assert len(list(open_reader("mitdb", tmp_path, "clinic").read(skips))) == 1
    assert ("'\\x1b[2J'", "record: name is not a plain local one") in skips.items


def test_what_one_person_contributes_does_not_depend_on_another(ptbxl_folder: Path) -> None:
    """Under differential privacy, taking the one away must not bring a recording of the other to light."""
    before, skipped = read("ptbxl", ptbxl_folder)
    one, other = (next(r.record for r in before if r.participant == p) for p in ("13243", "15709"))
    shutil.copy(ptbxl_folder / f"{one}.dat", ptbxl_folder / f"{other}.dat")
    recordings, noted = read("ptbxl", ptbxl_folder)
    assert [r.record for r in recordings] == [r.record for r in before]
    assert DUPLICATE not in noted
    assert noted[SHARED] == 1
    assert SHARED not in skipped
