"""ECG-ID Database (PhysioNet ``ecgiddb`` 1.0.0): 90 volunteers, 20 s of lead I per record, up to six days.

Layout: ``Person_NN/rec_K.{hea,dat}``. Channel 0, the raw lead I, is read; channel 1 is the
authors' filtered copy of it. Age, sex and date stand in the header's comments; days give the
sessions. There is no label of beats or diagnosis.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from transecg_core.cohorts.people import described
from transecg_core.cohorts.reader import (
    Entry,
    Reader,
    header_or_skip,
    natural,
    records_in,
)
from transecg_core.cohorts.schema import Origin

OPENING_CUT = "record kept: damaged opening cut"
MIN_OPENING_S = 1.0
"""The damaged files begin with 2.0 or 4.1 s of one overwritten value."""

_FOLDER = re.compile(r"Person_[0-9]{1,6}")


def _index(root: Path) -> list[Entry]:
    folders = sorted((name for name in os.listdir(root) if _FOLDER.fullmatch(name)), key=natural)
    entries: list[Entry] = []
    for person in folders:
        entries += _person(root, person)
    return entries


def _person(root: Path, person: str) -> list[Entry]:
    try:
        records = records_in(root, person)
    except (ValueError, OSError):
        return [Entry(person, 1, person, skip="record: folder can't be read or lies outside the dataset's")]
    if not (root / person).is_dir():
        return [Entry(person, 1, person, skip="record: a person's folder is none")]
    entries: list[Entry] = []
    days: dict[str, date] = {}
    for record in records:
        header, skip = header_or_skip(root, record)
        entry = Entry(participant=person, session=1, record=record, skip=skip)
        if header is not None:
            age, sex, notes = described(header.field("Age"), header.field("Sex"))
            entry = replace(entry, age=age, sex=sex, notes=notes)
            day = _day(header.field("ECG date"))
            if day is None:
                entry = replace(entry, skip="record: recording date unknown")
            else:
                days[record] = day
        entries.append(entry)
    rank = {day: index for index, day in enumerate(sorted(set(days.values())), start=1)}
    return [
        replace(entry, session=rank[days[entry.record]]) if entry.record in days else entry
        for entry in entries
    ]


def _day(text: str | None) -> date | None:
    """Return a ``DD.MM.YYYY`` date."""
    if not (match := re.fullmatch(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})", text or "")):
        return None
    day, month, year = (int(part) for part in match.groups())
    try:
        return date(year, month, day)
    except ValueError:
        return None


def cut_opening(signal_mv: np.ndarray, fs_hz: float) -> tuple[np.ndarray, str | None]:
    """Cut a constant opening of more than a second: overwritten samples, not an ECG."""
    changes = np.flatnonzero(signal_mv != signal_mv[0])
    opening = int(changes[0]) if changes.size else signal_mv.shape[0]
    return (signal_mv[opening:], OPENING_CUT) if opening > MIN_OPENING_S * fs_hz else (signal_mv, None)


ORIGIN = Origin(
    title="ECG-ID Database",
    slug="ecgiddb",
    version="1.0.0",
    doi="10.13026/C2J01F",
    licence="Open Data Commons Attribution License 1.0",
    licence_url="https://opendatacommons.org/licenses/by/1-0/",
    citation="Lugovaya T. S. Biometric human identification based on electrocardiogram. Master's thesis, "
    "LETI, Saint Petersburg, 2005.",
    megabytes=12.5,
    quirks=(
        "Channel 1 is the authors' filtered copy of channel 0, the raw lead I; channel 0 is read.",
        "70 of the 90 people have one recording date only, and Person_74 has one record only.",
        "Eleven records begin with 2.0 or 4.1 s of one overwritten value and fail the checksum in their own "
        "header; that opening is cut.",
        "Person_76/rec_2 and Person_88/rec_1 hold corrupt samples beyond 100 mV; they are left out.",
        "The .atr files mark the first ten beats only, unaudited; they are not read.",
        "Record numbers have no leading zeros: rec_10 comes after rec_2, not after rec_1.",
    ),
)

READER = Reader("ecgiddb", _index, ORIGIN, mend=cut_opening)
