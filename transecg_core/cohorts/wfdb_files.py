"""Reading WFDB files we did not make.

The wfdb package does the decoding, but it trusts what a header says and goes where it points. So we
read each header ourselves, check it against the files, open only local files inside the dataset's
folder, and hand wfdb nothing but bytes that are really there.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from transecg_core.cohorts import wfdb_headers
from transecg_core.cohorts.leads import EVERY_LEAD, MV_PER_UNIT, Decoded, LeadChoice, UnsafeRecord
from transecg_core.cohorts.paths import MAX_FILE_BYTES as MAX_FILE_BYTES
from transecg_core.cohorts.paths import inside as inside
from transecg_core.cohorts.wfdb_headers import BYTES_PER_SAMPLE, Channel
from transecg_core.cohorts.wfdb_headers import MAX_FS_HZ as MAX_FS_HZ

MAX_HEADER_BYTES = 65_536
MAX_ANNOTATION_BYTES = 2_000_000
MAX_AMPLITUDE_MV = 20.0
"""A sample this far from the median is no ECG: the file is corrupt."""
BLOCK = 2**16
"""Samples per signal decoded at a time: a record takes the memory of the one lead that is read. Even,
because format 212 packs samples in pairs."""
MATLAB_TYPE = {"16": 30, "32": 20}
"""Type word of a MATLAB 4 matrix, by signal format; WFDB knows no other .mat file."""
LONGER = "record kept: signal file longer than its header says"
CHECKSUM = "record kept: checksum differs from its header"

_EXTENSION = re.compile(r"[a-z][a-z0-9]{0,7}")


@dataclass(frozen=True)
class Header:
    """A header that passed every check; ``path`` is the record's, without extension."""

    path: Path
    fs_hz: float
    samples: int
    channels: tuple[Channel, ...]
    comments: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def field(self, key: str) -> str | None:
        """Return the text after ``key:`` in the comments, None if absent or empty."""
        for line in self.comments:
            if line.lower().startswith(f"{key.lower()}:"):
                return line[len(key) + 1 :].strip() or None
        return None


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
        If anything in it is not what our cohorts use (see `wfdb_headers`), or a signal file is missing,
        outside `root`, or shorter than the header says.
    """
    path = inside(root, f"{record}.hea")
    text = wfdb_headers.parse(_head(path, MAX_HEADER_BYTES), path.stem)
    notes = _check_files(root, record, text.channels, text.samples)
    return Header(path.with_suffix(""), text.fs_hz, text.samples, text.channels, text.comments, notes)


def signal_files(root: Path, record: str) -> tuple[str, ...]:
    """Return the signal files that a record's header names, below `root`; none if it can't be used."""
    try:
        header = read_header(root, record)
    except UnsafeRecord:
        # Reading it will skip the record with this reason.
        return ()
    names = dict.fromkeys(channel.file for channel in header.channels)
    return tuple(_sibling(record, name) for name in names)


def _sibling(record: str, name: str) -> str:
    folder = record.rpartition("/")[0]
    return f"{folder}/{name}" if folder else name


def _head(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as handle:
            raw = handle.read(limit + 1)
    except OSError:
        raise UnsafeRecord(f"record: {path.suffix} file can't be read") from None
    if len(raw) > limit:
        raise UnsafeRecord("record: header too long")
    return raw


def _check_files(root: Path, record: str, channels: Iterable[Channel], samples: int) -> tuple[str, ...]:
    """Return the notes on a record's signal files; `UnsafeRecord` if one can't hold what the header says."""
    together = Counter((channel.file, channel.fmt, channel.byte_offset) for channel in channels)
    notes: tuple[str, ...] = ()
    for (name, fmt, offset), count in together.items():
        path = inside(root, _sibling(record, name))
        frame = count * BYTES_PER_SAMPLE[fmt]
        size = path.stat().st_size
        if size < offset + math.ceil(samples * frame):
            raise UnsafeRecord("record: signal file shorter than its header says")
        if path.suffix == ".mat":
            _check_matlab(path, fmt, offset, count)
        if size >= offset + (samples + 1) * frame:
            notes = (LONGER,)
    return notes


def _check_matlab(path: Path, fmt: str, offset: int, signals: int) -> None:
    """Refuse a .mat file that isn't a MATLAB 4 matrix of one row per signal, as WFDB writes it."""
    with path.open("rb") as handle:
        kind, rows, _columns, imaginary, name = np.frombuffer(handle.read(20).ljust(20, b"\0"), dtype="<i4")
    if (kind, rows, imaginary, offset - 20) != (MATLAB_TYPE.get(fmt), signals, 0, name):
        raise UnsafeRecord("record: .mat file is not a MATLAB 4 matrix as WFDB writes it")


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
    index, lead = choose_lead(header, leads)
    return decoded(header, index, lead, leads.note(header.channels[index].lead))


def decoded(header: Header, index: int, lead: str, note: str | None = None) -> Decoded:
    """Return one channel of a record as `lead`; as `decode`."""
    channel = header.channels[index]
    digital_T = read_digital(header, index)
    said = (
        note,
        *header.notes,
        *channel.notes,
        CHECKSUM if channel.checksum not in (None, int(digital_T.sum()) % 65_536) else None,
    )
    return Decoded(header.fs_hz, lead, _physical(digital_T, channel), tuple(note for note in said if note))


def read_signal(header: Header, index: int) -> np.ndarray:
    """Return one channel in millivolts, float32, shape (T,).

    Raises
    ------
    UnsafeRecord
        If it can't be decoded, or holds samples no ECG has.
    """
    return _physical(read_digital(header, index), header.channels[index])


def _physical(digital_T: np.ndarray, channel: Channel) -> np.ndarray:
    from wfdb.io._signal import INVALID_SAMPLE_VALUE

    if (digital_T == INVALID_SAMPLE_VALUE[channel.fmt]).any():
        raise UnsafeRecord("record: samples that are not numbers")
    x_T = (digital_T - float(channel.baseline)) / channel.gain * MV_PER_UNIT[channel.units]
    if np.abs(x_T - np.median(x_T)).max() > MAX_AMPLITUDE_MV:
        raise UnsafeRecord(f"record: corrupt samples (beyond {MAX_AMPLITUDE_MV:g} mV)")
    return np.asarray(x_T, dtype=np.float32)


def read_digital(header: Header, index: int) -> np.ndarray:
    """Return one channel as its file holds it: ADC units, int64, shape (T,).

    Raises
    ------
    UnsafeRecord
        If the file can't be read or decoded.
    """
    channel = header.channels[index]
    together = [other for other in range(len(header.channels)) if header.channels[other].file == channel.file]
    place, path = together.index(index), header.path.parent / channel.file
    try:
        with path.open("rb") as handle:
            handle.seek(channel.byte_offset)
            blocks = [
                block_CT[place] for block_CT in _blocks(handle, channel.fmt, len(together), header.samples)
            ]
    except (ValueError, IndexError, TypeError, OSError) as error:
        raise UnsafeRecord(f"record: signal can't be decoded ({type(error).__name__})") from None
    return np.concatenate(blocks, dtype=np.int64)


def _blocks(handle: BinaryIO, fmt: str, signals: int, samples: int) -> Iterator[list[np.ndarray]]:
    """Yield all signals of a file, `BLOCK` samples of each at a time."""
    # Seconds to import, and not needed when windows come from the cache. The function is private and the
    # package pinned: the public one reads header and files by itself, wherever the header points. Tests
    # hold the two equal.
    from wfdb.io import _signal

    for start in range(0, samples, BLOCK):
        length = min(BLOCK, samples - start)
        raw = handle.read(_signal._required_byte_num("read", fmt, length * signals))
        yield _signal._rd_dat_signals(
            file_name=None,
            dir_name=None,
            pn_dir=None,
            fmt=fmt,
            n_sig=signals,
            sig_len=length,
            byte_offset=0,
            samps_per_frame=[1] * signals,
            skew=[0] * signals,
            init_value=[0] * signals,
            sampfrom=0,
            sampto=length,
            no_file=True,
            sig_data=np.frombuffer(raw, dtype=_signal.DATA_LOAD_TYPES[fmt]),
        )


def read_annotations(root: Path, record: str, extension: str) -> tuple[np.ndarray, list[str]]:
    """Return sample positions (int64) and symbols of an annotation file.

    Raises
    ------
    UnsafeRecord
        If it is missing, empty, too big, outside `root`, can't be decoded, or marks places that the record
        doesn't have.
    """
    import wfdb

    if not _EXTENSION.fullmatch(extension):
        raise UnsafeRecord("record: annotation extension is not a plain one")
    path = inside(root, f"{record}.{extension}")
    samples = read_header(root, record).samples
    if path.stat().st_size > MAX_ANNOTATION_BYTES:
        raise UnsafeRecord("record: annotation file too long")
    try:
        notes = wfdb.rdann(str(path.with_suffix("")), extension)
    except (ValueError, IndexError, KeyError, TypeError, OSError) as error:
        raise UnsafeRecord(f"record: annotations can't be decoded ({type(error).__name__})") from None
    sample_A = np.asarray(notes.sample, dtype=np.int64)
    if sample_A.size == 0:
        raise UnsafeRecord("record: annotation file empty")
    if sample_A[0] < 0 or sample_A[-1] >= samples or (np.diff(sample_A) < 0).any():
        raise UnsafeRecord("record: annotations outside the record or out of order")
    return sample_A, list(notes.symbol or [])
