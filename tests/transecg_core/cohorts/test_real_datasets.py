"""The five datasets, against the figures of their documentation and an independent inventory."""

import csv
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly

from transecg_core.cohorts import READERS, open_reader
from transecg_core.cohorts.schema import BEATS, Recording, SkipLog

pytestmark = pytest.mark.real

PARTICIPANTS_RECORDS = {
    "ecgiddb": (90, 308),
    "mitdb": (47, 48),
    "ludb": (200, 200),
    "ptbxl": (465, 495),
    "qtdb": (35, 35),
}
SKIPPED = {
    "ecgiddb": {
        "record kept: checksum differs from its header": 11,
        "record kept: damaged opening cut": 11,
        "record: corrupt samples (beyond 20 mV)": 2,
    },
    "mitdb": {"record kept: age unknown": 2},
    "ludb": {"record kept: clipped (over 0.5% of its samples at an extreme value)": 1},
    "ptbxl": {"record kept: age unknown": 4, "record: duplicate waveform (known)": 5},
    "qtdb": {
        "record kept: age unknown": 1,
        "record kept: lead CM5 read as V5": 12,
        "record kept: lead D4 read as V4": 1,
        "record kept: lead ML5 read as V5": 1,
        "record kept: lead V4-V5 read as V4": 1,
        "record kept: sex unknown": 1,
    },
}
WOMEN_MEN = {"ecgiddb": (46, 44), "mitdb": (22, 25), "ludb": (85, 115), "ptbxl": (238, 227), "qtdb": (2, 32)}
"""As documented; for PTB-XL less one man, whose only record is another's waveform (patient 16690)."""
AGE_BANDS = {
    "ecgiddb": (63, 14, 11, 1, 1),
    "mitdb": (3, 4, 8, 17, 13),
    "ludb": (39, 29, 49, 61, 22),
    "qtdb": (0, 3, 22, 9, 0),
}
"""People below 30, 45, 60, 75, and older, at their first record, as documented."""
DATASETS = sorted(PARTICIPANTS_RECORDS)


@cache
def read(root: Path, name: str) -> tuple[list[Recording], SkipLog]:
    skips = SkipLog()
    return list(open_reader(name, root / name, name).read(skips)), skips


def inventory(root: Path, name: str) -> dict[str, dict[str, str]]:
    with (root / "inventory.csv").open(newline="") as handle:
        return {
            row["record"].partition("/")[2]: row for row in csv.DictReader(handle) if row["dataset"] == name
        }


@pytest.mark.parametrize("name", DATASETS)
def test_counts_and_skips(data_root: Path, name: str) -> None:
    recordings, skipped = read(data_root, name)
    assert (len({r.participant for r in recordings}), len(recordings)) == PARTICIPANTS_RECORDS[name]
    assert skipped.counts() == SKIPPED[name]


@pytest.mark.parametrize("name", DATASETS)
def test_every_record_agrees_with_the_inventory(data_root: Path, name: str) -> None:
    rows = inventory(data_root, name)
    recordings, skips = read(data_root, name)
    left_out = {record for record, reason in skips.items if reason.startswith("record:")}
    assert {r.record for r in recordings} == set(rows) - left_out
    for r in recordings:
        row = rows[r.record]
        assert r.participant == row["participant_id"]
        assert r.fs_hz == float(row["fs"])
        assert r.age == (float(row["age"]) if row["age"] else None), r.record
        assert r.sex == (row["sex"] or None)
        opening = "header_checksum_mismatch" in row["flags"]
        assert r.signal_mv.size == int(row["n_samples"]) or (opening and r.signal_mv.size in (8976, 7952))


@pytest.mark.parametrize("name", ["ecgiddb", "mitdb", "ludb", "qtdb"])
def test_sessions_agree_with_the_inventory(data_root: Path, name: str) -> None:
    rows = inventory(data_root, name)
    assert all(r.session == int(rows[r.record]["session_index"]) for r in read(data_root, name)[0])


def test_sessions_of_ptbxl_are_ranks_of_days(data_root: Path) -> None:
    # The inventory ranks times of day, and counts the duplicates that are left out here.
    rows, recordings = inventory(data_root, "ptbxl"), read(data_root, "ptbxl")[0]
    day = {r.record: rows[r.record]["date"][:10] for r in recordings}
    for r in recordings:
        earlier = {
            day[o.record]
            for o in recordings
            if o.participant == r.participant and day[o.record] < day[r.record]
        }
        assert r.session == 1 + len(earlier), r.record


@pytest.mark.parametrize("name", DATASETS)
def test_women_and_men(data_root: Path, name: str) -> None:
    sex = {r.participant: r.sex for r in read(data_root, name)[0]}
    counts = Counter(sex.values())
    assert (counts["F"], counts["M"]) == WOMEN_MEN[name]


@pytest.mark.parametrize("name", sorted(AGE_BANDS))
def test_ages_at_the_first_record(data_root: Path, name: str) -> None:
    first: dict[str, float | None] = {}
    for r in read(data_root, name)[0]:
        first.setdefault(r.participant, r.age)
    ages = [age for age in first.values() if age is not None]
    assert tuple(np.histogram(ages, [0, 30, 45, 60, 75, 130])[0]) == AGE_BANDS[name]


@pytest.mark.parametrize("name", DATASETS)
def test_damage_is_noted_where_the_inventory_sees_it(data_root: Path, name: str) -> None:
    rows, (recordings, skips) = inventory(data_root, name), read(data_root, name)
    noted = {record for record, reason in skips.items if "checksum" in reason}
    assert noted == {record for record, row in rows.items() if "header_checksum_mismatch" in row["flags"]}
    clipped = {record for record, reason in skips.items if "clipped" in reason}
    flagged = set()
    for r in recordings:
        spelt = (
            next(
                lead
                for lead in rows[r.record]["leads"].split("|")
                if lead.upper().removeprefix("ECG ") == r.lead
            )
            if name != "qtdb"
            else r.lead
        )
        flagged |= {
            r.record
            for flag in rows[r.record]["flags"].split(";")
            if flag.startswith("rail") and flag.endswith(f":{spelt}")
        }
    assert clipped == flagged
    assert clipped == ({"data/120"} if name == "ludb" else set())


def left_out_or_noted(root: Path, name: str, part: str) -> set[str]:
    return {record for record, reason in read(root, name)[1].items if part in reason}


def test_the_records_left_out_or_mended_are_the_documented_ones(data_root: Path) -> None:
    openings = (
        "13/rec_2 15/rec_1 24/rec_5 25/rec_4 26/rec_3 27/rec_3 28/rec_4 32/rec_6 44/rec_1 72/rec_3 83/rec_1"
    )
    assert left_out_or_noted(data_root, "ecgiddb", "opening cut") == {f"Person_{r}" for r in openings.split()}
    assert left_out_or_noted(data_root, "ecgiddb", "corrupt") == {"Person_76/rec_2", "Person_88/rec_1"}
    repeated = {record[-8:-3] for record in left_out_or_noted(data_root, "ptbxl", "duplicate")}
    assert repeated == {"00137", "00143", "00145", "00456", "00459"}
    assert left_out_or_noted(data_root, "qtdb", "sex unknown") == {"sele0166"}
    records = Counter(r.participant for r in read(data_root, "ecgiddb")[0])
    assert (records["Person_01"], records["Person_02"], records["Person_74"]) == (20, 22, 1)
    quirks = " ".join(READERS["qtdb"].origin.quirks) if READERS["qtdb"].origin else ""
    assert all(f"sele{number}" in quirks for number in ("0121", "0122", "0124", "0126", "0129", "0133"))


def test_ages_of_a_patient_may_differ_between_records(data_root: Path) -> None:
    ages: dict[str, set[float | None]] = {}
    for r in read(data_root, "ptbxl")[0]:
        ages.setdefault(r.participant, set()).add(r.age)
    assert len(ages["11031"]) == 2
    assert max(age for known in ages.values() for age in known if age is not None) == 91


def test_people_in_two_datasets(data_root: Path) -> None:
    tapes = open_reader("mitdb", data_root / "mitdb", "mitdb")
    intervals = open_reader("qtdb", data_root / "qtdb", "qtdb")
    by_person = {tapes.person(r.participant): r for r in read(data_root, "mitdb")[0]}
    both = [
        (by_person[p], r)
        for r in read(data_root, "qtdb")[0]
        if (p := intervals.person(r.participant)) in by_person
    ]
    assert [(a.record, b.record) for a, b in both] == [("100", "sel100"), ("116", "sel116")]
    # Their headers tell where the excerpts begin: at 7:00.000, and at 0.
    for (tape, excerpt), start_s in zip(both, (420, 0), strict=True):
        x_T = resample_poly(tape.signal_mv[start_s * 360 : (start_s + 60) * 360], 25, 36)
        y_T = excerpt.signal_mv[: x_T.size]
        assert tape.lead == excerpt.lead == "MLII"
        assert (tape.age, tape.sex) == (excerpt.age, excerpt.sex)
        assert np.corrcoef(x_T[500:-500], y_T[500:-500])[0, 1] > 0.95


def test_people_with_a_second_day(data_root: Path) -> None:
    # 21 PTB-XL patients have two records or more, two of them on one day only.
    for name, people in (("ecgiddb", 20), ("mitdb", 1), ("ludb", 0), ("qtdb", 0), ("ptbxl", 19)):
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
    assert mitdb["114"] == "MLII"
    assert Counter(r.lead for r in read(data_root, "qtdb")[0]) == {"V5": 15, "V4": 14, "V3": 4, "MLII": 2}
    # Only one record's lead is called D4; its other channel is called like the others' limb lead.
    assert left_out_or_noted(data_root, "qtdb", "lead D4 read as V4") == {"sele0104"}
    (quirk,) = (text for text in READERS["qtdb"].origin.quirks if "D4" in text)  # type: ignore[union-attr]
    assert "sele0104" in quirk


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
