"""The participants table of an institution's folder: one row per record.

What a row may hold is written in ``docs/data.md``. A value that its column doesn't allow is the
owner's to mend and stops reading with the line; ages and sexes that aren't known are counted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from transecg_core.cohorts import table_labels
from transecg_core.cohorts.channels import Stated, standard_lead
from transecg_core.cohorts.leads import LEADS, MV_PER_UNIT, UnsafeRecord
from transecg_core.cohorts.listing import TABLE, named, shown
from transecg_core.cohorts.people import AGE_UNKNOWN, SEX_UNKNOWN, described
from transecg_core.cohorts.schema import Diagnosis, Sex
from transecg_core.cohorts.table_text import TableError, read_cells
from transecg_core.cohorts.wfdb_headers import MAX_FS_HZ

MAX_SESSION = 9999
NO_PARTICIPANT = "record: no participant in the table"

_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?Z?)?", re.ASCII)
_GERMAN_DAY = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_EXTENSION = re.compile(r"[a-z][a-z0-9]{0,7}")


@dataclass(frozen=True)
class Row:
    """One record's row; None where the table says nothing.

    ``line`` is where it starts. ``notes`` are the record's.
    """

    line: int
    record: str
    participant: str
    session: int | None
    day: date | None
    age: float | None
    sex: Sex | None
    diagnosis: Diagnosis | None
    beats: str | None
    stated: Stated
    same_person_as: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table that passed every check.

    Attributes
    ----------
    rows
        In the table's order.
    columns
        Our columns that the header has.
    unassigned
        Records whose participant is blank.
    notes
        (what, note) about the table itself.
    """

    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    unassigned: tuple[str, ...]
    notes: tuple[tuple[str, str], ...]


def read(root: Path, columns: Mapping[str, str] | None = None) -> Table:
    """Read a folder's participants table.

    Parameters
    ----------
    root
        The folder.
    columns
        Our column -> theirs, where the header has another name for it.

    Raises
    ------
    TableError
        If something in it has to be mended first; the message names file, line and remedy.
    """
    path = root / TABLE
    if not path.is_file():
        raise TableError("missing; write a template of it with: transecg init-data FOLDER")
    if not path.resolve().is_relative_to(root.resolve()):
        raise TableError("is a link out of the folder; copy the table itself there")
    cells = read_cells(path, columns or {})
    _refuse_repeats(cells.rows)
    assigned = [(line, cell) for line, cell in cells.rows if cell["participant"]]
    rows = [_row(line, cell) for line, cell in assigned]
    if not rows:
        raise TableError(f"participant is blank in all {len(cells.rows)} rows; fill it in")
    unassigned = tuple(cell["record"] for _, cell in cells.rows if not cell["participant"])
    notes = (*cells.notes, *table_labels.notes([cell for _, cell in assigned]))
    return Table(tuple(rows), cells.columns, unassigned, notes)


def _refuse_repeats(rows: tuple[tuple[int, Mapping[str, str]], ...]) -> None:
    """Refuse a record with two rows: they could give it to two people."""
    seen: dict[str, int] = {}
    for line, cell in rows:
        if not cell["record"]:
            raise TableError("record is blank; give the file's path below the folder", line)
        first = seen.setdefault(record_key(cell["record"]), line)
        if first != line:
            raise TableError(f"record {shown(cell['record'])} is on line {first} too; keep one row", line)


def record_key(text: str) -> str:
    """Return one name for all spellings of a record; a name that we would not open is its own."""
    try:
        return named(text).record
    except UnsafeRecord:
        return text


def _row(line: int, cell: Mapping[str, str]) -> Row:
    age, sex, notes = _described(line, cell)
    return Row(
        line=line,
        record=cell["record"],
        participant=_participant(line, cell["participant"]),
        session=_session(line, cell.get("session", "")),
        day=_day(line, cell.get("date", "")),
        age=age,
        sex=sex,
        diagnosis=_diagnosis(line, cell.get("diagnosis", "")),
        beats=_beats(line, cell.get("beats", "")),
        stated=_stated(line, cell),
        same_person_as=_participant(line, cell.get("same-person-as", "")) or None,
        notes=notes,
    )


def _participant(line: int, text: str) -> str:
    """Return an id in one Unicode spelling: letters, digits, space and ``. _ -``."""
    text = unicodedata.normalize("NFC", text)
    if not text:
        return text
    if len(text) > 64 or not text[0].isalnum() or not all(c.isalnum() or c in " ._-" for c in text):
        raise TableError(f"participant {shown(text)} is no plain id; use a pseudonym of letters, digits, "
                         "space, dot, dash or underscore, 64 at most", line)  # fmt: skip
    return text


def _session(line: int, text: str) -> int | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,4})(?:\.0+)?", text, re.ASCII)
    if match is None or not 1 <= int(match[1]) <= MAX_SESSION:
        raise TableError(
            f"session {shown(text)} is no whole number from 1; number each person's visits", line
        )
    return int(match[1])


def _day(line: int, text: str) -> date | None:
    if not text:
        return None
    iso, german = _DAY.fullmatch(text), _GERMAN_DAY.fullmatch(text)
    if iso is None and german is None:
        raise TableError(f"date {shown(text)} is not written YYYY-MM-DD", line)
    parts = iso.group(1, 2, 3) if iso is not None else german.group(3, 2, 1) if german is not None else ()
    try:
        return date(*(int(part) for part in parts))
    except ValueError:
        raise TableError(f"date {shown(text)} is not in the calendar; write YYYY-MM-DD", line) from None


def _described(line: int, cell: Mapping[str, str]) -> tuple[float | None, Sex | None, tuple[str, ...]]:
    """Return age, sex and notes; a column that isn't there is nothing to note."""
    table_labels.refuse_illegible(line, cell)
    age, sex, notes = described(cell.get("age"), cell.get("sex"))
    absent = {note for column, note in (("age", AGE_UNKNOWN), ("sex", SEX_UNKNOWN)) if column not in cell}
    return age, sex, tuple(note for note in notes if note not in absent)


def _diagnosis(line: int, text: str) -> Diagnosis | None:
    word = text.lower()
    if word not in ("", "normal", "abnormal"):
        raise TableError(f"diagnosis {shown(text)}; write normal, abnormal, or nothing", line)
    return "normal" if word == "normal" else "abnormal" if word == "abnormal" else None


def _beats(line: int, text: str) -> str | None:
    if text and not _EXTENSION.fullmatch(text):
        raise TableError(f"beats {shown(text)} is no extension of an annotation file, such as atr", line)
    return text or None


def _stated(line: int, cell: Mapping[str, str]) -> Stated:
    lead, rate, units = (cell.get(name, "") for name in ("lead", "fs-hz", "units"))
    units = re.sub("[\u00b5\u03bc]", "u", units)
    if lead and standard_lead(lead) not in LEADS:
        raise TableError(f"lead {shown(lead)} is no name of a lead; write one of {', '.join(LEADS)}", line)
    if units and units not in MV_PER_UNIT:
        raise TableError(f"units {shown(units)}; write one of {', '.join(MV_PER_UNIT)}", line)
    if rate and not (_NUMBER.fullmatch(rate) and 0 < float(rate) <= MAX_FS_HZ):
        raise TableError(
            f"fs-hz {shown(rate)} is no sampling rate; write a number above 0 and up to {MAX_FS_HZ:g}", line
        )
    return Stated(
        lead=standard_lead(lead) if lead else None,
        column=cell.get("column") or None,
        fs_hz=float(rate) if rate else None,
        units=units or None,
    )
