"""Which folders are sites, and by which reader: told by their layout, the same for a run and for ``transecg inspect``."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from transecg_core.cohorts.listing import MAX_FILES, TABLE, quoted, recordings

FOLDER = "folder"
"""The reader of an institution's own folder."""
MARKS: Mapping[str, tuple[str, ...]] = {
    "ecgiddb": ("Person_[0-9][0-9]/rec_[0-9]*.hea",),
    "ludb": ("data/[0-9]*.hea", "data/[0-9]*.avf"),
    "mitdb": ("[12][0-9][0-9].hea", "[12][0-9][0-9].atr"),
    "ptbxl": ("ptbxl_database.csv",),
    "qtdb": ("sel[0-9e]*.hea",),
}
"""Reader -> patterns of files that its dataset has and the others don't; all must be there."""
_START = 65_536
"""Bytes of a CSV file that are looked at."""


def reader_of(folder: Path) -> str | None:
    """Return the reader that fits `folder`: ``folder`` for a table of participants; None if not one fits."""
    if os.path.isfile(folder / TABLE):  # False, not an exception, for what may not be entered
        return FOLDER
    fits = [
        name for name, marks in MARKS.items() if all(next(folder.glob(m), None) is not None for m in marks)
    ]
    return fits[0] if len(fits) == 1 else None


def sites_in(root: Path) -> dict[str, str]:
    """Return the sub-folders that a reader fits: name -> reader, sorted."""
    found = {below.name: reader_of(below) for below in _below(root)}
    return {name: reader for name, reader in found.items() if reader is not None}


def left_out(root: Path) -> dict[str, tuple[str, str]]:
    """Return the sub-folders with recordings that are no sites of ``cohort=folder``: name -> what is wrong, remedy.

    Not even a public dataset is taken unasked: an institution's records may be named as they are there, and then
    the wrong people would be told apart. Folders without a recording and hidden ones are nothing.
    """
    found = {}
    for below in _below(root):
        reader, name = reader_of(below), quoted(below.name)
        if reader is None and (held := _held(below)):
            found[below.name] = (
                f"{name} holds {held} and no {TABLE}",
                f"transecg init-data {shlex.quote(str(below))} writes one; or choose with sites=",
            )
        elif reader not in (None, FOLDER):
            found[below.name] = (
                f"{name} is a public dataset ({reader}'s layout) without {TABLE}",
                f'declare it in a sites file (reader = "{reader}"), or choose with sites=',
            )
    return found


def refusal(left: Mapping[str, tuple[str, str]]) -> str:
    """Return in one line what `left_out` found."""
    (what, remedy), *others = left.values()
    likewise = f" (and so for {', '.join(map(quoted, list(left)[1:4]))}{' ...' * (len(left) > 4)})"
    return f"{what}: {remedy}{likewise * bool(others)}"


def _below(root: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return []
    return [root / name for name in names if not name.startswith(".") and os.path.isdir(root / name)]


def _held(folder: Path) -> str:
    """Return how many recordings are below `folder`, in words; nothing if there are none."""
    try:
        found = recordings(folder).records
    except ValueError:
        return f"over {MAX_FILES} files"
    count = sum(_of_numbers(folder / name) for name in found)
    return f"{count} recording{'s' * (count != 1)}" if count else ""


def _of_numbers(path: Path) -> bool:
    """Return whether a recording looks like one: of a CSV the second line is numbers, of others the name decides."""
    if path.suffix.lower() != ".csv":
        return True
    try:
        if not path.is_file():
            return False
        with path.open("rb") as handle:
            lines = handle.read(_START).splitlines()
        for cell in re.split(rb"[,;\t]", lines[1]):
            float(cell)
    except (OSError, ValueError, IndexError):
        return False
    return True
