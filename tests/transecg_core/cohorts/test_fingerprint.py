import shutil
from collections.abc import Callable
from pathlib import Path

from reading import read

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.fingerprint import DUPLICATE, SHARED

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
