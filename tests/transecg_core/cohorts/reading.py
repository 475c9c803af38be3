"""What the tests of readers share."""

from __future__ import annotations

from pathlib import Path

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.schema import Recording, SkipLog


def read(reader: str, root: Path, people: int | None = None) -> tuple[list[Recording], dict[str, int]]:
    """Return a folder's recordings, and the counts of what was skipped or noted."""
    skips = SkipLog()
    recordings = list(open_reader(reader, root, reader, people).read(skips))
    return recordings, skips.counts()
