import shutil
from collections.abc import Callable
from pathlib import Path

from reading import read

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.fingerprint import DUPLICATE

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


def test_identical_files_are_used_once(ptbxl_folder: Path) -> None:
    folder = ptbxl_folder / "records100" / "00000"
    shutil.copy(folder / "00003_lr.dat", folder / "00463_lr.dat")
    recordings, skipped = read("ptbxl", ptbxl_folder)
    assert [r.participant for r in recordings] == ["13243", "13244", "15709", "15709"]
    assert skipped[DUPLICATE] == 1
