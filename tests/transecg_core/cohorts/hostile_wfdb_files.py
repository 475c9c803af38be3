"""Hostile WFDB files: signals, annotations, links, names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from hostile import Case
from hostile_wfdb import PLAIN, SAMPLES, case, content, ecg, outside, put, replaced, samples, unreadable


def signals() -> Iterator[Case]:
    """Yield cases of signal files that are not what the header says, or no ECG."""
    raw = (ecg(1) * 1000).astype("<i2").tobytes()
    yield case("signal: cut short", content("dat", raw), "skipped", "shorter than its header")
    yield case("signal: empty", content("dat", b""), "skipped", "shorter than its header")
    longer = put("dat", lambda path: path.write_bytes(raw + raw + raw))
    yield case("signal: longer than its header", longer, "kept", "longer than its header.*")
    yield case("signal: missing", put("dat", lambda path: None), "skipped", "missing")
    yield case("signal: a folder", put("dat", lambda path: path.mkdir()), "skipped", "missing")
    yield case("signal: a pipe", put("dat", os.mkfifo), "skipped", "missing")
    device = put("dat", lambda path: path.symlink_to("/dev/zero"))
    yield case("signal: a device", device, "skipped", "missing")
    yield case("signal: unreadable", put("dat", unreadable), "skipped", "missing|can't be read")

    def enormous(path: Path) -> None:
        with path.open("wb") as handle:
            handle.truncate(5 * 2**30)

    yield case("signal: 5 GiB of nothing", put("dat", enormous), "skipped", "bigger than 4 GiB")
    yield case("signal: all zero", content("dat", bytes(4 * SAMPLES)), "skipped", "record: flat")
    railed = samples(lambda x_TC: np.put(x_TC, np.arange(0, 2 * SAMPLES - SAMPLES // 2, 2), 2047))
    yield case("signal: at the rail", railed, "skipped", "railed")
    clipped = samples(lambda x_TC: np.clip(x_TC, -2000, 250, out=x_TC))
    yield case("signal: clipped", clipped, "kept", "checksum differs.*clipped")
    invalid = samples(lambda x_TC: np.put(x_TC, 2 * np.arange(700, 720), -32768))
    yield case("signal: samples marked invalid", invalid, "skipped", "not numbers")
    corrupt = samples(lambda x_TC: np.put(x_TC, 2 * np.arange(700, 720), 32000))
    yield case("signal: 32 mV", corrupt, "skipped", "corrupt samples")
    flipped = samples(lambda x_TC: np.put(x_TC, 2 * 700, x_TC[700, 0] ^ 1))
    yield case("signal: one bit flipped", flipped, "kept", "checksum differs")
    copied = content("dat", b"")

    def copy(root: Path) -> None:
        copied(root)
        shutil.copy(root / "100.dat", root / "101.dat")

    yield case(
        "signal: copied from another record", copy, "kept", "same signal file as a record of somebody else"
    )
    for name, head, offset, reason in (
        ("MATLAB 5", b"MATLAB 5.0 MAT-file".ljust(24), 24, "not a MATLAB 4"),
        ("a pickle", b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.".ljust(24), 24, "not a MATLAB 4"),
        ("read from byte 0", matlab_head(), 0, "not a MATLAB 4"),
        ("of other shape", matlab_head(rows=3), 24, "not a MATLAB 4"),
    ):
        yield case(f".mat: {name}", as_matlab(head, offset), "skipped", reason)
    yield case(".mat: as WFDB writes it", as_matlab(matlab_head(), 24), "kept", "")


def matlab_head(rows: int = 2) -> bytes:
    return np.array([30, rows, SAMPLES, 0, 4], dtype="<i4").tobytes() + b"val\0"


def as_matlab(head: bytes, offset: int) -> Callable[[Path], None]:
    """Return what turns the signal file of 101 into a .mat file with this beginning."""

    def spoil(root: Path) -> None:
        (root / "101.mat").write_bytes(head + (root / "101.dat").read_bytes())
        (root / "101.dat").unlink()
        replaced(b"101.dat 16", b"101.mat 16+%d" % offset)(root)

    return spoil


def links_and_names() -> Iterator[Case]:
    """Yield cases of links that leave the folder, and of names that are none."""
    for extension in ("hea", "dat", "atr"):

        def link(path: Path) -> None:
            path.symlink_to(outside(path.parent) / f"s{path.suffix}")

        yield case(f"link out of the folder: .{extension}", put(extension, link), "skipped", "outside")
    yield case("link to itself", put("hea", lambda path: path.symlink_to(path.name)), "skipped", "missing")

    def mutual(root: Path) -> None:
        (root / "101.dat").unlink()
        (root / "101.dat").symlink_to("102.dat")
        (root / "102.dat").symlink_to("101.dat")

    yield case("links in a circle", mutual, "skipped", "missing")
    for name in ("-rf", ".hidden", "a b", "a\x1b[31m", "new\nline", "%2e%2e", "ä", "x" * 200):

        def rename(root: Path, name: str = name) -> None:
            (root / "101.hea").rename(root / f"{name}.hea")

        yield case(f"name: {ascii(name)[:20]}", rename, "skipped", PLAIN)

    def bytes_name(root: Path) -> None:
        os.rename(root / "101.hea", os.fsencode(root) + b"/\xff\xfe.hea")

    yield case("name: no text at all", bytes_name, "skipped", PLAIN)


def annotations() -> Iterator[Case]:
    """Yield cases of reference beats that are none."""
    yield case("annotations: missing", put("atr", lambda path: None), "skipped", "missing")
    yield case("annotations: empty", content("atr", b""), "skipped", "empty|can't be decoded")
    yield case("annotations: 5 MB", content("atr", bytes(5_000_000)), "skipped", "too long")
    garbage = np.random.default_rng(1).bytes(3001)
    yield case(
        "annotations: binary garbage", content("atr", garbage), "skipped", "decoded|outside the record"
    )
    skip = np.array([59 << 10, 0x7FFF, 0xFFFF, 1 << 10, 0], dtype="<u2").tobytes()
    yield case("annotations: 2^31 samples on", content("atr", skip), "skipped", "outside the record|decoded")
    back = np.array([(1 << 10) | 500, 59 << 10, 0xFFFF, 0xFF00, (1 << 10) | 5, 0], dtype="<u2").tobytes()
    yield case("annotations: backwards", content("atr", back), "skipped", "outside the record|decoded")
    cut = b"\x00\xfc\xff"
    yield case("annotations: cut in a note", content("atr", cut), "skipped", "decoded|empty")
    yield case("annotations: a folder", put("atr", lambda path: path.mkdir()), "skipped", "missing")


def cases() -> list[Case]:
    """Return all cases, each on a dataset of its own."""
    return [*signals(), *links_and_names(), *annotations()]
