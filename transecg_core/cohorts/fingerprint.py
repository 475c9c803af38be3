"""What a site's recordings depend on, in one hash; and records that are copies of others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from transecg_core.cohorts.leads import LeadChoice, UnsafeRecord

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
    person's id is kept and noted: what one person contributes must never depend on another's data. The audit takes
    such ids for one person.
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
    here, names = Path(__file__).parent, (reader.name, *SHARED_MODULES, *reader.modules)
    modules = b"\0".join((here / f"{module}.py").read_bytes() for module in names)
    libraries = "\0".join(f"{library}=={version(library)}" for library in reader.libraries)
    return hashlib.sha256(f"{libraries}\0{reader.name}\0".encode() + modules).digest()


def _file_digest(reader: Reader, root: Path, relative: str) -> bytes:
    try:
        with reader.locate(root, relative).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").digest()
    except (UnsafeRecord, OSError):
        # Reading it will skip the record with this reason.
        return b""
