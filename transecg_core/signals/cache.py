"""Windows on disk, addressed by everything they depend on.

An entry is a folder named by a hash of the site's inputs, of the code that cuts
windows and of the libraries it uses: a change of any of them is another entry, so
nothing ever has to be invalidated. An entry is written beside its place and moved
there in one step, so that runs can share the cache and a killed writer leaves only a
temporary folder that nobody reads.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from transecg_core.cohorts.schema import SiteSource
from transecg_core.errors import UserError
from transecg_core.signals.schema import RecordInfo, Skip, Windows
from transecg_core.signals.windows import MAX_PER_RECORD, build_windows

ARRAYS = tuple(field.name for field in fields(Windows) if field.name.endswith(("_N", "_NL", "_B")))
LIBRARIES = ("numpy", "scipy", "sleepecg", "neurokit2", "pandas")


def default_dir() -> Path:
    """Return ``$TRANSECG_CACHE``, or ``~/.cache/transecg``."""
    return Path(os.environ.get("TRANSECG_CACHE") or Path.home() / ".cache" / "transecg").expanduser()


@cache
def preprocessing_version() -> str:
    """Return a hash of the code and libraries that turn recordings into windows.

    The code that makes recordings is in the source's fingerprint.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    for library in LIBRARIES:
        digest.update(f"{library}=={version(library)}\0".encode())
    return digest.hexdigest()


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
    entry = root / f"windows-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    if not entry.is_dir():
        _store(build_windows(source), entry)
    return _load(entry)


def _store(windows: Windows, entry: Path) -> None:
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=entry.parent))
    except OSError as error:
        raise UserError(f"cache: can't write {entry.parent} ({error.strerror}); set TRANSECG_CACHE") from None
    try:
        for name in ARRAYS:
            np.save(scratch / f"{name}.npy", getattr(windows, name), allow_pickle=False)
        meta = {
            "participants": windows.participants,
            "records": [asdict(record) for record in windows.records],
            "skips": [asdict(skip) for skip in windows.skips],
        }
        (scratch / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
        _flush(path for path in scratch.iterdir())
        _move(scratch, entry)
    except OSError as error:
        raise UserError(f"cache: can't write {entry.parent} ({error.strerror}); set TRANSECG_CACHE") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _flush(paths: Iterable[Path]) -> None:
    """Put the files' contents on disk before the entry gets its name: a power cut leaves no half entry."""
    for path in paths:
        with path.open("rb") as handle:
            os.fsync(handle.fileno())


def _move(scratch: Path, entry: Path) -> None:
    try:
        scratch.rename(entry)
    except OSError:
        # Another run stored the same content first: its entry is as good as ours.
        if not entry.is_dir():
            raise


def _load(entry: Path) -> Windows:
    arrays = {name: np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
    meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
    return Windows(
        **arrays,
        participants=tuple(meta["participants"]),
        records=tuple(RecordInfo(**record) for record in meta["records"]),
        skips=tuple(Skip(**skip) for skip in meta["skips"]),
    )
