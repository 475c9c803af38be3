import functools
import linecache
import re
import runpy
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reading import read

from transecg_core.cohorts import READERS, open_reader
from transecg_core.cohorts.fingerprint import DUPLICATE, SHARED
from transecg_core.cohorts.reader import Reader, make_source
from transecg_core.cohorts.schema import SkipLog
from transecg_core.errors import UserError

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


def own_reader(path: Path, gain: int = 1) -> Reader:
    """Import a third party's reader from a file."""
    lines = [
        "from transecg_core.cohorts import ecgiddb",
        "def index(root):",
        "    return ecgiddb.READER.index(root)",
    ]
    path.write_text("\n".join([*lines, "def mend(x_T, _fs_hz):", f"    return {gain} * x_T, None"]) + "\n")
    namespace = runpy.run_path(str(path))
    linecache.checkcache(str(path))
    return Reader("theirs", namespace["index"], mend=namespace["mend"])


def test_the_fingerprint_follows_a_third_partys_code(tmp_path: Path, ecgiddb_folder: Path) -> None:
    def of(reader: Reader) -> str:
        return make_source(reader, ecgiddb_folder, "site").fingerprint

    first = of(own_reader(tmp_path / "one.py"))
    # Where the file lies doesn't matter; what is in it does.
    assert of(own_reader(tmp_path / "other.py")) == first
    changed = own_reader(tmp_path / "one.py", gain=2)
    assert of(changed) != first
    # Of every function of the reader.
    elsewhere = own_reader(tmp_path / "elsewhere.py")
    one, two = (replace(elsewhere, mend=own_reader(tmp_path / f"m{k}.py", k).mend) for k in (1, 2))
    assert of(one) != of(two)
    partial = replace(elsewhere, mend=functools.partial(own_reader(tmp_path / "m2.py", 2).mend))
    assert of(partial) == of(two)


def test_code_that_cant_be_found_is_refused(ecgiddb_folder: Path) -> None:
    namespace: dict[str, Any] = {}
    exec("def index(root):\n    return []\ndef locate(root, name):\n    return root / name", namespace)
    odd: Any
    for odd in (namespace["locate"], dict.get):
        reader = replace(READERS["ecgiddb"], name="theirs", locate=odd)
        with pytest.raises(
            UserError, match=r"reader 'theirs': (locate|get) has no source file; write the reader to"
        ):
            make_source(reader, ecgiddb_folder, "site")


def test_the_reader_of_the_docs_works(
    tmp_path: Path, write_record: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both blocks, as they stand."""
    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
    reader, use = re.findall(
        r"```python\n(.*?)```", text.split("## A reader for a third-party cohort")[1], re.DOTALL
    )
    for k in range(10):
        write_record(tmp_path / "data", f"r{k}", seconds=20.0, seed=k)
    (tmp_path / "data" / "broken.hea").write_text("no header")
    (tmp_path / "mycohort.py").write_text(reader)
    monkeypatch.syspath_prepend(tmp_path)
    assert use.count("/data/mycohort") == 1
    namespace: dict[str, Any] = {}
    exec(use.replace("/data/mycohort", str(tmp_path / "data")), namespace)
    sys.modules.pop("mycohort")
    found = namespace["found"]
    assert found.sound
    assert (found.participants, found.records) == (10, 10)
    assert [record for record, _ in found.skipped] == ["broken"]
