"""Which reader fits a folder, told by its layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from transecg_core.cohorts.listing import TABLE
from transecg_core.cohorts.sites_file import FOLDER

MARKS: Mapping[str, tuple[str, ...]] = {
    "ecgiddb": ("Person_[0-9][0-9]/rec_[0-9]*.hea",),
    "ludb": ("data/[0-9]*.hea", "data/[0-9]*.avf"),
    "mitdb": ("[12][0-9][0-9].hea", "[12][0-9][0-9].atr"),
    "ptbxl": ("ptbxl_database.csv",),
    "qtdb": ("sel[0-9e]*.hea",),
}
"""Reader -> patterns of files that its dataset has and the others don't; all must be there."""


def reader_of(folder: Path) -> str | None:
    """Return the reader that fits `folder`: ``folder`` for a table of participants; None if not one fits."""
    if (folder / TABLE).is_file():
        return FOLDER
    fits = [
        name for name, marks in MARKS.items() if all(next(folder.glob(m), None) is not None for m in marks)
    ]
    return fits[0] if len(fits) == 1 else None


def sites_in(folder: Path) -> dict[str, str]:
    """Return the sub-folders that a reader fits: name -> reader, sorted."""
    found = {below.name: reader_of(below) for below in sorted(folder.iterdir()) if below.is_dir()}
    return {name: reader for name, reader in found.items() if reader is not None}
