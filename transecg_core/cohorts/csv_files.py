"""Reading CSV files of samples: one column per lead, or one column without a header.

Only numbers are parsed; a file is read in blocks, and nothing in it decides how much is allocated.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from transecg_core.cohorts.channels import (
    MAX_SAMPLES,
    Stated,
    agreed_rate,
    checked,
    choose,
    in_millivolts,
)
from transecg_core.cohorts.leads import Decoded, LeadChoice, UnsafeRecord
from transecg_core.cohorts.listing import locate

MAX_BYTES = 1_000_000_000
BLOCK = 1 << 20
"""Bytes read at a time."""
MAX_LINE = 20_000
MAX_COLUMNS = 256
TIME = "time"
"""Name of the column of seconds, if there is one."""
MAX_JITTER_S = 1e-3
MAX_TIME_S = 1e12
TAIL, MAX_DECIMALS = 100, 12
"""Stamps from which it is told how many decimals they are printed with."""
SEPARATORS = (",", ";", "\t")
UNNAMED = "record: CSV without header; name its lead in the table"

_NUMBER = re.compile(
    r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*|\s*[+-]?(?:nan|inf(?:inity)?)\s*", re.I
)
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")


@dataclass(frozen=True)
class CsvHeader:
    """What the first line says; without a header there is one column, and its label is empty."""

    path: Path
    labels: tuple[str, ...]
    separator: str
    named: bool

    @property
    def channels(self) -> tuple[str, ...]:
        """Labels of the columns of samples."""
        return tuple(label for label in self.labels if not is_time(label))

    @property
    def time(self) -> int | None:
        """Index of the column of seconds."""
        return next((index for index, label in enumerate(self.labels) if is_time(label)), None)


def is_time(label: str) -> bool:
    """Return whether a column holds seconds."""
    return label.lower() == TIME


def read_header(root: Path, file: str) -> CsvHeader:
    """Read and check the first line.

    Raises
    ------
    UnsafeRecord
        If it is neither one column of numbers nor the columns' names.
    """
    path = locate(root, file)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnsafeRecord("record: CSV file too long")
        with path.open("rb") as handle:
            start = handle.read(BLOCK)
    except OSError:
        raise UnsafeRecord("record: file can't be opened") from None
    lines = start.removeprefix(b"\xef\xbb\xbf").splitlines()
    if not lines or not lines[0].strip():
        raise UnsafeRecord("record: empty CSV file")
    return _first_line(path, _text(lines[0]))


def _first_line(path: Path, line: str) -> CsvHeader:
    separator = max(SEPARATORS, key=line.count)
    try:
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator, strict=True))]
    except csv.Error:
        raise UnsafeRecord("record: CSV header is malformed") from None
    if len(cells) > MAX_COLUMNS:
        raise UnsafeRecord("record: CSV has too many columns")
    if not any(_NUMBER.fullmatch(cell) for cell in cells):
        if not all(cells):
            raise UnsafeRecord("record: CSV has a column without a name")
        if len({cell.lower() for cell in cells}) < len(cells):
            raise UnsafeRecord("record: CSV has two columns of one name")
        return CsvHeader(path, tuple(cells), separator, named=True)
    if len(cells) > 1:
        raise UnsafeRecord(
            "record: CSV has several columns and no header with their names, or decimal commas"
        )
    return CsvHeader(path, ("",), separator, named=False)


def decode(root: Path, file: str, stated: Stated, leads: LeadChoice) -> Decoded:
    """Return one lead of a CSV file.

    The sampling rate is the table's, or follows from the column ``time``; the unit is the table's.

    Raises
    ------
    UnsafeRecord
        If the file holds anything but numbers, has no rate or unit, or contradicts the table.
    """
    header = read_header(root, file)
    if not header.named and stated.lead is None:
        raise UnsafeRecord(UNNAMED)
    if stated.units is None:
        raise UnsafeRecord("record: CSV without units in the table")
    if stated.fs_hz is None and header.time is None:
        raise UnsafeRecord("record: CSV without fs-hz in the table or a column 'time'")
    channels = header.channels
    index, lead, units = choose(stated, channels, [""] * len(channels), leads)
    column = header.labels.index(channels[index])
    signal: list[np.ndarray] = [np.empty(0, dtype=np.float32)]
    time: list[np.ndarray] = []
    try:
        for block in _blocks(header, [column] if header.time is None else [column, header.time]):
            signal.append(in_millivolts(block[:, 0], units))
            time += [block[:, 1].copy()] if header.time is not None else []
    except OSError:
        raise UnsafeRecord("record: file can't be opened") from None
    signal_mv = checked(np.concatenate(signal))
    fs_hz = agreed_rate(stated, stated.fs_hz or 0.0) if header.time is None else _rate(stated, time)
    return Decoded(fs_hz, lead, signal_mv)


def _rate(stated: Stated, time: list[np.ndarray]) -> float:
    """Return the sampling rate in Hz from time stamps in seconds, given in pieces; the table's, if it agrees."""
    count, first, last = sum(part.size for part in time), time[0][0], time[-1][-1]
    if count < 2 or not all(np.abs(part).max() < MAX_TIME_S for part in time):
        raise UnsafeRecord("record: column 'time' gives no sampling rate")
    step = (last - first) / (count - 1)
    least, most = _steps(time)
    if step <= 0 or least < step / 2 or most > 1.5 * step:
        raise UnsafeRecord("record: column 'time' has gaps or goes back")
    start = 0
    for part in time:
        if np.abs(part - (first + step * np.arange(start, start + part.size))).max() > MAX_JITTER_S:
            raise UnsafeRecord("record: column 'time' is not uniform to 1 ms")
        start += part.size
    rate = agreed_rate(stated, 1.0 / float(step))
    whole = float(round(rate))
    # Stamps are rounded: what looks like 359.98 Hz may be 360 Hz, but then the last stamp is where 360 Hz has it.
    told_apart = whole == 0 or abs((count - 1) / whole - (last - first)) > _printed_s(time)
    return stated.fs_hz or (rate if told_apart else whole)


def _printed_s(time: list[np.ndarray]) -> float:
    """Return the unit of the last decimal that the last stamps are printed with, in seconds.

    Of many stamps one ends in another digit than 0; early ones may have more decimals, if digits are counted.
    """
    tail_T = np.concatenate(time[-2:])[-TAIL:]
    rounding_s = 4 * np.finfo(np.float64).eps * np.abs(tail_T).max()
    for decimals in range(MAX_DECIMALS):
        if (np.abs(tail_T - np.round(tail_T, decimals)) <= rounding_s).all():
            return float(10.0**-decimals + rounding_s)
    return float(10.0**-MAX_DECIMALS + rounding_s)


def _steps(time: list[np.ndarray]) -> tuple[float, float]:
    """Return the least and the greatest step between stamps, also from piece to piece."""
    ends = [float(after[0] - before[-1]) for before, after in pairwise(time)]
    within = [np.diff(part) for part in time if part.size > 1]
    least, most = [float(part.min()) for part in within], [float(part.max()) for part in within]
    return min(ends + least), max(ends + most)


def _blocks(header: CsvHeader, columns: list[int]) -> Iterator[np.ndarray]:
    """Yield the wanted columns, shape (rows, len(columns)), block by block."""
    total, blank = 0, False
    for lines in _lines(header):
        filled = len(lines)
        while filled and not lines[filled - 1].strip():
            filled -= 1
        if blank and filled:
            raise UnsafeRecord("record: blank line among the samples")
        blank = blank or filled < len(lines)
        if filled:
            total += filled
            if total > MAX_SAMPLES:
                raise UnsafeRecord(f"record: longer than {MAX_SAMPLES} samples")
            yield _numbers(header, lines[:filled], columns)


def _lines(header: CsvHeader) -> Iterator[list[bytes]]:
    """Yield the lines after the header, without their ends, a block at a time."""
    first = True
    with header.path.open("rb") as handle:
        rest = handle.read(3).removeprefix(b"\xef\xbb\xbf")
        while block := handle.read(BLOCK):
            block = rest + block
            end = block.rfind(b"\n") + 1
            if end == 0 and len(block) >= BLOCK:
                raise UnsafeRecord("record: a CSV line is too long")
            lines, rest = block[:end].splitlines(), block[end:]
            if max(map(len, lines), default=0) > MAX_LINE:
                raise UnsafeRecord("record: a CSV line is too long")
            yield lines[1:] if first and header.named and lines else lines
            first = first and not lines
    lines = rest.splitlines()
    yield lines[1:] if first and header.named else lines


def _numbers(header: CsvHeader, lines: list[bytes], columns: list[int]) -> np.ndarray:
    width, separator = len(header.labels) - 1, header.separator.encode()
    texts = [_text(line) for line in lines]
    if any(line.count(separator) != width for line in lines) or not all(line.strip() for line in lines):
        raise UnsafeRecord(_why(header, texts))
    try:
        return np.loadtxt(
            texts, delimiter=header.separator, usecols=columns, comments=None, ndmin=2, dtype=np.float64
        )
    except ValueError:
        raise UnsafeRecord(_why(header, texts)) from None


def _why(header: CsvHeader, lines: list[str]) -> str:
    """Return the reason why lines are not numbers in as many columns as the header has."""
    for line in lines:
        cells = line.split(header.separator)
        if not line.strip():
            return "record: blank line among the samples"
        if any(_DECIMAL_COMMA.fullmatch(cell) for cell in ([line] if len(header.labels) == 1 else cells)):
            return "record: decimal comma; write numbers with a point"
        if len(cells) != len(header.labels):
            return "record: CSV rows of different lengths"
        if not all(cell.strip() for cell in cells):
            return "record: blank cell among the samples"
    return "record: samples that are not numbers"


def _text(line: bytes) -> str:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise UnsafeRecord("record: CSV is not plain text") from None
    if "\0" in text:
        raise UnsafeRecord("record: CSV is not plain text")
    return text
