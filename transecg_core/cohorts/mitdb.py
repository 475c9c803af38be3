"""MIT-BIH Arrhythmia Database (PhysioNet ``mitdb`` 1.0.0): 47 people, 48 half-hour records, beats labelled.

Layout: ``NNN.{hea,dat,atr}``. Lead MLII where there is one (102 and 104 have V5 instead). Age and
sex stand in the first header comment. 201 and 202 are the same man: his two sessions.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from transecg_core.cohorts import wfdb_files
from transecg_core.cohorts.reader import Entry, Reader, header_or_skip, parse_age, parse_sex, records_in
from transecg_core.cohorts.schema import BEATS, UNKNOWN, Labels

SAME_PERSON = {"202": ("201", 2)}
"""Record -> (participant, session) where they aren't (record, 1)."""

CLASS_OF_SYMBOL = {
    **dict.fromkeys("NLRej", BEATS.index("N")),
    **dict.fromkeys("VE", BEATS.index("V")),
    **dict.fromkeys("SaAJ", BEATS.index("S")),
    # Beats of no class of ours: fusion, paced, unclassifiable.
    **dict.fromkeys("BrFnf/Q?", UNKNOWN),
}
"""Symbols that mark a beat (ANSI/AAMI EC57 groups); rhythm, noise and wave marks are not in it."""


def _index(root: Path) -> list[Entry]:
    # 102-0.atr and the like are superseded annotations without a header: the headers name the records.
    return [_entry(root, record) for record in records_in(root)]


def _entry(root: Path, record: str) -> Entry:
    header, skip = header_or_skip(root, record)
    participant, session = SAME_PERSON.get(record, (record, 1))
    first = header.comments[0] if header is not None and header.comments else ""
    match = re.match(r"(-?\d+)\s+([MF])\b", first)
    age, sex = match.groups() if match else (None, None)
    return Entry(participant, session, record, parse_age(age), parse_sex(sex), skip=skip)


def _beats(root: Path, entry: Entry) -> Labels:
    sample_A, symbols = wfdb_files.read_annotations(root, entry.record, "atr")
    is_beat_A = np.array([symbol in CLASS_OF_SYMBOL for symbol in symbols], dtype=bool)
    class_B = [CLASS_OF_SYMBOL[symbol] for symbol in symbols if symbol in CLASS_OF_SYMBOL]
    return Labels(beat_sample_B=sample_A[is_beat_A], beat_class_B=np.array(class_B, dtype=np.uint8))


READER = Reader("mitdb", _index, extensions=("hea", "dat", "atr"), beats=_beats, tasks=("sex", "age", "beat"))
