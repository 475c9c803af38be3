"""Which recordings an institution's folder holds, and which of its file names we open."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transecg_core.cohorts.leads import UnsafeRecord

Kind = Literal["wfdb", "edf", "csv"]

TABLE = "participants.csv"
WFDB_FILES = (".hea", ".dat", ".mat")
MAX_DEPTH = 8
MAX_FILES = 200_000

_PART = re.compile(r"(?!.*\.\.)[A-Za-z0-9_](?:[A-Za-z0-9 ._-]{0,98}[A-Za-z0-9_-])?")


@dataclass(frozen=True)
class Named:
    """A recording as a table names it.

    ``record`` is its one name: the path below the folder, without extension for WFDB. ``file`` is
    the file to open first.
    """

    kind: Kind
    record: str
    file: str


@dataclass(frozen=True)
class Listing:
    """What is in a folder, sorted.

    Attributes
    ----------
    records
        Recordings, as a table names them.
    loose
        ``.dat`` and ``.mat`` files without a header of their name.
    notes
        (folder, note) of what was not looked into.
    """

    records: tuple[str, ...]
    loose: tuple[str, ...]
    notes: tuple[tuple[str, str], ...]


def named(text: str) -> Named:
    """Return which recording `text` names; the file need not exist.

    Raises
    ------
    UnsafeRecord
        If it is not a plain path below the folder, or no kind of file that we read.
    """
    parts = text.split("/")
    if len(parts) > MAX_DEPTH or not all(_PART.fullmatch(part) for part in parts):
        raise UnsafeRecord("record: name is not a plain local one")
    stem, suffix = os.path.splitext(text)
    if suffix.lower() in (".edf", ".csv"):
        return Named("edf" if suffix.lower() == ".edf" else "csv", text, text)
    if suffix in WFDB_FILES:
        return Named("wfdb", stem, f"{stem}.hea")
    if suffix:
        raise UnsafeRecord("record: not a WFDB, EDF or CSV file")
    return Named("wfdb", text, f"{text}.hea")


def locate(root: Path, relative: str) -> Path:
    """Return the regular file `relative` below `root`, symbolic links followed.

    Raises
    ------
    UnsafeRecord
        If a part of the path is not a plain name (letters, digits, space, dot, dash, underscore; no
        leading dot), or the file is missing, special, unreadable, or outside `root`.
    """
    parts = relative.split("/")
    if len(parts) > MAX_DEPTH or not all(_PART.fullmatch(part) for part in parts):
        raise UnsafeRecord("record: name is not a plain local one")
    path = root.joinpath(*parts)
    try:
        present, contained = path.is_file(), path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        raise UnsafeRecord("record: file can't be opened") from None
    if not present:
        raise UnsafeRecord(f"record: {path.suffix.lower() or 'a'} file missing")
    if not contained:
        raise UnsafeRecord("record: file lies outside the folder")
    if not os.access(path, os.R_OK):
        raise UnsafeRecord("record: file can't be opened")
    return path


def recordings(root: Path) -> Listing:
    """Return every recording below `root`; hidden files and linked folders are not looked at.

    Raises
    ------
    ValueError
        If there are too many files.
    """
    records: list[str] = []
    loose: list[str] = []
    notes: list[tuple[str, str]] = []
    count = 0

    def unreadable(error: OSError) -> None:
        notes.append((shown(_below(root, str(error.filename)) or "."), "folder: can't be listed"))

    for folder, folders, files in os.walk(root, onerror=unreadable):
        below = _below(root, folder)
        depth = below.count("/") + 1 if below else 0
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if depth >= MAX_DEPTH - 1 and folders:
            notes.append((shown(below), "folder: nested too deep"))
            folders.clear()
        count += len(files)
        if count > MAX_FILES:
            raise ValueError(f"more than {MAX_FILES} files; give the folder of one site's recordings")
        _sort(below, files, records, loose)
    return Listing(tuple(sorted(records)), tuple(sorted(loose)), tuple(sorted(notes)))


def _below(root: Path, folder: str) -> str:
    relative = os.path.relpath(folder, root).replace(os.sep, "/")
    return "" if relative == "." else relative


def _sort(below: str, files: list[str], records: list[str], loose: list[str]) -> None:
    """Add a folder's files to the recordings, or to what has no header."""
    names = set(files)
    for name in files:
        stem, suffix = os.path.splitext(name)
        path = f"{below}/{name}" if below else name
        if name.startswith(".") or path == TABLE:
            continue
        if suffix.lower() in (".edf", ".csv"):
            records.append(path)
        elif suffix == ".hea":
            records.append(path.removesuffix(suffix))
        elif suffix in WFDB_FILES and f"{stem}.hea" not in names:
            loose.append(path)


def shown(text: str) -> str:
    """Return text that others wrote in a form that is safe to print and to paste: quoted unless plain."""
    plain = all(_PART.fullmatch(part) for part in text.split("/"))
    return text if plain and len(text) <= 200 else quoted(text)


def quoted(text: str) -> str:
    """Return text that others wrote as `shown` does, in quotes whatever is in it."""
    return repr(text[:80] + "..." * (len(text) > 80))  # letters of every alphabet stay; see text.escaped
