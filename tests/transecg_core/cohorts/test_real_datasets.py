"""The four datasets, against the figures of their documentation and an independent inventory."""

import csv
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.schema import BEATS, Recording, SkipLog

pytestmark = pytest.mark.real

PARTICIPANTS_RECORDS = {"ecgiddb": (90, 308), "mitdb": (47, 48), "ludb": (200, 200), "ptbxl": (465, 495)}
SKIPPED = {
    "ecgiddb": {"record kept: damaged opening cut": 11, "record: corrupt samples (beyond 20 mV)": 2},
    "mitdb": {},
    "ludb": {},
    "ptbxl": {"record: duplicate waveform (known)": 5},
}
DATASETS = sorted(PARTICIPANTS_RECORDS)


@cache
def read(root: Path, name: str) -> tuple[list[Recording], dict[str, int]]:
    skips = SkipLog()
    return list(open_reader(name, root / name, name).read(skips)), skips.counts()


def inventory(root: Path, name: str) -> dict[str, dict[str, str]]:
    with (root / "inventory.csv").open(newline="") as handle:
        return {
            row["record"].partition("/")[2]: row for row in csv.DictReader(handle) if row["dataset"] == name
        }


@pytest.mark.parametrize("name", DATASETS)
def test_counts_and_skips(data_root: Path, name: str) -> None:
    recordings, skipped = read(data_root, name)
    assert (len({r.participant for r in recordings}), len(recordings)) == PARTICIPANTS_RECORDS[name]
    assert skipped == SKIPPED[name]


@pytest.mark.parametrize("name", DATASETS)
def test_every_record_agrees_with_the_inventory(data_root: Path, name: str) -> None:
    rows = inventory(data_root, name)
    for r in read(data_root, name)[0]:
        row = rows[r.record]
        assert r.participant == row["participant_id"]
        assert r.fs_hz == float(row["fs"])
        assert r.age == (float(row["age"]) if row["age"] else None), r.record
        assert r.sex == (row["sex"] or None)
        opening = "header_checksum_mismatch" in row["flags"]
        assert r.signal_mv.size == int(row["n_samples"]) or (opening and r.signal_mv.size in (8976, 7952))


@pytest.mark.parametrize("name", ["ecgiddb", "mitdb", "ludb"])
def test_sessions_agree_with_the_inventory(data_root: Path, name: str) -> None:
    rows = inventory(data_root, name)
    assert all(r.session == int(rows[r.record]["session_index"]) for r in read(data_root, name)[0])


def test_people_with_a_second_day(data_root: Path) -> None:
    # 21 PTB-XL patients have two records or more, two of them on one day only.
    for name, people in (("ecgiddb", 20), ("mitdb", 1), ("ludb", 0), ("ptbxl", 19)):
        sessions: dict[str, set[int]] = {}
        for r in read(data_root, name)[0]:
            sessions.setdefault(r.participant, set()).add(r.session)
        assert all(ranks == set(range(1, len(ranks) + 1)) for ranks in sessions.values())
        assert sum(len(ranks) > 1 for ranks in sessions.values()) == people, name


@pytest.mark.parametrize("name", DATASETS)
def test_signals_are_in_millivolts(data_root: Path, name: str) -> None:
    peak = [
        float(np.percentile(np.abs(r.signal_mv - np.median(r.signal_mv)), 99.5))
        for r in read(data_root, name)[0]
    ]
    assert 0.3 < np.median(peak) < 2.0
    assert max(peak) < 20


def test_unknown_ages_and_leads(data_root: Path) -> None:
    assert {r.record for r in read(data_root, "mitdb")[0] if r.age is None} == {"103", "219"}
    ptbxl = {r.record[-8:-3] for r in read(data_root, "ptbxl")[0] if r.age is None}
    assert ptbxl == {"00108", "00255", "00256", "00346"}
    for name in ("ecgiddb", "ludb", "ptbxl"):
        assert {r.lead for r in read(data_root, name)[0]} == {"I"}
    mitdb = {r.record: r.lead for r in read(data_root, "mitdb")[0]}
    assert {record for record, lead in mitdb.items() if lead == "V5"} == {"102", "104"}
    assert set(mitdb.values()) == {"MLII", "V5"}


def test_labels(data_root: Path) -> None:
    ludb = Counter(r.labels.diagnosis for r in read(data_root, "ludb")[0])
    ptbxl = Counter(r.labels.diagnosis for r in read(data_root, "ptbxl")[0])
    assert ludb == {"normal": 25, "abnormal": 175}
    assert ptbxl == {"normal": 287, "abnormal": 190, None: 18}
    classes = Counter[int]()
    for r in read(data_root, "mitdb")[0]:
        assert r.labels.beat_class_B is not None
        classes.update(r.labels.beat_class_B.tolist())
    # 109,494 beats (EC57 counts of this database, with the paced records).
    assert sum(classes.values()) == 109_494
    assert classes[BEATS.index("V")] == 7_236
    assert classes[BEATS.index("S")] == 2_781
