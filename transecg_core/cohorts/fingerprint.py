"""What a site's recordings depend on, in one hash; and records that are copies of others."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transecg_core.cohorts.leads import LeadChoice, UnsafeRecord
from transecg_core.errors import UserError

if TYPE_CHECKING:
    from transecg_core.cohorts.reader import Entry, Reader

DUPLICATE = "record: same signal file as another record"
SHARED = "record kept: same signal file as a record of somebody else"
SIGNAL_FILES = (".dat", ".mat", ".edf", ".csv")
SHARED_MODULES = (
    "reader",
    "leads",
    "listing",
    "paths",
    "wfdb_files",
    "wfdb_headers",
    "condition",
    "people",
    "fingerprint",
)


def fingerprint(
    reader: Reader, root: Path, entries: Iterable[Entry], leads: LeadChoice, person: Callable[[str], str]
) -> tuple[list[Entry], str]:
    """Hash all data and code a recording depends on, and name each record's signal files by content and `person`.

    A copy under the same `person` (of a local id) is skipped on reading, once another was used. A copy under another
    person's id is kept and noted: what one person contributes must never depend on another's data.
    The audit deals with them (`transecg_core.risk.duplicates`).
    """
    total = hashlib.sha256(_code_digest(reader))
    total.update(repr(reader.notes).encode())
    total.update(repr((leads.wanted, sorted(leads.names.items()), sorted(leads.nearest.items()))).encode())
    owners: dict[str, set[str]] = {}
    checked: list[Entry] = []
    for entry in entries:
        if entry.skip is None:
            own, signals = person(entry.participant), []
            for file in reader.files_of(root, entry):
                digest = _file_digest(reader, root, file)
                total.update(f"{file}\0".encode() + digest)
                if file.lower().endswith(SIGNAL_FILES) and digest:
                    signals.append((own, digest.hex()))
                    owners.setdefault(digest.hex(), set()).add(own)
            entry = replace(entry, signals=tuple(signals))
            if any(owners[digest] > {own} for _, digest in signals):
                entry = replace(entry, notes=(*entry.notes, SHARED))
        checked.append(entry)
        total.update(repr(entry).encode())
    return checked, total.hexdigest()


def _code_digest(reader: Reader) -> bytes:
    here, names = Path(__file__).parent, (*SHARED_MODULES, *reader.modules)
    modules = b"\0".join([*_own_code(reader), *((here / f"{module}.py").read_bytes() for module in names)])
    libraries = "\0".join(f"{library}=={version(library)}" for library in reader.libraries)
    return hashlib.sha256(f"{libraries}\0{reader.name}\0".encode() + modules).digest()


def _own_code(reader: Reader) -> list[bytes]:
    """Return the files that the reader's functions are defined in; a third party's lie outside this package."""
    functions = (reader.index, reader.decode, reader.beats, reader.mend, reader.files, reader.locate)
    return list(dict.fromkeys(_source(reader, function) for function in functions if function is not None))


def _source(reader: Reader, function: Callable[..., Any]) -> bytes:
    while isinstance(function, functools.partial):
        function = function.func
    known: Any = function if inspect.isroutine(function) else type(function)  # an object that can be called
    try:
        path = inspect.getsourcefile(known)
        if path is not None and Path(path).is_file():
            return Path(path).read_bytes()
        return inspect.getsource(known).encode()  # a notebook keeps its cells in memory
    except (OSError, TypeError):
        name = getattr(known, "__name__", known)
        raise UserError(
            f"reader '{reader.name}': {name} has no source file; write the reader to a .py file and import it: "
            "what was read is kept under its code"
        ) from None


def _file_digest(reader: Reader, root: Path, relative: str) -> bytes:
    try:
        with reader.locate(root, relative).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").digest()
    except (UnsafeRecord, OSError):
        # Reading it will skip the record with this reason.
        return b""
