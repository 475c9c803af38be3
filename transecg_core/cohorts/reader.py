"""What the readers of real datasets share: an index of records, and a source made from it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from transecg_core.cohorts import condition, wfdb_files
from transecg_core.cohorts.fingerprint import DUPLICATE, fingerprint
from transecg_core.cohorts.leads import EVERY_LEAD, Decoded, LeadChoice, UnsafeRecord
from transecg_core.cohorts.listing import shown
from transecg_core.cohorts.paths import below
from transecg_core.cohorts.people import OLDEST as OLDEST
from transecg_core.cohorts.people import agreed
from transecg_core.cohorts.people import parse_age as parse_age
from transecg_core.cohorts.people import parse_sex as parse_sex
from transecg_core.cohorts.schema import Diagnosis, Labels, Origin, Recording, Sex, SiteSource, SkipLog
from transecg_core.cohorts.wfdb_files import Header
from transecg_core.errors import NothingUsable, UserError


@dataclass(frozen=True)
class Entry:
    """One record as the dataset's index knows it, before its signal is read.

    ``record`` is the path below the dataset's folder without extension; ``skip``
    is the reason why it must not be used, if there is one. ``notes`` says what was odd and
    yet no such reason (``record kept: ...``, ``person: ...``). ``signals`` are its signal files as
    (person, SHA-256), known once the site is opened: of records that share one, one is used.
    """

    participant: str
    session: int
    record: str
    age: float | None = None
    sex: Sex | None = None
    diagnosis: Diagnosis | None = None
    skip: str | None = None
    notes: tuple[str, ...] = ()
    signals: tuple[tuple[str, str], ...] = ()


def _same_signal(signal_mv: np.ndarray, _fs_hz: float) -> tuple[np.ndarray, str | None]:
    return signal_mv, None


def _wfdb(root: Path, entry: Entry, leads: LeadChoice) -> Decoded:
    return wfdb_files.decode(root, entry.record, leads)


def _no_beats(_root: Path, _entry: Entry) -> Labels:
    return Labels()


@dataclass(frozen=True)
class Reader:
    """How one dataset, or one kind of folder, is read.

    Attributes
    ----------
    index
        Lists a folder's records, sorted.
    origin
        Of a public dataset.
    extensions
        Of the files read per record.
    files
        The files read per record, below the folder; None: the record's path with each extension.
    decode
        Returns one lead of a record; `UnsafeRecord` names why it can't.
    modules
        Further modules of this package that the recordings depend on.
    tables
        Further files below the folder whose content matters.
    beats
        Reads reference beats.
    mend
        Repairs known damage of a signal; returns it with a note, or with None.
    nearest_leads
        Spellings of its leads that are no standard ones -> the nearest standard lead.
    aliases
        Local participant id -> local id of the same person.
    elsewhere
        Local participant id -> canonical id of a person who is in another public dataset too, the
        same in both readers and whatever the sites are called: ``physionet:mitdb/100``. No
        site's name holds a colon, so no other person can have it.
    tasks
        Tasks that the dataset is published with labels for.
    notes
        What is odd about the folder itself: (what, note), beside the notes of its records.
    locate
        Finds a file below the folder; `UnsafeRecord` if it is none of ours.
    libraries
        Packages that decode the files.
    """

    name: str
    index: Callable[[Path], list[Entry]]
    origin: Origin | None = None
    extensions: tuple[str, ...] = ("hea", "dat")
    files: Callable[[Any], tuple[str, ...]] | None = None
    decode: Callable[[Path, Any, LeadChoice], Decoded] = _wfdb
    modules: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    beats: Callable[[Path, Any], Labels] = _no_beats
    mend: Callable[[np.ndarray, float], tuple[np.ndarray, str | None]] = _same_signal
    aliases: Mapping[str, str] = field(default_factory=dict)
    nearest_leads: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[str, ...] = ("sex", "age")
    notes: tuple[tuple[str, str], ...] = ()
    locate: Callable[[Path, str], Path] = wfdb_files.inside
    libraries: tuple[str, ...] = ("wfdb",)

    def files_of(self, root: Path, entry: Entry) -> tuple[str, ...]:
        """Return the files read for a record, below the dataset's folder."""
        if self.files is not None:
            return self.files(entry)
        own = tuple(f"{entry.record}.{extension}" for extension in self.extensions)
        # A header may name any file of its folder.
        return tuple(dict.fromkeys((*own, *wfdb_files.signal_files(root, entry.record))))


def natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key that puts ``rec_2`` before ``rec_10``."""
    return tuple(
        (0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", text) if part
    )


def records_in(root: Path, folder: str = "") -> list[str]:
    """Return a folder's records (below `root`, no extension): all that have a header, naturally sorted.

    Raises
    ------
    ValueError
        If the folder lies outside `root`: not even its names are read.
    """
    place = root / folder
    if not below(root, place):
        raise ValueError(f"{folder} lies outside the dataset's folder")
    names = [Path(name).stem for name in os.listdir(place) if name.endswith(".hea")] if place.is_dir() else []
    return [f"{folder}/{name}" if folder else name for name in sorted(names, key=natural)]


def header_or_skip(root: Path, record: str) -> tuple[Header | None, str | None]:
    """Return a record's header, or None and the reason why it can't be used."""
    try:
        return wfdb_files.read_header(root, record), None
    except UnsafeRecord as error:
        return None, str(error)


def make_source(
    reader: Reader, root: Path, site: str, people: int | None = None, leads: LeadChoice = EVERY_LEAD
) -> SiteSource:
    """Index a folder and return it as a site.

    Parameters
    ----------
    reader
        How to read it.
    root
        The dataset's folder.
    site
        The site's name.
    people
        Keep only this many persons: the first in the order of a hash of their ids,
        the same whatever the seed.
    leads
        Which lead to read.

    Raises
    ------
    UserError
        If the folder or a table is missing, or holds no record.
    """
    if not root.is_dir():
        raise UserError(f"site '{site}': no folder {root}; give the folder that holds its {reader.name} data")
    for table in reader.tables:
        if not (root / table).is_file():
            raise UserError(f"site '{site}': {root / table} is missing; copy the whole dataset there")
        if not below(root, root / table):
            raise UserError(f"site '{site}': {root / table} lies outside the folder; copy it there")
    leads = replace(leads, nearest=reader.nearest_leads)
    aliases = {local: f"{site}/{person}" for local, person in reader.aliases.items()} | dict(reader.elsewhere)

    def person(local: str) -> str:
        return reader.aliases.get(local, local)

    try:
        indexed = reader.index(root)
    except ValueError as error:
        raise UserError(f"site '{site}': {root}: {error}") from None
    except OSError as error:
        raise UserError(f"site '{site}': {root}: can't be read ({error.strerror})") from None
    entries = _capped(agreed(indexed, person), person, people)
    if not any(entry.skip is None for entry in entries):
        reasons = "; ".join(sorted({entry.skip for entry in entries if entry.skip})) or "no record found"
        skips = (*reader.notes, *((shown(entry.record), entry.skip) for entry in entries if entry.skip))
        raise NothingUsable(
            f"site '{site}': no usable record in {root} ({reasons}); {_expected(reader)}", skips
        )
    entries, digest = fingerprint(reader, root, entries, leads, person)

    def read(skips: SkipLog) -> Iterator[Recording]:
        return _read(reader, root, site, entries, leads, skips)

    roster = {person(entry.participant) for entry in entries}
    return SiteSource(site, "real", read, digest, len(roster), reader.tasks, aliases, reader.origin)


def _expected(reader: Reader) -> str:
    if reader.origin is None:
        return "'transecg inspect' says what to do about each"
    return f"is it {reader.origin.title}, with its folders as they were downloaded?"


def _capped(entries: list[Entry], person: Callable[[str], str], people: int | None) -> list[Entry]:
    if people is None:
        return entries
    usable = {person(entry.participant) for entry in entries if entry.skip is None}
    first = set(sorted(usable, key=lambda name: hashlib.sha256(name.encode()).digest())[:people])
    return [entry for entry in entries if person(entry.participant) in first]


def _read(
    reader: Reader, root: Path, site: str, entries: Iterable[Entry], leads: LeadChoice, skips: SkipLog
) -> Iterator[Recording]:
    for what, note in reader.notes:
        skips.add(what, note)
    used: set[tuple[str, str]] = set()
    for entry in entries:
        if (skip := entry.skip or (DUPLICATE if used.intersection(entry.signals) else None)) is not None:
            skips.add(shown(entry.record), skip)
            continue
        try:
            recording, notes = _recording(reader, root, site, entry, leads)
        except UnsafeRecord as error:
            skips.add(shown(entry.record), str(error))
            continue
        used.update(entry.signals)
        for note in (*entry.notes, *notes):
            skips.add(shown(entry.record), note)
        yield recording


def _recording(
    reader: Reader, root: Path, site: str, entry: Entry, leads: LeadChoice
) -> tuple[Recording, tuple[str, ...]]:
    decoded = reader.decode(root, entry, leads)
    signal_mv, mended = reader.mend(decoded.signal_mv, decoded.fs_hz)
    notes = (*decoded.notes, *(() if mended is None else (mended,)), *condition.judge(signal_mv))
    recording = Recording(
        site=site,
        participant=entry.participant,
        session=entry.session,
        record=entry.record,
        fs_hz=decoded.fs_hz,
        lead=decoded.lead,
        signal_mv=signal_mv,
        age=entry.age,
        sex=entry.sex,
        labels=replace(reader.beats(root, entry), diagnosis=entry.diagnosis),
    )
    return recording, notes
