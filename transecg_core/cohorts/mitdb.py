"""MIT-BIH Arrhythmia Database (PhysioNet ``mitdb`` 1.0.0): 47 people, 48 half-hour records, beats labelled.

Layout: ``NNN.{hea,dat,atr}``. Lead MLII where there is one (102 and 104 have V5 instead). Age and
sex stand in the first header comment. 201 and 202 are the same man: his two sessions.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from transecg_core.cohorts import wfdb_files
from transecg_core.cohorts.people import described
from transecg_core.cohorts.reader import Entry, Reader, header_or_skip, records_in
from transecg_core.cohorts.schema import BEATS, UNKNOWN, Labels, Origin

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
    age, sex, notes = described(*age_and_sex(first))
    return Entry(participant, session, record, age, sex, skip=skip, notes=notes)


def age_and_sex(comment: str) -> tuple[str | None, str | None]:
    """Return the words for age and sex in MIT-BIH's form of comment: ``69 M 1085 1629 x1``."""
    match = re.match(r"(\S+)\s+(\S+)\b", comment)
    return (match[1], match[2]) if match else (None, None)


def read_beats(root: Path, entry: Entry) -> Labels:
    """Return the reference beats of the record's ``.atr`` file, as MIT-BIH's databases mark them."""
    return beats(*wfdb_files.read_annotations(root, entry.record, "atr"))


def beats(sample_A: np.ndarray, symbols: list[str]) -> Labels:
    """Return the beats among the marks of an annotation file: those of a symbol of ours."""
    is_beat_A = np.array([symbol in CLASS_OF_SYMBOL for symbol in symbols], dtype=bool)
    class_B = [CLASS_OF_SYMBOL[symbol] for symbol in symbols if symbol in CLASS_OF_SYMBOL]
    return Labels(beat_sample_B=sample_A[is_beat_A], beat_class_B=np.array(class_B, dtype=np.uint8))


ORIGIN = Origin(
    title="MIT-BIH Arrhythmia Database",
    slug="mitdb",
    version="1.0.0",
    doi="10.13026/C2F305",
    licence="Open Data Commons Attribution License 1.0",
    licence_url="https://opendatacommons.org/licenses/by/1-0/",
    citation="Moody G. B., Mark R. G. The impact of the MIT-BIH Arrhythmia Database. IEEE Eng. Med. Biol. "
    "20(3):45-50, 2001.",
    megabytes=94.0,
    quirks=(
        "Records 201 and 202 are the same man; they are read as his sessions 1 and 2.",
        "The order of the two channels varies (114 has V5 first), and 102 and 104 have no MLII: V5 is read.",
        "Age is -1 (unknown) in 103 and 219.",
        "102, 104, 107 and 217 are paced; P waves are absent or dissociated in long stretches of others.",
        "102-0.atr is a superseded annotation of 102, not a record.",
        "QT Database records sel100 and sel116 are excerpts of 100 and 116, resampled to 250 Hz.",
    ),
)

READER = Reader(
    "mitdb",
    _index,
    ORIGIN,
    extensions=("hea", "dat", "atr"),
    beats=read_beats,
    elsewhere={"100": "physionet:mitdb/100", "116": "physionet:mitdb/116"},
    tasks=("sex", "age", "beat"),
)
