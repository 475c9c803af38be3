"""Lobachevsky University ECG Database (PhysioNet ``ludb`` 1.0.1): 200 people, one 10 s record each.

Layout: ``data/N.{hea,dat}``. Lead I of twelve. Age, sex and findings stand in the header's comments.

``diagnosis`` is ``normal`` if the rhythm is sinus, of whatever rate, and nothing but the electric
axis is noted besides; any other finding makes it ``abnormal``. That matches PTB-XL's NORM, which
also goes with sinus bradycardia, tachycardia and arrhythmia.
"""

from __future__ import annotations

import re
from pathlib import Path

from transecg_core.cohorts.people import described
from transecg_core.cohorts.reader import Entry, Reader, header_or_skip, records_in
from transecg_core.cohorts.schema import Diagnosis, Origin
from transecg_core.cohorts.wfdb_files import Header

_AXIS = re.compile(r"electric axis of the heart\b.*", re.IGNORECASE)
_SINUS = re.compile(
    r"rhythm: (irregular sinus rhythm|sinus (rhythm|bradycardia|tachycardia|arrhythmia))", re.IGNORECASE
)


def _index(root: Path) -> list[Entry]:
    if not (root / "data").is_dir():
        raise ValueError("no folder data/; is this ludb?")
    return [_entry(root, record) for record in records_in(root, "data")]


def _entry(root: Path, record: str) -> Entry:
    header, skip = header_or_skip(root, record)
    participant = record.rpartition("/")[2]
    if header is None:
        return Entry(participant, 1, record, skip=skip)
    age, sex, notes = described(header.field("<age>"), header.field("<sex>"))
    return Entry(participant, 1, record, age, sex, _diagnosis(header), notes=notes)


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


ORIGIN = Origin(
    title="Lobachevsky University Electrocardiography Database",
    slug="ludb",
    version="1.0.1",
    doi="10.13026/eegm-h675",
    licence="Open Data Commons Attribution License 1.0",
    licence_url="https://opendatacommons.org/licenses/by/1-0/",
    citation="Kalyakulina A. I. et al. LUDB: a new open-access validation tool for electrocardiogram "
    "delineation algorithms. IEEE Access 8:186181-186190, 2020.",
    megabytes=24.2,
    quirks=(
        "One record per person: no second session, so no other-session identification.",
        "Ages over 89 are hidden in ludb.csv (record 34); its header says 90, which is what is read.",
        "Every lead has its own gain and baseline.",
        "Leads are spelt in small letters (i, avr, v1).",
        "Records 100, 109, 111, 115, 116, 120 and 124 are clipped in some leads.",
        "The manual delineation leaves out the beats at the record's edges, and its onsets and offsets "
        "are not always paired; it serves to judge delineators and is not read here.",
        "Some people have pacemakers.",
    ),
)

READER = Reader("ludb", _index, ORIGIN, tasks=("sex", "age", "diagnosis"))
