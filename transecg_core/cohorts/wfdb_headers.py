"""The text of a WFDB header, read strictly.

Nobody else parses it: what is not understood here is refused, so no decoder ever sees a claim that
was not checked. The grammar is that of header(5) of the WFDB Applications Guide, less what ECG records of
our kind have no use for: several segments, several samples per frame, skew, signals without a name.
"""

from __future__ import annotations

import codecs
import math
import re
from dataclasses import dataclass

from transecg_core.cohorts.leads import UnsafeRecord

MAX_SIGNALS = 16
MAX_FS_HZ = 10_000.0
MAX_SAMPLES = 50_000_000
"""A day at 500 Hz is 43 million."""
GAIN_BOUNDS = (1e-3, 1e9)
DEFAULT_GAIN = 200.0
"""What header(5) says of a signal without a gain, or with gain 0."""
BYTES_PER_SAMPLE = {"16": 2.0, "61": 2.0, "160": 2.0, "80": 1.0, "212": 1.5, "24": 3.0, "32": 4.0}
"""Accepted signal formats: fixed width, uncompressed."""
ASSUMED_GAIN = "record kept: no gain in its header, 200 units per mV assumed"
INVERTED_GAIN = "record kept: negative gain, taken as it stands"

_SIGNAL_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.(dat|mat)")
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?)(?:/\S+)?")
_COUNT = re.compile(r"[0-9]{1,15}")
_INTEGER = re.compile(r"-?[0-9]{1,10}")
_FORMAT = re.compile(r"([0-9]{1,3})(?:x1)?(?:\+([0-9]{1,9}))?")
_GAIN = re.compile(
    r"(-?[0-9]{0,20}\.?[0-9]{0,20}(?:e[+-]?[0-9]{1,2})?)(?:\((-?[0-9]{1,10})\))?(?:/(\S+))?", re.IGNORECASE
)


@dataclass(frozen=True)
class Channel:
    """One signal line of a header.

    Attributes
    ----------
    fmt, byte_offset
        How and from which byte on the samples stand in ``file``.
    gain, baseline
        ADC units per physical unit, and the ADC value of 0.
    checksum
        Sum of all samples modulo 65536; None where the header states none (or 0, as some writers fill in).
    notes
        What had to be assumed.
    """

    file: str
    fmt: str
    byte_offset: int
    gain: float
    baseline: int
    units: str
    lead: str
    checksum: int | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeaderText:
    """What a header says, checked for itself but not yet against the files it names."""

    fs_hz: float
    samples: int
    channels: tuple[Channel, ...]
    comments: tuple[str, ...]


def parse(raw: bytes, stem: str) -> HeaderText:
    """Parse a header.

    Parameters
    ----------
    raw
        The file's content: UTF-8 with or without a byte-order mark, or else Latin-1, with any line ends.
    stem
        The record's name, which the header must repeat.

    Raises
    ------
    UnsafeRecord
        If anything in it is not what our cohorts use; see the module's docstring.
    """
    lines = [line.strip(" \t") for line in re.split(r"[\r\n]+", _text(raw))]
    comments = tuple(line.lstrip("# ").strip() for line in lines if line.startswith("#"))
    plain = [line for line in lines if line and not line.startswith("#")]
    if not all(line.replace("\t", " ").isprintable() for line in plain):
        raise UnsafeRecord("record: control characters in its header")
    if not plain:
        raise UnsafeRecord("record: empty header")
    count, fs_hz, samples = _record_line(plain[0].split(), stem)
    if len(plain) != 1 + count:
        raise UnsafeRecord("record: header's signal count is wrong")
    channels = tuple(_signal_line(line) for line in plain[1:])
    layouts = {(channel.file, channel.fmt, channel.byte_offset) for channel in channels}
    if len(layouts) != len({channel.file for channel in channels}):
        raise UnsafeRecord("record: signals of one file differ in format")
    return HeaderText(fs_hz, samples, channels, comments)


def _text(raw: bytes) -> str:
    try:
        return raw.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _record_line(words: list[str], stem: str) -> tuple[int, float, int]:
    if len(words) < 4:
        raise UnsafeRecord("record: header lacks rate or length")
    if "/" in words[0] or words[0] != stem:
        raise UnsafeRecord("record: header names another or a multi-segment record")
    rate = _RATE.fullmatch(words[2])
    if not (_COUNT.fullmatch(words[1]) and _COUNT.fullmatch(words[3]) and rate):
        raise UnsafeRecord("record: header's first line is malformed")
    count, fs_hz, samples = int(words[1]), float(rate[1]), int(words[3])
    if not (1 <= count <= MAX_SIGNALS and 0 < fs_hz <= MAX_FS_HZ and 1 <= samples <= MAX_SAMPLES):
        raise UnsafeRecord("record: header's signal count, rate or length is out of bounds")
    return count, fs_hz, samples


def _signal_line(line: str) -> Channel:
    words = line.split(maxsplit=8)
    if len(words) < 9:
        raise UnsafeRecord("record: a signal has no lead name")
    if not _SIGNAL_FILE.fullmatch(words[0]):
        raise UnsafeRecord("record: signal file is not a plain local .dat or .mat file")
    layout = _FORMAT.fullmatch(words[1])
    if layout is None or layout[1] not in BYTES_PER_SAMPLE:
        raise UnsafeRecord("record: signal format not accepted")
    if not all(_INTEGER.fullmatch(word) for word in words[3:8]):
        raise UnsafeRecord("record: a signal line is malformed")
    gain, baseline, units, notes = _gain(words[2], adc_zero=int(words[4]))
    return Channel(
        file=words[0],
        fmt=layout[1],
        byte_offset=int(layout[2] or 0),
        gain=gain,
        baseline=baseline,
        units=units,
        lead=words[8].strip(),
        checksum=int(words[6]) % 65_536 or None,
        notes=notes,
    )


def _gain(word: str, adc_zero: int) -> tuple[float, int, str, tuple[str, ...]]:
    """Return gain, baseline, units and notes of ``200``, ``200(1024)``, ``1716(6)/mV`` and the like."""
    match = _GAIN.fullmatch(word)
    try:
        gain = float(match[1]) if match is not None else math.nan
    except ValueError:
        gain = math.nan
    if match is None or math.isnan(gain):
        raise UnsafeRecord("record: gain is malformed")
    baseline = adc_zero if match[2] is None else int(match[2])
    if gain == 0:
        return DEFAULT_GAIN, baseline, match[3] or "mV", (ASSUMED_GAIN,)
    if not GAIN_BOUNDS[0] <= abs(gain) <= GAIN_BOUNDS[1]:
        raise UnsafeRecord("record: gain is out of bounds")
    return gain, baseline, match[3] or "mV", (INVERTED_GAIN,) if gain < 0 else ()
