"""Hostile folders of an institution's own: file names and types that its table names."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import edfio
import numpy as np
import wfdb
from hostile import GOOD, Case, Expect

from transecg_core.cohorts import open_reader, synthetic
from transecg_core.cohorts.schema import SiteSource, SkipLog

FS_HZ, SECONDS = 500, 8
HEADER = "record,participant,session,lead,fs-hz,units,column"
OK_ROW = f"{GOOD},P1,1,,,,"
EDF_ROW = "101.edf,P2,1,,,,"
CSV_ROW = f"101.csv,P2,1,I,{FS_HZ},mV,"
TIMED_ROW = "101.csv,P2,1,I,,mV,"


@cache
def ecg(which: int) -> np.ndarray:
    """Return 8 s of a synthetic person's lead I in mV, float64, shape (T,)."""
    recordings = list(synthetic.open_site("synth-a", 4, 0).read(SkipLog()))
    return recordings[3 * which].signal_mv[: FS_HZ * SECONDS].astype(np.float64)


def write_wfdb(root: Path, record: str, which: int = 1) -> None:
    root.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(record, FS_HZ, ["mV"], ["I"], ecg(which)[:, None], fmt=["16"], write_dir=str(root))


def write_edf(
    path: Path, label: str = "EKG I", units: str = "mV", which: int = 1, annotated: bool = False
) -> None:
    scale = {"uV": 1e3, "V": 1e-3}.get(units, 1.0)
    signals = [
        edfio.EdfSignal(
            scale * ecg(which),
            FS_HZ,
            label=label,
            physical_dimension=units,
            physical_range=(-10 * scale, 10 * scale),
        )
    ]
    marks = [edfio.EdfAnnotation(1.0, None, "pause")] if annotated else None
    edfio.Edf(signals, annotations=marks).write(path)


def write_csv(path: Path, x_T: np.ndarray | None = None, start: str = "") -> None:
    """Write one column of samples with five decimals, after `start`."""
    x_T = ecg(1) if x_T is None else x_T
    path.write_text(start + "".join(f"{value:.5f}\n" for value in x_T))


def write_timed(path: Path, time_T: np.ndarray) -> None:
    rows = zip(time_T, ecg(1), strict=False)
    path.write_text("time,I\n" + "".join(f"{t:.6f},{x:.5f}\n" for t, x in rows))


def write_table(root: Path, *rows: str, header: str = HEADER) -> None:
    (root / "participants.csv").write_text("\n".join((header, OK_ROW, *rows)) + "\n")


def open_it(root: Path) -> SiteSource:
    return open_reader("folder", root, "clinic")


def case(
    name: str, rows: str | Sequence[str], spoil: Callable[[Path], None], expect: Expect, reason: str
) -> Case:
    """Return a case on a folder with a good WFDB record, and what `spoil` adds to it for further rows."""

    def build(root: Path) -> None:
        write_wfdb(root, GOOD, which=0)
        write_table(root, *([rows] if isinstance(rows, str) else rows))
        spoil(root)

    return Case(f"folder: {name}", build, expect, reason, open_it)


def nothing(_root: Path) -> None:
    pass


def name_cases() -> Iterator[Case]:
    """Names that a table has no business to name."""

    def outside_too(root: Path) -> None:
        (root.parent / "outside" / "s.csv").write_text("1\n2\n")

    for name in (
        "../outside/s",
        "../outside/s.csv",
        "a/../../outside/s",
        "/etc/passwd",
        "/etc/passwd.csv",
        "~/s.csv",
        "http://host/s.csv",
        "file:///etc/passwd",
        "..\\outside\\s",
        "s3://bucket/s.edf",
        ".hidden.csv",
        "a//b.csv",
        "./101.csv",
        "101.csv/",
        "=cmd()",
        "+cmd.csv",
        "@SUM.csv",
        "\u202e101.csv",
        "x" * 120,
        "a/" * 9 + "b.csv",
        "$(id).csv",
        "101.csv;id",
        "NUL:.csv",
        "\u0661.csv",
        "10..1.csv",
    ):
        row = f'"{name}",P2,1,I,{FS_HZ},mV,'
        yield case(f"name {name[:24]}", row, outside_too, "skipped", "plain local|no .*file")
    yield case("name of another type", "101.bdf,P2,1,,,,", nothing, "skipped", "not a WFDB, EDF or CSV")
    yield case("row without a file", "101.csv,P2,1,I,500,mV,", nothing, "skipped", "csv file missing")
    yield case("row without a record", "101,P2,1,,,,", nothing, "skipped", "hea file missing")
    yield case(
        "file without a row",
        (),
        lambda root: write_edf(root / "101.edf"),
        "skipped",
        "not in the participants table",
    )

    def headless(root: Path) -> None:
        (root / "101.dat").write_bytes(b"\0" * 99)

    yield case("signals without a header", (), headless, "skipped", "without a header")
    yield case(
        "no participant", "101,,1,,,,", lambda root: write_wfdb(root, "101"), "skipped", "no participant"
    )


def link_cases() -> Iterator[Case]:
    """Links out of the folder, and things that are no files."""

    def link_file(root: Path) -> None:
        write_csv(root.parent / "outside" / "s.csv")
        (root / "101.csv").symlink_to(root.parent / "outside" / "s.csv")

    def link_folder(root: Path) -> None:
        (root / "ward").symlink_to(root.parent / "outside")

    def link_signals(root: Path) -> None:
        write_wfdb(root, "101")
        (root / "101.dat").unlink()
        (root / "101.dat").symlink_to(root.parent / "outside" / "s.dat")

    def loop(root: Path) -> None:
        (root / "101.csv").symlink_to(root / "101.csv")
        (root / "ward").mkdir()
        (root / "ward" / "ward").symlink_to(root / "ward")

    def pipe(root: Path) -> None:
        os.mkfifo(root / "101.csv")

    yield case("linked CSV", CSV_ROW, link_file, "skipped", "outside")
    yield case("linked folder", "ward/s,P2,1,,,,", link_folder, "skipped", "outside")
    yield case("linked signals", "101,P2,1,,,,", link_signals, "skipped", "outside")
    yield case("link to itself", CSV_ROW, loop, "skipped", "missing|opened")
    yield case("pipe", CSV_ROW, pipe, "skipped", "missing")
    yield case("folder for a file", CSV_ROW, lambda root: (root / "101.csv").mkdir(), "skipped", "missing")


def patched(at: int, new: bytes, units: str = "mV", label: str = "EKG I") -> Callable[[Path], None]:
    """Return what writes an EDF file with one signal and overwrites bytes of its header."""

    def spoil(root: Path) -> None:
        write_edf(root / "101.edf", label, units)
        raw = bytearray((root / "101.edf").read_bytes())
        raw[at : at + len(new)] = new
        (root / "101.edf").write_bytes(raw)

    return spoil


def cut(keep: int) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        write_edf(root / "101.edf")
        raw = (root / "101.edf").read_bytes()
        (root / "101.edf").write_bytes(raw[:keep] if keep <= len(raw) else raw + b"\0" * 100)

    return spoil


def edf_cases() -> Iterator[Case]:
    """EDF headers that lie. Of one signal: label at 256, unit 352, ranges 360 to 392, samples 472."""
    lies: tuple[tuple[str, int, bytes, str], ...] = (
        ("10^6 signals", 252, b"9999", "number of signals"),
        ("no signal", 252, b"0   ", "number of signals"),
        ("negative signals", 252, b"-1  ", "number of signals"),
        ("signals in words", 252, b"one ", "number of signals"),
        ("more signals than it holds", 252, b"2   ", "header length"),
        ("wrong header length", 184, b"99999999", "header length"),
        ("more data records than bytes", 236, b"99999999", "not as long"),
        ("fewer data records than bytes", 236, b"1       ", "not as long"),
        ("unknown data records", 236, b"-1      ", "out of bounds"),
        ("data records of no duration", 244, b"0       ", "out of bounds"),
        ("negative duration", 244, b"-1      ", "out of bounds"),
        ("duration nan", 244, b"nan     ", "not a number"),
        ("duration inf", 244, b"1e999   ", "not a number"),
        ("rate of 10^10 Hz", 244, b"1e-7    ", "rate is out of bounds"),
        ("10^8 samples a data record", 472, b"99999999", "not as long"),
        ("no samples", 472, b"0       ", "out of bounds"),
        ("negative samples", 472, b"-500    ", "out of bounds"),
        ("digital range of one value", 376, b"32767   ", "digital range"),
        ("digital range reversed", 376, b"32767   -32768  ", "digital range"),
        ("digital range beyond 16 bits", 384, b"99999999", "digital range"),
        ("physical range of one value", 360, b"10      10      ", "physical range"),
        ("physical range of 10^300", 360, b"-1e300  1e300   ", "physical range"),
        ("physical range nan", 360, b"nan     ", "physical range is not"),
        ("physical range in text", 360, b"=cmd()  ", "physical range is not"),
        ("physical range of a volt", 360, b"-1000   1000    ", "corrupt samples"),
        ("NUL in the header", 300, b"\0", "not printable"),
        ("control characters in the header", 256, b"\x1b[2J", "not printable"),
        ("gaps (EDF+D)", 192, b"EDF+D", "with gaps"),
        ("BDF", 0, b"\xffBIOSEMI", "not an EDF"),
        ("another version", 0, b"1       ", "not an EDF"),
        ("only annotations", 256, b"EDF Annotations ", "no channel"),
        ("only a mock of annotations", 256, b" EDF Annotations", "no known lead"),
        ("unit of pressure", 352, b"mmHg    ", "no known lead in millivolts"),
        ("label of no lead", 256, b"ECG             ", "no lead in its label"),
        ("label of another signal", 256, b"SpO2            ", "no known lead"),
    )
    for name, at, new, reason in lies:
        yield case(f"EDF, {name}", EDF_ROW, patched(at, new), "skipped", reason)
    for name, keep, reason in (
        ("cut", 5000, "not as long"),
        ("longer", 10**9, "not as long"),
        ("empty", 0, "cut off"),
        ("half a header", 300, "cut off"),
        ("half a fixed part", 99, "cut off"),
    ):
        yield case(f"EDF, {name}", EDF_ROW, cut(keep), "skipped", reason)
    yield case("EDF, noise", EDF_ROW, lambda root: noise(root / "101.edf"), "skipped", "not printable")
    said = {
        "another rate": "101.edf,P2,1,,250,,",
        "another unit": "101.edf,P2,1,,,uV,",
        "another lead": "101.edf,P2,1,II,,,",
        "another channel": "101.edf,P2,1,,,,EKG II",
    }
    for name, row in said.items():
        yield case(f"EDF, table of {name}", row, patched(0, b""), "skipped", "differ|no lead|no channel")
    yield case("EDF, lead by the table", "101.edf,P2,1,II,,,", patched(0, b"", label="ECG"), "kept", "")
    umlaut = patched(280, "Müller".encode("latin-1"))
    yield case("EDF, Latin-1 in the header", EDF_ROW, umlaut, "kept", "not plain ASCII, read as Latin-1")
    for name in (b"\x1b[2J", b"a\tb\0", "M\u00fcller".encode("latin-1")):
        yield case(f"EDF, {name!a} for the patient", EDF_ROW, patched(8, name), "kept", "")
    yield case("EDF, microvolts", EDF_ROW, patched(0, b"", units="uV"), "kept", "")
    yield case("EDF+C", EDF_ROW, lambda root: write_edf(root / "101.edf", annotated=True), "kept", "")


def copy_cases() -> Iterator[Case]:
    """One signal file under several records of one person."""

    def twins(root: Path) -> None:
        write_wfdb(root, "101")
        header = (root / "101.hea").read_text()
        (root / "102.hea").write_text(header.replace("101", "102"))
        (root / "102.dat").write_bytes((root / "101.dat").read_bytes())
        (root / "101.hea").write_text(header.replace(" I\n", " resp\n"))

    rows = ("101,P2,1,,,,", "102,P2,1,,,,")
    yield case(
        "a copy of a record without a lead", rows, twins, "kept", "^record: no known lead in millivolts$"
    )


def noise(path: Path, size: int = 9000) -> None:
    path.write_bytes(random.Random(0).randbytes(size))


def cases() -> list[Case]:
    """Return all cases, each in a folder of its own."""
    return [*name_cases(), *link_cases(), *edf_cases(), *copy_cases()]
