"""Reading EDF and EDF+C files we did not make (https://www.edfplus.info/specs).

The edfio package decodes, but it trusts what a header says and mends what it finds. So every
header is read and checked here first: printable, bounded counts, as many bytes as it claims, no
gaps (EDF+D). The format demands ASCII, but names with umlauts and the sign of micro are common:
they are read as Latin-1 and noted. What the header says of patient and hospital is not looked at.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transecg_core.cohorts.channels import MAX_SAMPLES, Stated, agreed_rate, checked, choose, in_millivolts
from transecg_core.cohorts.leads import Decoded, LeadChoice, UnsafeRecord
from transecg_core.cohorts.listing import locate

FIXED = 256
"""Bytes of the header's fixed part, and of each signal's part."""
PERSONAL = slice(8, 168)
"""Bytes of the fixed part that say who was recorded, and where: whatever stands there decides nothing."""
MAX_SIGNALS = 256
MAX_RECORD_S = 86_400.0
MAX_PHYSICAL = 1e9
ANNOTATIONS = "EDF Annotations"
NOT_ASCII = "record kept: EDF header is not plain ASCII, read as Latin-1"
_MICRO = re.compile("\u00c2?\u00b5|\u00ce\u00bc")
"""The sign of micro in Latin-1, or it and the Greek letter in UTF-8, read as Latin-1."""
WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""Label, transducer, dimension, physical min and max, digital min and max, filter, samples, reserved."""

_INTEGER = re.compile(r"[+-]?\d{1,8}")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")


@dataclass(frozen=True)
class Signal:
    """One ordinary signal; ``index`` counts the file's signals without annotations."""

    index: int
    label: str
    units: str
    fs_hz: float
    physical: tuple[str, str]
    digital: tuple[str, str]


@dataclass(frozen=True)
class EdfHeader:
    """A header that passed every check."""

    path: Path
    records: int
    record_s: float
    signals: tuple[Signal, ...]
    notes: tuple[str, ...] = ()


def read_header(root: Path, file: str) -> EdfHeader:
    """Read and check a header.

    Parameters
    ----------
    root
        The site's folder; nothing outside it is opened.
    file
        Path of the file below `root`.

    Raises
    ------
    UnsafeRecord
        If anything in it is not what the format allows; see the module's docstring.
    """
    path = locate(root, file)
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            raw = handle.read(FIXED)
            fixed = _text(raw[: PERSONAL.start] + b" " * len(raw[PERSONAL]) + raw[PERSONAL.stop :], FIXED)
            count = _count(fixed)
            signals = _text(handle.read(FIXED * count), FIXED * count)
    except OSError:
        raise UnsafeRecord("record: file can't be opened") from None
    records, record_s = _extent(fixed)
    columns = _columns(signals, count)
    samples = [_integer(text, "samples per data record") for text in columns[8]]
    if min(samples) < 1:
        raise UnsafeRecord("record: EDF samples per data record is out of bounds")
    if size != FIXED * (count + 1) + 2 * records * sum(samples):
        raise UnsafeRecord("record: EDF file is not as long as its header says")
    notes = () if fixed.isascii() and signals.isascii() else (NOT_ASCII,)
    return EdfHeader(path, records, record_s, _signals(columns, samples, record_s), notes)


def _text(raw: bytes, length: int) -> str:
    if len(raw) < length:
        raise UnsafeRecord("record: EDF header is cut off")
    # From 128 on: umlauts, in whatever encoding. UTF-8's second bytes are Latin-1's control characters.
    if any(byte < 32 or byte == 127 for byte in raw):
        raise UnsafeRecord("record: EDF header is not printable text")
    return raw.decode("latin-1")


def _count(fixed: str) -> int:
    """Return the number of signals, after a look at the fields that say what kind of file this is."""
    if fixed[:8].strip() != "0":
        raise UnsafeRecord("record: not an EDF file")
    if fixed[192:197] == "EDF+D":
        raise UnsafeRecord("record: EDF+D, a recording with gaps; export it as EDF+C in pieces")
    count = _integer(fixed[252:256], "number of signals")
    if not 1 <= count <= MAX_SIGNALS:
        raise UnsafeRecord("record: EDF number of signals is out of bounds")
    if _integer(fixed[184:192], "header length") != FIXED * (count + 1):
        raise UnsafeRecord("record: EDF header length does not fit its signals")
    return count


def _extent(fixed: str) -> tuple[int, float]:
    """Return the number of data records and the duration of one in seconds."""
    records = _integer(fixed[236:244], "number of data records")
    duration = _number(fixed[244:252], "data record duration")
    if records < 1 or not 0 < duration <= MAX_RECORD_S:
        raise UnsafeRecord("record: EDF number or duration of data records is out of bounds")
    return records, duration


def _columns(text: str, count: int) -> list[list[str]]:
    """Return the signals' fields, one list per kind of field."""
    columns, start = [], 0
    for width in WIDTHS:
        # Not lstrip: " EDF Annotations" is an ordinary signal to edfio, and must be counted as one here.
        columns.append([text[start + k * width : start + (k + 1) * width].rstrip() for k in range(count)])
        start += width * count
    return columns


def _signals(columns: list[list[str]], samples: list[int], record_s: float) -> tuple[Signal, ...]:
    ordinary = [k for k, label in enumerate(columns[0]) if label != ANNOTATIONS]
    return tuple(
        Signal(
            index=index,
            label=columns[0][k].strip(),
            units=_MICRO.sub("u", columns[2][k].strip()),
            fs_hz=samples[k] / record_s,
            physical=(columns[3][k], columns[4][k]),
            digital=(columns[5][k], columns[6][k]),
        )
        for index, k in enumerate(ordinary)
    )


def decode(root: Path, file: str, stated: Stated, leads: LeadChoice) -> Decoded:
    """Return one lead of an EDF file.

    Raises
    ------
    UnsafeRecord
        If its header or its signal is not acceptable, or contradicts the table.
    """
    header = read_header(root, file)
    index, lead, units = choose(
        stated,
        [signal.label for signal in header.signals],
        [signal.units for signal in header.signals],
        leads,
    )
    signal = header.signals[index]
    fs_hz = agreed_rate(stated, signal.fs_hz)
    _check_scale(signal)
    if signal.fs_hz * header.record_s * header.records > MAX_SAMPLES:
        raise UnsafeRecord(f"record: longer than {MAX_SAMPLES} samples")
    return Decoded(fs_hz, lead, checked(in_millivolts(_samples(header, signal), units)), header.notes)


def _samples(header: EdfHeader, signal: Signal) -> np.ndarray:
    """Return a signal's samples in its own unit, shape (T,)."""
    # Needed only when windows don't come from the cache.
    from edfio import read_edf

    try:
        signals = read_edf(header.path, lazy_load_data=True, header_encoding="latin-1").signals
        agreed = [other.label.strip() for other in signals] == [other.label for other in header.signals]
        x_T = signals[signal.index].data if agreed else None
    except (ValueError, OSError) as error:
        raise UnsafeRecord(f"record: signal can't be decoded ({type(error).__name__})") from None
    if x_T is None:
        raise UnsafeRecord("record: EDF signals can't be told apart")
    return x_T


def _check_scale(signal: Signal) -> None:
    low, high = (_number(text, "physical range") for text in signal.physical)
    bottom, top = (_integer(text, "digital range") for text in signal.digital)
    if not -32768 <= bottom < top <= 32767:
        raise UnsafeRecord("record: EDF digital range is out of bounds")
    if low == high or max(abs(low), abs(high)) > MAX_PHYSICAL:
        raise UnsafeRecord("record: EDF physical range is out of bounds")


def _integer(text: str, what: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise UnsafeRecord(f"record: EDF {what} is not a number")
    return int(text)


def _number(text: str, what: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    if not math.isfinite(value):
        raise UnsafeRecord(f"record: EDF {what} is not a number")
    return value
