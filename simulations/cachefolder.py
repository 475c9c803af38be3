"""What is in the window cache, and how it is emptied: only what is ours, and never through a link."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from transecg_core.errors import UserError
from transecg_core.signals.cache import (
    ARRAYS,
    CARD,
    DAMAGED,
    MANIFEST,
    META,
    PREFIX,
    SCRATCH,
    preprocessing_version,
    read,
    sweep,
)

FILES = frozenset({*(f"{name}.npy" for name in ARRAYS), META, MANIFEST, CARD})
_NAME = re.compile(rf"{PREFIX}[0-9a-f]{{32}}")


@dataclass(frozen=True)
class CacheEntry:
    """One entry.

    Attributes
    ----------
    size
        Bytes.
    used, built
        Seconds since 1970; 0: not known.
    useless
        Why no run of this code can use it, if so.
    """

    path: Path
    size: int
    used: float
    useless: str | None
    site: str = "?"
    kind: str = "?"
    participants: int = 0
    records: int = 0
    windows: int = 0
    built: float = 0.0


@dataclass(frozen=True)
class Freed:
    """What pruning removed, and what it wouldn't touch."""

    entries: int
    scratch: int
    size: int
    strange: tuple[str, ...]


def entries(root: Path) -> list[CacheEntry]:
    """Return the folder's entries, the least recently used first; nothing else in it is listed."""
    found = [_entry(path) for path in _candidates(root) if _ours(path)]
    return sorted(found, key=lambda entry: (entry.used, entry.path.name))


def strange(root: Path) -> tuple[str, ...]:
    """Return the names of what lies in the cache folder and isn't ours: it is never removed."""
    known = {path.name for path in _candidates(root) if _ours(path)}
    try:
        names = sorted(path.name for path in root.iterdir())
    except FileNotFoundError:
        return ()
    known |= {path.name for path in _pretrained(root, everything=True)}
    return tuple(name for name in names if name not in known and not name.startswith(SCRATCH))


def prune(
    root: Path, older_than_days: float | None = None, keep_gb: float | None = None, everything: bool = False
) -> Freed:
    """Remove entries and what killed writers left.

    Entries that are damaged, or made by other code than this, always go; starting weights of other
    code too. A run that has an entry open keeps it: the memory map stays valid.

    Parameters
    ----------
    root
        The cache folder.
    older_than_days
        Also those not used for so long.
    keep_gb
        Then, the least recently used first, until the rest fits.
    everything
        All.

    Raises
    ------
    UserError
        If an entry can't be removed.
    """
    found = entries(root)
    before = time.time() - (older_than_days or 0.0) * 86400
    doomed = [
        entry
        for entry in found
        if everything or entry.useless is not None or (older_than_days is not None and entry.used < before)
    ]
    if keep_gb is not None:
        rest = [entry for entry in found if entry not in doomed]
        over = sum(entry.size for entry in rest) - 1e9 * keep_gb
        for entry in rest:
            if over <= 0:
                break
            doomed.append(entry)
            over -= entry.size
    scratch = sweep(root)
    weights = _pretrained(root, everything)
    size = sum(entry.size for entry in doomed) + sum(path.stat().st_size for path in weights)
    _remove(root, [*(entry.path for entry in doomed), *weights])
    return Freed(len(doomed) + len(weights), scratch, size, strange(root))


def _pretrained(root: Path, everything: bool) -> list[Path]:
    """Return cached starting weights: those made by other code, or all."""
    from transecg_core.training.pretrain import cached_files  # torch takes seconds to import

    current, others = cached_files(root)
    return [*others, *(current if everything else ())]


def _remove(root: Path, paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            # Moved away whole first, so that no run finds half of it. It goes with the scratch folder's name:
            # if we are killed here, the next sweep removes it.
            aside = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=root))
            with contextlib.suppress(FileNotFoundError):
                path.rename(aside / path.name)
            shutil.rmtree(aside)
        except OSError as error:
            raise UserError(f"cache: can't remove {path} ({error.strerror})") from None


def _candidates(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"cache: can't read {root} ({error.strerror}); set TRANSECG_CACHE") from None


def _ours(path: Path) -> bool:
    """Say whether a folder is an entry: a real folder of plain files with our names."""
    if path.is_symlink() or not path.is_dir():
        return False
    inside = list(path.iterdir())
    return all(item.name in FILES and item.is_file() and not item.is_symlink() for item in inside)


def _entry(path: Path) -> CacheEntry:
    size = sum(item.stat().st_size for item in path.iterdir())
    used = path.stat().st_mtime
    try:
        manifest, _ = read(path)
        return CacheEntry(
            path,
            size,
            used,
            None if manifest["preprocessing"] == preprocessing_version() else "made by other code",
            str(manifest["site"]),
            str(manifest["kind"]),
            int(manifest["participants"]),
            int(manifest["records"]),
            int(manifest["windows"]),
            datetime.fromisoformat(manifest["built"]).timestamp(),
        )
    except DAMAGED:
        return CacheEntry(path, size, used, "damaged")
