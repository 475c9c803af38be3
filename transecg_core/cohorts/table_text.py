"""A participants table's bytes to named cells, with nothing about what they mean."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from transecg_core.cohorts.listing import TABLE, quoted, shown
from transecg_core.names import nearest

COLUMNS = (
    "record", "participant", "session", "date", "age", "sex", "diagnosis", "beats", "lead", "fs-hz",
    "units", "column", "same-person-as",
)  # fmt: skip
REQUIRED = ("record", "participant")
OFTEN = {
    "age-years": "age", "filename": "record", "file": "record", "path": "record", "patient": "participant",
    "patient-id": "participant", "patientid": "participant", "participant-id": "participant",
    "subject": "participant", "subject-id": "participant", "person": "participant", "gender": "sex",
    "visit": "session", "recording-date": "date", "fs": "fs-hz", "sampling-rate": "fs-hz", "unit": "units",
    "channel": "column", "label": "diagnosis",
}  # fmt: skip
"""What other tables often call a column of ours."""
MAX_BYTES = 16_000_000
MAX_ROWS = 100_000
MAX_HEADER_CELLS = 200
MAX_CELL = 500
SEPARATORS = (",", ";", "\t")
LATIN = "table: not UTF-8, read as Latin-1"
NOT_READ = "table: column not read"

_BEYOND_ASCII = re.compile("[^\0-\x7f\udc80-\udcff]")
"""A character that was several bytes of UTF-8; bytes that are none are kept as low surrogates."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class TableError(ValueError):
    """A table that its owner has to mend; the message says what, where and how."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(f"{TABLE}{'' if line is None else f' line {line}'}: {message}")


@dataclass(frozen=True)
class Cells:
    """A table as text.

    Attributes
    ----------
    rows
        (line, our column -> cell) of every row that is not blank; cells are stripped.
    columns
        Our columns that the header has.
    notes
        (what, note) of everything that was not taken as it came.
    """

    rows: tuple[tuple[int, Mapping[str, str]], ...]
    columns: tuple[str, ...]
    notes: tuple[tuple[str, str], ...]


def read_cells(path: Path, mapping: Mapping[str, str]) -> Cells:
    """Read a table.

    Parameters
    ----------
    path
        The file.
    mapping
        Our column -> theirs, where the header has another name for it.

    Raises
    ------
    TableError
        If it is not a table of text with the needed columns.
    """
    text, notes = _text(path)
    separator = _separator(text, mapping)
    lines = _lines(text, separator)
    _, header = next(lines)
    ours, unread = _ours([cell.strip() for cell in header], mapping)
    rows: list[tuple[int, Mapping[str, str]]] = []
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise TableError(f"{len(cells)} cells under a header of {len(header)}; quote cells that hold "
                             "the separator, and keep empty ones", line)  # fmt: skip
        if len(rows) == MAX_ROWS:
            raise TableError(f"more than {MAX_ROWS} rows; split the folder", line)
        rows.append((line, {name: cells[index].strip() for name, index in ours.items()}))
    if not rows:
        raise TableError("no row under the header; write one row per record")
    return Cells(tuple(rows), tuple(ours), (*notes, *((shown(name), NOT_READ) for name in unread)))


def _text(path: Path) -> tuple[str, list[tuple[str, str]]]:
    try:
        with path.open("rb") as handle:
            raw = handle.read(MAX_BYTES + 1)
    except OSError as error:
        raise TableError(f"can't be opened ({error.strerror})") from None
    if len(raw) > MAX_BYTES:
        raise TableError(f"over {MAX_BYTES // 1_000_000} MB; it is one row per record, not the samples")
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise TableError("is an Excel workbook; save it as 'CSV UTF-8'")
    text, notes = _decoded(raw)
    if _CONTROL.search(text):
        raise TableError("holds control characters: not a text table; save it as 'CSV UTF-8'")
    if not text.strip():
        raise TableError("is empty; delete it, and write it with: transecg init-data")
    return text, notes


def _decoded(raw: bytes) -> tuple[str, list[tuple[str, str]]]:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return raw.decode("utf-16"), []
        except UnicodeDecodeError:
            raise TableError("is marked as UTF-16 and isn't; save it as 'CSV UTF-8'") from None
    try:
        return raw.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        # Read as Latin-1, rows that are UTF-8 would change because of one that is not.
        if _BEYOND_ASCII.search(raw.decode("utf-8", "surrogateescape")):
            line = len(re.findall(rb"\r\n|\r|\n", raw[: error.start])) + 1
            raise TableError("not UTF-8, though other characters are; save it as 'CSV UTF-8'", line) from None
        return raw.decode("latin-1"), [(TABLE, LATIN)]


def _separator(text: str, mapping: Mapping[str, str]) -> str:
    """Return the separator under which the header has most known columns; the data are not looked at."""
    known = {*COLUMNS, *OFTEN, *(_plain(theirs) for theirs in mapping.values())}

    def count(separator: str) -> int:
        try:
            _, header = next(_lines(text, separator))
        except TableError:
            return -1
        return len(known & {_plain(cell) for cell in header})

    return max(SEPARATORS, key=count)


def _lines(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells)."""
    # Line by line: a quote that is never closed would take in the rows of other people.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for line, content in enumerate(lines, start=1):
        try:
            cells = next(csv.reader([content], delimiter=separator, strict=True), [])
        except csv.Error as error:
            raise TableError(
                f"is no CSV ({error}); check the quotes, and keep a row on one line", line
            ) from None
        if any(len(cell) > MAX_CELL for cell in cells):
            raise TableError(f"a cell of more than {MAX_CELL} characters; check the quotes", line)
        if len(cells) > MAX_HEADER_CELLS:
            raise TableError(f"more than {MAX_HEADER_CELLS} cells; check the separators", line)
        yield line, cells


def _plain(name: str) -> str:
    """Return a column's name in our spelling: ``FS_Hz`` is ``fs-hz``."""
    return re.sub(r"[\s_]+", "-", name.strip().lower())


def _ours(header: list[str], mapping: Mapping[str, str]) -> tuple[dict[str, int], list[str]]:
    """Return our columns with their places, and the names of columns that are not read."""
    for name in mapping:
        if name not in COLUMNS:
            raise TableError(f"columns: there is no column {quoted(name)}{nearest(name, COLUMNS)}")
    taken = {_plain(theirs): name for name, theirs in mapping.items()}
    ours: dict[str, int] = {}
    unread = []
    for index, cell in enumerate(header):
        name = taken.get(_plain(cell), _plain(cell))
        if name not in COLUMNS or (name in mapping and _plain(cell) not in taken):
            unread.append(cell)
        elif name in ours:
            raise TableError(f"two columns are '{name}'; keep one", 1)
        else:
            ours[name] = index
    for name, theirs in mapping.items():
        if name not in ours:
            raise TableError(f"columns: no column {shown(theirs)} for '{name}' in the header", 1)
    _refuse_near_misses(unread, ours)
    return ours, [name for name in unread if name]


def _refuse_near_misses(unread: list[str], ours: Mapping[str, int]) -> None:
    missing = [name for name in COLUMNS if name not in ours]
    for name in unread:
        close = OFTEN.get(_plain(name))
        near = [close] if close in missing else difflib.get_close_matches(_plain(name), missing, 1, 0.75)
        if near:
            raise TableError(f"unknown column {shown(name)}; rename it to '{near[0]}', or remove it", 1)
    if lacking := [name for name in REQUIRED if name not in ours]:
        raise TableError(f"lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; the header needs "
                         f"{' and '.join(REQUIRED)}", 1)  # fmt: skip
