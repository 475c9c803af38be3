"""The corpus' runner must see what it is there to see."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import hostile
import numpy as np
import pytest
import wfdb
from hostile import GOOD, Case, Result, run, sentinel, summary
from hostile_wfdb import case, mitdb

from transecg_core.cohorts.leads import Decoded, LeadChoice
from transecg_core.cohorts.mitdb import READER
from transecg_core.cohorts.reader import Entry, make_source
from transecg_core.cohorts.schema import SiteSource


def untouched(_root: Path) -> None:
    pass


def naive(root: Path) -> SiteSource:
    """Open the folder with a reader that believes what it is told."""

    def index(folder: Path) -> list[Entry]:
        return [Entry(path.stem, 1, path.stem) for path in sorted(folder.glob("*.hea"))]

    def decode(folder: Path, entry: Entry, _leads: LeadChoice) -> Decoded:
        record = wfdb.rdrecord(str(folder / entry.record))
        return Decoded(float(record.fs), "MLII", record.p_signal[:, 0].astype(np.float32))

    return make_source(replace(READER, index=index, decode=decode), root, "clinic")


def linked_out(root: Path) -> None:
    (root / "101.dat").unlink()
    (root / "101.dat").symlink_to(root.parent / "outside" / "s.dat")


def spoiled(build: Callable[[Path], None], open_with: Callable[[Path], SiteSource]) -> Case:
    sound = case("spoiled", build, "skipped", "outside")
    return replace(sound, open=open_with)


def test_a_sound_record_is_kept_without_a_word(tmp_path: Path) -> None:
    result = run(case("sound", untouched, "kept", ""), tmp_path)
    assert (result.outcome, result.said, result.problem) == ("kept", "", None)


def test_reading_outside_the_root_is_seen(tmp_path: Path) -> None:
    for name, reader in (("ours", mitdb), ("naive", naive)):
        (tmp_path / name).mkdir()
        result = run(spoiled(linked_out, reader), tmp_path / name)
        assert (result.problem is None) == (name == "ours")
        assert result.outcome == ("skipped" if name == "ours" else "leaked")


def test_a_copy_of_the_sentinel_is_seen(tmp_path: Path) -> None:
    def build(root: Path) -> None:
        shutil.copy(root.parent / "outside" / "s.dat", root / "101.dat")
        (root / "101.hea").write_text((root.parent / "outside" / "s.hea").read_text().replace("s", "101", 2))

    assert run(spoiled(build, naive), tmp_path).said == "101 is the record outside"


def test_crashes_silence_and_memory_are_seen(tmp_path: Path) -> None:
    def crash(_root: Path) -> SiteSource:
        raise ZeroDivisionError

    def forget(root: Path) -> SiteSource:
        def index(folder: Path) -> list[Entry]:
            return [entry for entry in READER.index(folder) if entry.record == GOOD]

        return make_source(replace(READER, index=index), root, "clinic")

    def drop(root: Path) -> SiteSource:
        def index(folder: Path) -> list[Entry]:
            return [entry for entry in READER.index(folder) if entry.record != GOOD]

        return make_source(replace(READER, index=index), root, "clinic")

    def allocate(root: Path) -> SiteSource:
        np.ones(20_000_000)
        return mitdb(root)

    outcomes = []
    for reader in (crash, forget, drop, allocate):
        (tmp_path / reader.__name__).mkdir()
        outcomes.append(run(spoiled(untouched, reader), tmp_path / reader.__name__))
    assert [result.outcome for result in outcomes] == ["crashed", "silent", "lost", "kept"]
    assert all(result.problem for result in outcomes)
    assert outcomes[-1].peak_mb > hostile.MAX_PEAK_MB
    assert "4 cases; refused 0, skipped 0, kept 1 (0 with a note), crashed 1" in summary(outcomes)


def test_an_outcome_for_another_reason_is_wrong(tmp_path: Path) -> None:
    result = Result(case("links", linked_out, "skipped", "flat"), "skipped", "record: gone", 1.0)
    assert result.problem == "said 'record: gone', not 'flat'"
    assert replace(result, said="record: flat").problem is None
    assert replace(result, outcome="kept", said="record: flat").problem == "kept, not skipped: record: flat"
    unexpected = replace(result.case, expect="kept", reason="")
    assert replace(result, case=unexpected, outcome="kept").problem is not None


def test_a_hanging_case_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_root: Path) -> SiteSource:
        while True:
            time.sleep(0.1)

    monkeypatch.setattr(hostile, "MAX_SECONDS", 1)
    assert run(spoiled(untouched, hang), tmp_path).outcome == "crashed"


@pytest.mark.parametrize(
    ("seconds", "gain"), [(0, 1.0), (3, -2.0)], ids=["as it is", "shifted, inverted and scaled"]
)
def test_the_sentinel_is_recognised(seconds: int, gain: float) -> None:
    x_T = gain * sentinel()[seconds * 360 :] + 0.4
    assert hostile._is_sentinel(x_T.astype(np.float32))
    assert not hostile._is_sentinel(np.random.default_rng(0).standard_normal(5000).astype(np.float32))
