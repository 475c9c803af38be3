"""On the five public datasets: every copy that their documentation names is found, and nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from transecg_core.cohorts import open_reader, ptbxl, wfdb_files
from transecg_core.cohorts.leads import EVERY_LEAD
from transecg_core.cohorts.schema import Recording, SiteSource, SkipLog
from transecg_core.signals.cache import cached_windows
from transecg_core.signals.schema import Windows
from transecg_core.splits.duplicates import near_duplicates

pytestmark = pytest.mark.real


def whole_ptbxl(root: Path) -> SiteSource:
    """PTB-XL with the copies that its reader leaves out."""
    entries = [replace(entry, skip=None) for entry in ptbxl.READER.index(root)]

    def read(_skips: SkipLog) -> Iterator[Recording]:
        for entry in entries:
            got = wfdb_files.decode(root, entry.record, EVERY_LEAD)
            yield Recording(
                "ptbxl", entry.participant, entry.session, entry.record, got.fs_hz, got.lead, got.signal_mv
            )

    usual = open_reader("ptbxl", root, "ptbxl")
    return replace(usual, read=read, fingerprint=f"whole {usual.fingerprint}")


@pytest.fixture(scope="module")
def sites(data_root: Path) -> list[tuple[str, Windows]]:
    names = ("ecgiddb", "ludb", "mitdb", "qtdb")
    sources = [open_reader(name, data_root / name, name) for name in names]
    return [(s.name, cached_windows(s)) for s in (*sources, whole_ptbxl(data_root / "ptbxl"))]


def test_all_known_copies_and_no_others(sites: list[tuple[str, Windows]]) -> None:
    found = {
        (p.record_a[-8:].removesuffix("_lr"), p.record_b[-8:].removesuffix("_lr")): p
        for p in near_duplicates(sites)
    }
    assert set(found) == {
        ("100", "sel100"), ("116", "sel116"), ("00137", "00138"), ("00143", "00144"), ("00145", "00463"),
        ("00456", "00457"), ("00459", "00460"),
    }  # fmt: skip
    assert min(pair.correlation for pair in found.values()) > 0.95
    assert found["100", "sel100"].offset_s == pytest.approx(420.0, abs=0.02)
    assert {found["00145", "00463"].participant_a, found["00145", "00463"].participant_b} == {
        "16690",
        "16723",
    }


def test_as_the_readers_give_them_only_the_excerpts_are_left(data_root: Path) -> None:
    """PTB-XL's reader drops its five copies; sel100 and sel116 are declared to be the people of 100 and 116."""
    sources = [open_reader(name, data_root / name, name) for name in ("mitdb", "ptbxl", "qtdb")]
    found = near_duplicates([(source.name, cached_windows(source)) for source in sources])
    assert [(p.record_a, p.record_b) for p in found] == [("100", "sel100"), ("116", "sel116")]
    mitdb, _, qtdb = sources
    assert all(mitdb.person(p.participant_a) == qtdb.person(p.participant_b) for p in found)
