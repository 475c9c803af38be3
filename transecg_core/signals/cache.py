"""Windows on disk, addressed by everything they depend on.

An entry is a folder named by a hash of the site's inputs, of the code that cuts
windows and of the libraries it uses: a change of any of them is another entry, so
nothing ever has to be invalidated. An entry is written beside its place and moved
there in one step, so that runs can share the cache and a killed writer leaves only a
scratch folder that nobody reads. An entry that is damaged counts as absent and is built again.

Beside the arrays lie ``meta.json`` (people and records: local), ``croissant.json`` (the dataset card)
and ``entry.json`` (what the entry is, and the sizes and checksums of its files, compared on every load).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from transecg_core.cohorts.schema import SiteSource
from transecg_core.errors import UserError
from transecg_core.signals import card
from transecg_core.signals.check import check
from transecg_core.signals.schema import RecordInfo, Skip, Windows
from transecg_core.signals.windows import MAX_PER_RECORD, build_windows

ARRAYS = tuple(field.name for field in fields(Windows) if field.name.endswith(("_N", "_NL", "_B")))
SHARED_MODULES = ("cohorts/schema.py", "seeds.py", "text.py")
"""What windows depend on outside this package and the source's fingerprint: codes, seeds, and how names are kept."""
LIBRARIES = ("numpy", "scipy", "sleepecg")
PREFIX, SCRATCH = "windows-", ".writing-"
DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError)
"""What reading an entry that isn't whole raises."""
META, MANIFEST, CARD = "meta.json", "entry.json", "croissant.json"
GRACE_S = 10.0
"""A scratch folder this young may belong to a writer that hasn't locked it yet."""


def default_dir() -> Path:
    """Return ``$TRANSECG_CACHE``, or ``~/.cache/transecg``."""
    return Path(os.environ.get("TRANSECG_CACHE") or Path.home() / ".cache" / "transecg").expanduser()


@cache
def preprocessing_version() -> str:
    """Return a hash of the code and libraries that turn recordings into windows.

    The code that makes recordings is in the source's fingerprint.
    """
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in _modules(package):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    for library in LIBRARIES:
        digest.update(f"{library}=={version(library)}\0".encode())
    return digest.hexdigest()


def _modules(package: Path) -> list[Path]:
    return [*sorted((package / "signals").glob("*.py")), *(package / module for module in SHARED_MODULES)]


def cached_windows(source: SiteSource, cache_dir: Path | None = None) -> Windows:
    """Return a site's windows, built once and memory-mapped read-only ever after.

    Parameters
    ----------
    source
        The site; its ``fingerprint`` must change whenever its recordings do.
    cache_dir
        Where entries live; default `default_dir`.

    Raises
    ------
    UserError
        If the site has no usable record, or the folder can't be written.
    """
    root = default_dir() if cache_dir is None else cache_dir
    key = f"{source.name}\0{source.fingerprint}\0{preprocessing_version()}\0{MAX_PER_RECORD}"
    entry = root / f"{PREFIX}{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    windows = load(entry)
    if windows is None:
        built = build_windows(source)
        _store(source, built, entry)
        windows = load(entry)
        if windows is None:
            # Somebody emptied the cache meanwhile: what was built is as good as what was stored.
            return built
    with contextlib.suppress(OSError):
        # When it was last used, for pruning. A read-only cache keeps no such record, and works.
        os.utime(entry)
    return windows


def load(entry: Path) -> Windows | None:
    """Return an entry's windows, or None if it isn't there or isn't whole (see `read`)."""
    try:
        return read(entry)[1]
    except DAMAGED:
        return None


def read(entry: Path) -> tuple[dict[str, Any], Windows]:
    """Return what an entry says it is, and its windows.

    Every file that is read is compared with its checksum, and every index and code must mean
    something: what leaves here can be used without a further look.

    Raises
    ------
    OSError, ValueError, KeyError, TypeError, EOFError, RecursionError
        (`DAMAGED`) If it isn't there, or isn't whole.
    """
    manifest: dict[str, Any] = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
    for name in (*(f"{array}.npy" for array in ARRAYS), META):
        # The size first: a thing that is no plain file has none.
        listed = manifest["files"][name]
        if (entry / name).stat().st_size != listed["bytes"] or _sha256(entry / name) != listed["sha256"]:
            raise ValueError(f"{name} has changed")
    meta = json.loads((entry / META).read_text(encoding="utf-8"))
    arrays = {name: np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
    windows = Windows(
        **arrays,
        participants=tuple(meta["participants"]),
        records=tuple(RecordInfo(**record) for record in meta["records"]),
        skips=tuple(Skip(**skip) for skip in meta["skips"]),
    )
    if (len(windows), len(windows.participants), len(windows.records)) != tuple(
        manifest[key] for key in ("windows", "participants", "records")
    ):
        raise ValueError("not as many as it says")
    check(windows)
    return manifest, windows


def _store(source: SiteSource, windows: Windows, entry: Path) -> None:
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        sweep(entry.parent)
        scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=entry.parent))
    except OSError as error:
        raise UserError(f"cache: can't write {entry.parent} ({error.strerror}); set TRANSECG_CACHE") from None
    try:
        with _locked(scratch):
            _write(source, windows, scratch)
            _flush(scratch.iterdir())
            _move(scratch, entry)
            _flush([entry.parent])
    except OSError as error:
        raise UserError(f"cache: can't write {entry.parent} ({error.strerror}); set TRANSECG_CACHE") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(source: SiteSource, windows: Windows, folder: Path) -> None:
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(windows, name), allow_pickle=False)
    meta = {
        "participants": windows.participants,
        "records": [asdict(record) for record in windows.records],
        "skips": [asdict(skip) for skip in windows.skips],
    }
    (folder / META).write_text(json.dumps(meta), encoding="utf-8")
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.iterdir())
    }
    built = datetime.now(UTC).isoformat(timespec="seconds")
    written = card.describe(source, windows, files, preprocessing_version(), built)
    (folder / CARD).write_text(json.dumps(written, indent=1, ensure_ascii=False), encoding="utf-8")
    manifest = {
        "site": source.name,
        "kind": source.kind,
        "participants": len(windows.participants),
        "records": len(windows.records),
        "windows": len(windows),
        "built": built,
        "preprocessing": preprocessing_version(),
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _flush(paths: Iterable[Path]) -> None:
    """Put contents on disk before the entry gets its name: a power cut leaves no half entry."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _move(scratch: Path, entry: Path) -> None:
    for more in (True, True, False):
        try:
            scratch.rename(entry)
            return
        except OSError:
            if load(entry) is not None:
                # Another run stored the same content first: its entry is as good as ours.
                return
            if not more:
                raise
        # What stands there is damaged. It moves away whole, so that nobody finds half of it. Another run that
        # mends the same entry may be doing so too, and put its own there before we do: hence the tries.
        aside = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=entry.parent))
        with contextlib.suppress(FileNotFoundError):
            entry.rename(aside / entry.name)
        shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Mark a scratch folder as in use; the system takes the mark away when this process ends, however."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            # Some network file systems can't lock a folder: there, left-over folders are never swept.
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def sweep(root: Path) -> int:
    """Remove the scratch folders of writers that are gone; return how many."""
    gone = [path for path in sorted(root.glob(f"{SCRATCH}*")) if _abandoned(path)]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return len(gone)


def _abandoned(scratch: Path) -> bool:
    try:
        handle = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        # Finished meanwhile, or no folder of ours.
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return time.time() - os.fstat(handle).st_mtime > GRACE_S
    except OSError:
        return False
    finally:
        os.close(handle)
