"""An institution's own folder: WFDB, EDF and CSV recordings beside one participants table.

``docs/data.md`` tells how to make one. Everything public about it follows from the table's header and
ids: who is on the roster, and which labels the folder comes with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from transecg_core.cohorts import csv_files, edf_files, mitdb, table, table_people, wfdb_files
from transecg_core.cohorts.channels import Stated, agreed_rate, choose
from transecg_core.cohorts.leads import EVERY_LEAD, Decoded, LeadChoice, UnsafeRecord
from transecg_core.cohorts.listing import TABLE, Kind, Listing, locate, named, recordings, shown
from transecg_core.cohorts.people import TWO_AGES
from transecg_core.cohorts.reader import Entry, Reader, make_source, natural
from transecg_core.cohorts.schema import Labels, SiteSource
from transecg_core.cohorts.table import NO_PARTICIPANT, Row, Table, record_key
from transecg_core.cohorts.table_labels import TASK_COLUMNS
from transecg_core.errors import UserError

NAME = "folder"
MODULES = (
    "channels", "csv_files", "edf_files", "mitdb", "table", "table_labels", "table_people", "table_text",
)  # fmt: skip
UNLISTED = "file: not in the participants table"
LOOSE = "file: signals without a header"
NO_SESSIONS = "table: no session or date, every record counts as session 1"


@dataclass(frozen=True)
class FolderEntry(Entry):
    """A record of an institution's folder.

    Attributes
    ----------
    kind
        Type of its files.
    files
        The files that are read, below the folder.
    annotations
        Extension of its reference beats, for WFDB.
    stated
        What the table says about its signal.
    """

    kind: Kind = "wfdb"
    files: tuple[str, ...] = ()
    annotations: str | None = None
    stated: Stated = field(default_factory=Stated)


def open_folder(
    root: Path,
    site: str,
    people: int | None = None,
    leads: LeadChoice = EVERY_LEAD,
    columns: Mapping[str, str] | None = None,
) -> SiteSource:
    """Open an institution's folder as a site.

    Parameters
    ----------
    root
        The folder that holds the recordings and ``participants.csv``.
    site
        What the site is called.
    people
        Keep only this many people, None for everybody.
    leads
        Which lead to read, and how the site spells its leads.
    columns
        Our column of the table -> theirs.

    Raises
    ------
    UserError
        If the folder or its table has to be mended first, or holds nothing that can be read.
    """
    try:
        made = _reader(root, columns or {})
    except ValueError as error:
        raise UserError(f"site '{site}': {root}: {error}") from None
    return make_source(made, root, site, people, leads)


def reader(root: Path, columns: Mapping[str, str] | None = None) -> Reader:
    """Return how this one folder is read, its table taken in; see `open_folder`.

    Raises
    ------
    UserError
        If the folder or its table has to be mended first.
    """
    try:
        return _reader(root, columns or {})
    except ValueError as error:
        raise UserError(f"{root}: {error}") from None


def _reader(root: Path, columns: Mapping[str, str]) -> Reader:
    if not root.is_dir():
        raise ValueError(f"no such folder; give the one that holds the recordings and {TABLE}")
    read = table.read(root, columns)
    same = table_people.aliases(read.rows)
    entries = _entries(root, read, same)
    return Reader(
        name=NAME,
        index=lambda _root: list(entries),
        files=_files,
        decode=_decode,
        modules=MODULES,
        beats=_beats,
        aliases=same,
        tasks=tuple(task for column, task in TASK_COLUMNS.items() if column in read.columns),
        notes=_notes(read, recordings(root), entries),
        locate=locate,
        libraries=("wfdb", "edfio", "numpy"),
    )


def _entries(root: Path, read: Table, same: Mapping[str, str]) -> tuple[FolderEntry, ...]:
    """Return the table's records, sorted by person, session and name."""
    sessions = table_people.sessions(read.rows, same)
    disputed = table_people.disputed(read.rows, sessions, same)
    dated = any(row.session is not None or row.day is not None for row in read.rows)
    undated = {row.participant for row in read.rows} - {
        row.participant for row in read.rows if row.session is not None or row.day is not None
    }
    entries = []
    for row, session in zip(read.rows, sessions, strict=True):
        entry = _entry(root, row, session)
        if dated and row.participant in undated and entry.skip is None:
            entry = replace(entry, notes=(*entry.notes, table_people.NO_SESSION))
        if row.participant in disputed:
            entry = replace(entry, age=None, notes=(*entry.notes, TWO_AGES))
        entries.append(entry)
    return tuple(sorted(entries, key=lambda e: (natural(e.participant), e.session, natural(e.record))))


def _entry(root: Path, row: Row, session: int | None) -> FolderEntry:
    record, skip = row.record, None
    kind: Kind = "wfdb"
    files: tuple[str, ...] = ()
    try:
        if session is None:
            raise UnsafeRecord(table_people.SESSION_UNKNOWN)
        name = named(row.record)
        record, kind = name.record, name.kind
        if row.beats is not None and kind != "wfdb":
            raise UnsafeRecord("record: annotation files are read beside WFDB records only")
        files = _existing(root, row, name.file, kind)
    except UnsafeRecord as error:
        skip = str(error)
    return FolderEntry(
        participant=row.participant,
        session=session or 1,
        record=record,
        age=row.age,
        sex=row.sex,
        diagnosis=row.diagnosis,
        skip=skip,
        notes=row.notes,
        kind=kind,
        files=files,
        annotations=row.beats,
        stated=row.stated,
    )


def _existing(root: Path, row: Row, file: str, kind: Kind) -> tuple[str, ...]:
    """Return all files of a record; `UnsafeRecord` if one is missing or not ours to open."""
    files = [file]
    if kind == "wfdb":
        folder, name = _split(root, file.removesuffix(".hea"))
        header = wfdb_files.read_header(folder, name)
        below = file.rpartition("/")[0]
        files += [
            f"{below}/{part}" if below else part for part in dict.fromkeys(c.file for c in header.channels)
        ]
        if row.beats is not None:
            files.append(f"{file.removesuffix('.hea')}.{row.beats}")
    for part in files:
        locate(root, part)
    return tuple(files)


def _split(root: Path, record: str) -> tuple[Path, str]:
    """Return a WFDB record's folder and name: folders may have names that WFDB records can't."""
    header = locate(root, f"{record}.hea")
    return header.parent, header.stem


def _files(entry: FolderEntry) -> tuple[str, ...]:
    return entry.files


def _decode(root: Path, entry: FolderEntry, leads: LeadChoice) -> Decoded:
    if entry.kind == "edf":
        return edf_files.decode(root, entry.record, entry.stated, leads)
    if entry.kind == "csv":
        return csv_files.decode(root, entry.record, entry.stated, leads)
    folder, name = _split(root, entry.record)
    header = wfdb_files.read_header(folder, name)
    labels, units = zip(*((channel.lead, channel.units) for channel in header.channels), strict=True)
    index, lead, _ = choose(entry.stated, labels, units, leads)
    fs_hz = agreed_rate(entry.stated, header.fs_hz)
    return replace(wfdb_files.decoded(header, index, lead), fs_hz=fs_hz)


def _beats(root: Path, entry: FolderEntry) -> Labels:
    if entry.annotations is None:
        return Labels()
    folder, name = _split(root, entry.record)
    return mitdb.beats(*wfdb_files.read_annotations(folder, name, entry.annotations))


def _notes(read: Table, found: Listing, entries: tuple[FolderEntry, ...]) -> tuple[tuple[str, str], ...]:
    """Return what is odd about the folder: its table, and files that no row names."""
    notes = [*read.notes, *found.notes]
    if not any(row.session is not None or row.day is not None for row in read.rows):
        notes.append((TABLE, NO_SESSIONS))
    notes += [(shown(record), NO_PARTICIPANT) for record in read.unassigned]
    listed = {record_key(row.record) for row in read.rows} | {record_key(text) for text in read.unassigned}
    notes += [(shown(record), UNLISTED) for record in found.records if record not in listed]
    used = {file for entry in entries for file in entry.files}
    notes += [(shown(file), LOOSE) for file in found.loose if file not in used]
    return tuple(notes)
