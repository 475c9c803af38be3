"""Lobachevsky University ECG Database (PhysioNet ``ludb`` 1.0.1): 200 people, one 10 s record each.

Layout: ``data/N.{hea,dat}``. Lead I of twelve. Age, sex and findings stand in the header's comments.

``diagnosis`` is ``normal`` if the rhythm is sinus, of whatever rate, and nothing but the electric
axis is noted besides; any other finding makes it ``abnormal``. That matches PTB-XL's NORM, which
also goes with sinus bradycardia, tachycardia and arrhythmia.
"""

from __future__ import annotations

import re
from pathlib import Path

from transecg_core.cohorts.reader import Entry, Reader, header_or_skip, parse_age, parse_sex, records_in
from transecg_core.cohorts.schema import Diagnosis
from transecg_core.cohorts.wfdb_files import Header

_AXIS = re.compile(r"electric axis of the heart\b.*", re.IGNORECASE)
_SINUS = re.compile(
    r"rhythm: (irregular sinus rhythm|sinus (rhythm|bradycardia|tachycardia|arrhythmia))", re.IGNORECASE
)


def _index(root: Path) -> list[Entry]:
    return [_entry(root, record) for record in records_in(root, "data")]


def _entry(root: Path, record: str) -> Entry:
    header, skip = header_or_skip(root, record)
    participant = record.rpartition("/")[2]
    if header is None:
        return Entry(participant, 1, record, skip=skip)
    age, sex = parse_age(header.field("<age>")), parse_sex(header.field("<sex>"))
    return Entry(participant, 1, record, age, sex, _diagnosis(header))


def _diagnosis(header: Header) -> Diagnosis | None:
    lines = [line.rstrip(". ") for line in header.comments]
    if "<diagnoses>:" not in lines:
        return None
    findings = [
        line for line in lines[lines.index("<diagnoses>:") + 1 :] if line and not _AXIS.fullmatch(line)
    ]
    if not findings:
        return None
    return "normal" if all(_SINUS.fullmatch(line) for line in findings) else "abnormal"


READER = Reader("ludb", _index, tasks=("sex", "age", "diagnosis"))
