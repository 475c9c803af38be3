"""Hostile WFDB headers; what the other hostile WFDB datasets are made with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import wfdb
from hostile import GOOD, Case, Expect

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.schema import SiteSource

FS_HZ, SECONDS = 360, 8
SAMPLES = FS_HZ * SECONDS
ABOUT = "69 M 1085 1629 x1"
PLAIN = "not a plain local"


@cache
def ecg(seed: int) -> np.ndarray:
    """Return a crude ECG in mV, shape (T,): a beat every 0.8 s."""
    t_T = np.arange(SAMPLES) / FS_HZ
    x_T = 0.01 * np.random.default_rng(seed).standard_normal(t_T.size)
    for at in np.arange(0.5, SECONDS, 0.8):
        x_T += np.exp(-0.5 * ((t_T - at) / 0.012) ** 2) + 0.3 * np.exp(-0.5 * ((t_T - at - 0.26) / 0.04) ** 2)
    return np.asarray(x_T)


def write(
    root: Path, record: str = "101", seed: int = 1, about: tuple[str, ...] = (ABOUT,), lead: str = "MLII"
) -> Path:
    """Write a record of two leads with beat labels and return its header's path."""
    root.mkdir(parents=True, exist_ok=True)
    for name, raw in _files(record, seed, about, lead).items():
        (root / name).write_bytes(raw)
    return root / f"{record}.hea"


@cache
def _files(record: str, seed: int, about: tuple[str, ...], lead: str) -> dict[str, bytes]:
    """Return what the wfdb package writes; it takes its time."""
    x_TC = np.stack([ecg(seed), 0.5 * ecg(seed)], axis=1)
    settings = {"fmt": ["16"] * 2, "adc_gain": [1000.0] * 2, "baseline": [0] * 2, "comments": list(about)}
    beats_B = np.round(np.arange(0.5, SECONDS, 0.8) * FS_HZ).astype(np.int64)
    with tempfile.TemporaryDirectory() as folder:
        wfdb.wrsamp(record, FS_HZ, ["mV"] * 2, [lead, "aux"], x_TC, write_dir=folder, **settings)
        wfdb.wrann(record, "atr", beats_B, symbol=["N"] * beats_B.size, write_dir=folder)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def mitdb(root: Path) -> SiteSource:
    return open_reader("mitdb", root, "clinic")


def case(name: str, spoil: Callable[[Path], None], expect: Expect, reason: str) -> Case:
    """Return a case on a dataset in mitdb's layout: record 100 is good, 101 is for `spoil` to spoil."""

    def build(root: Path) -> None:
        write(root, GOOD, seed=0)
        write(root)
        spoil(root)

    return Case(name, build, expect, reason, mitdb)


def outside(root: Path) -> Path:
    return root.parent / "outside"


def replaced(old: bytes, new: bytes, count: int = -1) -> Callable[[Path], None]:
    """Return what replaces text in the header of 101."""

    def spoil(root: Path) -> None:
        raw = (root / "101.hea").read_bytes()
        assert old in raw, old
        (root / "101.hea").write_bytes(raw.replace(old, new, count))

    return spoil


def header(raw: bytes) -> Callable[[Path], None]:
    return lambda root: (root / "101.hea").write_bytes(raw) and None


def content(extension: str, raw: bytes) -> Callable[[Path], None]:
    return lambda root: (root / f"101.{extension}").write_bytes(raw) and None


def put(extension: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return what puts something else in the place of a file of 101."""

    def spoil(root: Path) -> None:
        (root / f"101.{extension}").unlink()
        make(root / f"101.{extension}")

    return spoil


def samples(change: Callable[[np.ndarray], object]) -> Callable[[Path], None]:
    """Return what changes the samples (T, C) of 101, and leaves its header."""

    def spoil(root: Path) -> None:
        x_TC = np.fromfile(root / "101.dat", dtype="<i2").reshape(-1, 2)
        change(x_TC)
        x_TC.tofile(root / "101.dat")

    return spoil


def unreadable(path: Path) -> None:
    """Make a file that can't be opened; whoever may open everything gets a folder."""
    if os.geteuid() == 0:
        path.mkdir()
    else:
        path.write_bytes(b"x")
        path.chmod(0)


LINE = b"101 2 360 2880"


def headers() -> Iterator[Case]:
    """Yield cases of header lines that claim too much, or nonsense."""
    claims = [
        ("0 Hz", b"101 2 0 2880", "out of bounds"),
        ("negative rate", b"101 2 -360 2880", "malformed"),
        ("10^9 Hz", b"101 2 1000000000 2880", "malformed|out of bounds"),
        ("NaN Hz", b"101 2 nan 2880", "malformed"),
        ("infinite rate", b"101 2 inf 2880", "malformed"),
        ("a beat in a year", b"101 2 0.00001 2880", "sampling rate below"),
        ("10^12 samples", b"101 2 360 1000000000000", "out of bounds"),
        ("no sample", b"101 2 360 0", "out of bounds"),
        ("negative length", b"101 2 360 -2880", "malformed"),
        ("length of 5000 digits", b"101 2 360 " + b"9" * 5000, "malformed"),
        ("longer than the file", b"101 2 360 2881", "shorter than its header"),
        ("no signal", b"101 0 360 2880", "out of bounds"),
        ("10^6 signals", b"101 1000000 360 2880", "out of bounds"),
        ("three signals, two lines", b"101 3 360 2880", "signal count"),
        ("one signal, two lines", b"101 1 360 2880", "signal count"),
        ("digits of another script", "101 2 ٣٦٠ 2880".encode(), "malformed"),
        ("NUL in the record's name", b"101\0 2 360 2880", "control characters"),
        ("another record's name", b"100 2 360 2880", "names another"),
        ("path for a name", b"../outside/s 2 360 2880", "names another"),
        ("segments that are itself", b"101/2 2 360 2880", "multi-segment"),
        ("no rate", b"101 2", "lacks rate"),
    ]
    for name, line, reason in claims:
        yield case(f"header: {name}", replaced(LINE, line), "skipped", reason)
    recursion = header(b"101/3 2 360 8640\n101 2880\n101 2880\n101 2880\n")
    yield case("header: multi-segment recursion", recursion, "skipped", "multi-segment")
    yield case("header: empty", header(b""), "skipped", "empty header")
    yield case("header: comments only", header(b"# 69 M\n"), "skipped", "empty header")
    yield case("header: over 64 KiB", header(b"#" * 70_000), "skipped", "too long")
    garbage = np.random.default_rng(0).bytes(4000)
    yield case("header: binary garbage", header(garbage), "skipped", "header")
    utf_16 = "101 2 360 2880\n".encode("utf-16")
    yield case("header: UTF-16", header(utf_16), "skipped", "header")
    yield case("header: missing", put("hea", lambda path: path.symlink_to("gone")), "skipped", "missing")
    yield case("header: unreadable", put("hea", unreadable), "skipped", "missing|can't be read")
    yield case("header: BOM", replaced(LINE, b"\xef\xbb\xbf" + LINE), "kept", "")
    yield case("header: CRLF", replaced(b"\n", b"\r\n"), "kept", "")
    yield case("header: Latin-1", replaced(b"x1", "x1\n# für Müller".encode("latin-1")), "kept", "")
    yield case("header: escape codes", replaced(b"MLII", b"MLII\x1b[2J"), "skipped", "control characters")
    yield case("header: vertical tab", replaced(LINE, LINE + b"\x0b1"), "skipped", "control characters")


def signal_lines() -> Iterator[Case]:
    """Yield cases of what a signal line says about its file, format, gain and lead."""
    files = {
        "parent folder": b"../outside/s.dat",
        "absolute path": b"/etc/passwd",
        "URL": b"https://physionet.org/files/mitdb/1.0.0/100.dat",
        "bucket": b"s3://bucket/100.dat",
        "chained URL": b"simplecache::https://host/100.dat",
        "backslashes": b"..\\outside\\s.dat",
        "home": b"~/s.dat",
        "its own header": b"101.hea",
        "standard input": b"-",
        "pickle": b"101.pkl",
    }
    for name, file in files.items():
        yield case(f"signal file: {name}", replaced(b"101.dat", file), "skipped", PLAIN)
    twin = replaced(b"101.dat", b"100.dat")
    yield case("signal file: another record's", twin, "kept", "same signal file as a record of somebody else")
    for fmt in (b"508", b"516", b"524", b"8", b"310", b"0", b"999", b"16x4", b"16:3", b"pickle"):
        name = f"format: {fmt.decode()}"
        yield case(name, replaced(b"dat 16", b"dat " + fmt), "skipped", "format not accepted")
    mixed = replaced(b" 16 ", b" 212 ", 1)
    yield case("format: two in one file", mixed, "skipped", "differ in format")
    beyond = replaced(b"dat 16", b"dat 16+999999999")
    yield case("format: offset beyond the file", beyond, "skipped", "shorter than its header")
    yield case("format: negative offset", replaced(b"dat 16", b"dat 16+-4"), "skipped", "format not accepted")
    gains = {
        b"inf": "malformed",
        b"nan": "malformed",
        b"1e-300": "malformed",
        b"1e-30": "out of bounds",
        b"1e30": "out of bounds",
        b"(0)/mV": "malformed",
        b"__import__('os')": "malformed",
        b"1000(99999999999999)/mV": "malformed",
    }
    for gain, reason in gains.items():
        spoil = replaced(b"1000.0(0)/mV", gain)
        yield case(f"gain: {gain.decode()}", spoil, "skipped", reason)
    yield case("gain: 0", replaced(b"1000.0(0)/mV", b"0(0)/mV"), "kept", "no gain in its header")
    yield case("gain: negative", replaced(b"1000.0(0)/mV", b"-1000(0)/mV"), "kept", "negative gain")
    yield case("units: pressure", replaced(b"/mV", b"/mmHg"), "skipped", "no known lead in millivolts")
    yield case("lead: unknown", replaced(b"MLII", b"RESP"), "skipped", "no known lead")
    yield case("lead: none", replaced(b" MLII", b""), "skipped", "no lead name")
    yield case("signal line: words for numbers", replaced(b" 16 0 ", b" x y "), "skipped", "malformed")


def cases() -> list[Case]:
    """Return all cases, each on a dataset of its own."""
    return [*headers(), *signal_lines()]
