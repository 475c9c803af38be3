"""Reading WFDB files we did not make.

The wfdb package does the decoding, but it trusts what a header says. So we read each
header ourselves first and hand wfdb only local records with one plain binary signal file
per channel, inside the dataset's folder, as long as the header claims.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transecg_core.cohorts.leads import EVERY_LEAD, MV_PER_UNIT, Decoded, LeadChoice, UnsafeRecord

MAX_HEADER_BYTES = 65_536
MAX_ANNOTATION_BYTES = 16_000_000
MAX_SIGNALS = 16
MAX_FS_HZ = 10_000.0
MAX_AMPLITUDE_MV = 20.0
"""A sample this far from the median is no ECG: the file is corrupt."""
BYTES_PER_SAMPLE = {"16": 2.0, "61": 2.0, "160": 2.0, "80": 1.0, "212": 1.5, "24": 3.0, "32": 4.0}
"""Accepted signal formats: fixed width, uncompressed."""

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SIGNAL_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.dat")
_EXTENSION = re.compile(r"[a-z][a-z0-9]{0,7}")
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/\S+)?")
_GAIN = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?:\(-?\d+\))?(?:/(\S+))?", re.IGNORECASE)


@dataclass(frozen=True)
class Channel:
    """One signal line of a header."""

    file: str
    units: str
    lead: str


@dataclass(frozen=True)
class Header:
    """A header that passed every check; ``path`` is the record's, without extension."""

    path: Path
    fs_hz: float
    samples: int
    channels: tuple[Channel, ...]
    comments: tuple[str, ...]

    def field(self, key: str) -> str | None:
        """Return the text after ``key:`` in the comments, None if absent or empty."""
        for line in self.comments:
            if line.lower().startswith(f"{key.lower()}:"):
                return line[len(key) + 1 :].strip() or None
        return None


def inside(root: Path, relative: str) -> Path:
    """Return the regular file `relative` below `root`, symbolic links followed.

    Raises
    ------
    UnsafeRecord
        If a part of the path is not a plain name, or the file is missing, special, or outside `root`.
    """
    *folders, name = relative.split("/")
    stem = name.rpartition(".")[0]
    if not all(_PART.fullmatch(part) for part in (*folders, stem)) or not name.isascii():
        raise UnsafeRecord("record: name is not a plain local one")
    path = root.joinpath(*folders, name)
    if not path.is_file():
        raise UnsafeRecord(f"record: {path.suffix or 'a'} file missing")
    if not path.resolve().is_relative_to(root.resolve()):
        raise UnsafeRecord("record: file lies outside the dataset's folder")
    return path


def read_header(root: Path, record: str) -> Header:
    """Read and check a header.

    Parameters
    ----------
    root
        The dataset's folder; nothing outside it is opened.
    record
        Path of the record below `root`, with forward slashes and without extension.

    Raises
    ------
    UnsafeRecord
        If anything in it is not what our cohorts use; see the module's docstring.
    """
    path = inside(root, f"{record}.hea")
    with path.open("rb") as handle:
        raw = handle.read(MAX_HEADER_BYTES + 1)
    if len(raw) > MAX_HEADER_BYTES:
        raise UnsafeRecord("record: header too long")
    lines = [line.strip() for line in raw.decode("utf-8", errors="replace").splitlines()]
    comments = tuple(line.lstrip("# ").strip() for line in lines if line.startswith("#"))
    plain = [line for line in lines if line and not line.startswith("#")]
    if not plain:
        raise UnsafeRecord("record: empty header")
    count, fs_hz, samples = _record_line(plain[0].split(), path.stem)
    if len(plain) != 1 + count:
        raise UnsafeRecord("record: header's signal count is wrong")
    channels = tuple(_signal_line(line) for line in plain[1:])
    formats = [line.split()[1] for line in plain[1:]]
    _check_sizes(root, record, channels, formats, samples)
    return Header(path.with_suffix(""), fs_hz, samples, channels, comments)


def _record_line(words: list[str], stem: str) -> tuple[int, float, int]:
    if len(words) < 4:
        raise UnsafeRecord("record: header lacks rate or length")
    rate = _RATE.fullmatch(words[2])
    if "/" in words[0] or words[0] != stem:
        raise UnsafeRecord("record: header names another or a multi-segment record")
    if not (words[1].isdecimal() and words[3].isdecimal() and rate):
        raise UnsafeRecord("record: header's first line is malformed")
    count, fs_hz, samples = int(words[1]), float(rate[1]), int(words[3])
    if not (1 <= count <= MAX_SIGNALS and 0 < fs_hz <= MAX_FS_HZ and samples >= 1):
        raise UnsafeRecord("record: header's signal count, rate or length is out of bounds")
    return count, fs_hz, samples


def _signal_line(line: str) -> Channel:
    words = line.split(maxsplit=8)
    if len(words) < 9:
        raise UnsafeRecord("record: a signal has no lead name")
    gain = _GAIN.fullmatch(words[2])
    if not _SIGNAL_FILE.fullmatch(words[0]):
        raise UnsafeRecord("record: signal file is not a plain local .dat file")
    if words[1] not in BYTES_PER_SAMPLE:
        raise UnsafeRecord("record: signal format not accepted")
    if gain is None:
        raise UnsafeRecord("record: gain is malformed")
    return Channel(file=words[0], units=gain[1] or "mV", lead=words[8].strip())


def _check_sizes(
    root: Path, record: str, channels: Iterable[Channel], formats: Iterable[str], samples: int
) -> None:
    folder = record.rpartition("/")[0]
    needed: Counter[str] = Counter()
    for channel, code in zip(channels, formats, strict=True):
        needed[channel.file] += int(samples * BYTES_PER_SAMPLE[code])
    for name, size in needed.items():
        if inside(root, f"{folder}/{name}" if folder else name).stat().st_size < size:
            raise UnsafeRecord("record: signal file shorter than its header says")


def choose_lead(header: Header, leads: LeadChoice = EVERY_LEAD) -> tuple[int, str]:
    """Return index and standard name of the lead to read; `UnsafeRecord` if there is none."""
    channels = header.channels
    return leads.pick([channel.lead for channel in channels], [channel.units for channel in channels])


def decode(root: Path, record: str, leads: LeadChoice) -> Decoded:
    """Return one lead of a record.

    Raises
    ------
    UnsafeRecord
        If its header or its signal is not acceptable.
    """
    header = read_header(root, record)
    channel, lead = choose_lead(header, leads)
    note = leads.note(header.channels[channel].lead)
    return Decoded(header.fs_hz, lead, read_signal(header, channel), () if note is None else (note,))


def read_signal(header: Header, channel: int) -> np.ndarray:
    """Return one channel in millivolts, float32, shape (T,).

    Raises
    ------
    UnsafeRecord
        If it can't be decoded, or holds samples no ECG has.
    """
    # Seconds to import, and not needed when windows come from the cache.
    import wfdb

    try:
        record = wfdb.rdrecord(str(header.path), channels=[channel])
    except (ValueError, IndexError, TypeError, OSError) as error:
        raise UnsafeRecord(f"record: signal can't be decoded ({type(error).__name__})") from None
    x_T = record.p_signal[:, 0] * MV_PER_UNIT[header.channels[channel].units]
    if not np.isfinite(x_T).all():
        raise UnsafeRecord("record: samples that are not numbers")
    if np.abs(x_T - np.median(x_T)).max() > MAX_AMPLITUDE_MV:
        raise UnsafeRecord(f"record: corrupt samples (beyond {MAX_AMPLITUDE_MV:g} mV)")
    return np.asarray(x_T, dtype=np.float32)


def read_annotations(root: Path, record: str, extension: str) -> tuple[np.ndarray, list[str]]:
    """Return sample positions (int64) and symbols of an annotation file.

    Raises
    ------
    UnsafeRecord
        If it is missing, too big, outside `root`, or can't be decoded.
    """
    import wfdb

    if not _EXTENSION.fullmatch(extension):
        raise UnsafeRecord("record: annotation extension is not a plain one")
    path = inside(root, f"{record}.{extension}")
    if path.stat().st_size > MAX_ANNOTATION_BYTES:
        raise UnsafeRecord("record: annotation file too long")
    try:
        notes = wfdb.rdann(str(path.with_suffix("")), extension)
    except (ValueError, IndexError, KeyError, TypeError, OSError) as error:
        raise UnsafeRecord(f"record: annotations can't be decoded ({type(error).__name__})") from None
    return np.asarray(notes.sample, dtype=np.int64), list(notes.symbol or [])
