"""PTB-XL (PhysioNet ``ptb-xl``), 100 Hz version: clinical 10 s records, up to eight per patient here.

Layout: ``ptbxl_database.csv``, ``scp_statements.csv``, ``records100/NNNNN/NNNNN_lr.{hea,dat}``. Lead I
of twelve. Patient, age, sex and date stand in the table; days give the sessions.

``diagnosis`` follows PTB-XL's diagnostic superclasses: ``normal`` if NORM is the only diagnostic
statement, ``abnormal`` if there are others and no NORM, None if there are none or both.
"""

from __future__ import annotations

import ast
import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from transecg_core.cohorts.people import described
from transecg_core.cohorts.reader import Entry, Reader, natural
from transecg_core.cohorts.schema import Diagnosis, Origin

TABLE, STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"
NEEDED = ("ecg_id", "patient_id", "age", "sex", "recording_date", "scp_codes", "filename_lr")
DROPPED = frozenset({"137", "143", "145", "456", "459"})
"""Among the first 500: the same waveform as another record; later PTB-XL versions leave them out too."""
DROPPED_REASON = "record: duplicate waveform (known)"
SAME_PERSON = {"16723": "16690"}
"""Records 145 and 463 are one waveform under two patient ids."""

NO_CODES = "record kept: scp_codes can't be read, so no diagnosis"
SEXES = {"0": "M", "1": "F"}
MAX_TABLE_BYTES = 100_000_000

_PATH = re.compile(r"records100/[0-9]{5}/[0-9]{5}_lr")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class _Row:
    ecg_id: str
    patient: str
    age: str
    sex: str
    day: str
    codes: str
    record: str


def _index(root: Path) -> list[Entry]:
    diagnostic = _diagnostic_class(root)
    by_patient: dict[str, list[_Row]] = defaultdict(list)
    for row in _rows(root):
        by_patient[row.patient].append(row)
    entries: list[Entry] = []
    for patient in sorted(by_patient, key=natural):
        rows = sorted(by_patient[patient], key=lambda row: (row.day, natural(row.ecg_id)))
        days = sorted({row.day for row in rows if _refused(row) is None})
        rank = {day: index for index, day in enumerate(days, start=1)}
        entries += [_entry(row, rank.get(row.day, 1), diagnostic) for row in rows]
    return entries


def _rows(root: Path) -> Iterator[_Row]:
    for line in _table(root, TABLE, NEEDED):
        ecg_id, patient, age, sex, when, codes, record = ((line[key] or "").strip() for key in NEEDED)
        yield _Row(ecg_id, _whole(patient), age, sex, when[:10], codes, record)


def _table(root: Path, name: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Return a table's lines; ValueError if it lacks a column or isn't a table."""
    if (root / name).stat().st_size > MAX_TABLE_BYTES:
        raise ValueError(f"{name} is longer than {MAX_TABLE_BYTES / 1e6:g} MB")
    try:
        with (root / name).open(encoding="utf-8-sig", newline="") as handle:
            table = csv.DictReader(handle)
            missing = sorted(set(columns) - set(table.fieldnames or ()))
            if missing:
                raise ValueError(f"{name} lacks the columns {', '.join(missing)}")
            return list(table)
    except csv.Error as error:
        raise ValueError(f"{name} can't be read: {error}") from None


def _whole(text: str) -> str:
    """Return ``15709.0`` as ``15709``."""
    return re.sub(r"\.0+$", "", text)


def _entry(row: _Row, session: int, diagnostic: Mapping[str, str]) -> Entry:
    age, sex, notes = described(row.age, SEXES.get(_whole(row.sex)))
    diagnosis, readable = _diagnosis(row.codes, diagnostic)
    return Entry(
        participant=row.patient,
        session=session,
        record=row.record,
        age=age,
        sex=sex,
        diagnosis=diagnosis,
        skip=_refused(row),
        notes=notes if readable else (*notes, NO_CODES),
    )


def _refused(row: _Row) -> str | None:
    if row.ecg_id in DROPPED:
        return DROPPED_REASON
    if not row.patient.isdecimal():
        return "record: patient unknown"
    if not _DAY.fullmatch(row.day):
        return "record: recording date unknown"
    return None if _PATH.fullmatch(row.record) else "record: name is not a plain local one"


def _diagnostic_class(root: Path) -> dict[str, str]:
    """Return statement -> diagnostic superclass, for the diagnostic statements."""
    lines = _table(root, STATEMENTS, ("", "diagnostic", "diagnostic_class"))
    return {line[""]: line["diagnostic_class"] for line in lines if line["diagnostic"] in ("1", "1.0")}


def _diagnosis(codes: str, diagnostic: Mapping[str, str]) -> tuple[Diagnosis | None, bool]:
    """Return the diagnosis, and whether the statements could be read."""
    try:
        statements = ast.literal_eval(codes)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None, False
    if not isinstance(statements, dict):
        return None, False
    found = {diagnostic[code] for code in statements if code in diagnostic}
    if "NORM" in found:
        return ("normal" if len(found) == 1 else None), True
    return ("abnormal" if found else None), True


ORIGIN = Origin(
    title="PTB-XL, a large publicly available electrocardiography dataset",
    slug="ptb-xl",
    version="1.0.1",
    doi="10.13026/x4td-x982",
    licence="Creative Commons Attribution 4.0 International",
    licence_url="https://creativecommons.org/licenses/by/4.0/",
    citation="Wagner P. et al. PTB-XL, a large publicly available electrocardiography dataset. "
    "Scientific Data 7:154, 2020.",
    megabytes=550.0,
    quirks=(
        "Only the 100 Hz version is read (records100).",
        "Records 137, 143, 145, 456 and 459 repeat the waveform of another and are left out, as in "
        "later versions.",
        "Records 145 and 463 are one waveform under the patient ids 16690 and 16723, read as one person.",
        "Ages over 89 stand as such in version 1.0.1 and as 300 later; 300 is read as 90.",
        "Age is the age at that recording and may differ between records of a patient.",
        "Patient ids are written as decimal fractions (15709.0); sex 0 is male, 1 is female.",
        "Records 262 and 295 are clipped in some leads.",
    ),
)

READER = Reader(
    "ptbxl",
    _index,
    ORIGIN,
    tables=(TABLE, STATEMENTS),
    aliases=SAME_PERSON,
    tasks=("sex", "age", "diagnosis"),
)
