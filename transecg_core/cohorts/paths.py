"""Files below a folder, and nothing else."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from transecg_core.cohorts.leads import UnsafeRecord

MAX_FILE_BYTES = 4 * 2**30

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def below(root: Path, path: Path) -> bool:
    """Return whether `path`, links followed, lies in the folder `root`."""
    try:
        home = os.path.realpath(root, strict=True)
        return os.path.commonpath([home, os.path.realpath(path, strict=True)]) == home
    except OSError:
        # Links in a circle, or a folder we may not enter.
        return False


def inside(root: Path, relative: str) -> Path:
    """Return the regular file `relative` below `root`, symbolic links followed.

    Raises
    ------
    UnsafeRecord
        If a part of the path is not a plain name, or the file is missing, special, outside `root`
        or enormous.
    """
    *folders, name = relative.split("/")
    stem = name.rpartition(".")[0]
    if not all(_PART.fullmatch(part) for part in (*folders, stem)) or not name.isascii():
        raise UnsafeRecord("record: name is not a plain local one")
    path = root.joinpath(*folders, name)
    kind = path.suffix or "a"
    try:
        status = os.stat(path)
    except PermissionError:
        raise UnsafeRecord(f"record: {kind} file can't be read") from None
    except OSError:
        raise UnsafeRecord(f"record: {kind} file missing") from None
    if not stat.S_ISREG(status.st_mode):
        raise UnsafeRecord(f"record: {kind} file missing")
    if not below(root, path):
        raise UnsafeRecord("record: file lies outside the dataset's folder")
    if status.st_size > MAX_FILE_BYTES:
        raise UnsafeRecord(f"record: {kind} file bigger than {MAX_FILE_BYTES / 2**30:g} GiB")
    return path
