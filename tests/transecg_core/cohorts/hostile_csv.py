"""Hostile CSV files of samples, in an institution's own folder."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from hostile import Case
from hostile_folder import CSV_ROW, FS_HZ, SECONDS, TIMED_ROW, case, ecg, write_csv, write_timed


def text(content: str | bytes) -> Callable[[Path], None]:
    """Return what writes a CSV file of this content."""
    raw = content if isinstance(content, bytes) else content.encode()

    def build(root: Path) -> None:
        (root / "101.csv").write_bytes(raw)

    return build


def cell_cases() -> Iterator[Case]:
    """One sample that is none."""

    def middle(cell: str) -> Callable[[Path], None]:
        lines = [f"{value:.5f}" for value in ecg(1)]
        lines[2000] = cell
        return text("\n".join(lines))

    for name, cell, reason in (
        ("NaN", "nan", "not numbers"),
        ("infinity", "inf", "not numbers"),
        ("10^400", "1e400", "not numbers"),
        ("text", "artefact", "not numbers"),
        ("a formula", "=1+1", "not numbers"),
        ("base 16", "0x10", "not numbers"),
        ("underscores", "1_0", "not numbers"),
        ("a second cell", "1,2", "comma|lengths"),
        ("nothing", "", "blank line"),
        ("a blank", "  ", "blank line"),
        ("a decimal comma", "0,5", "decimal comma"),
        ("quotes", '"0.5"', "not numbers"),
        ("a NUL", "\0", "plain text"),
        ("2 million characters", "1" * 2_000_000, "too long"),
        ("300 kV", "300000000", "corrupt"),
    ):
        yield case(f"CSV with {name}", CSV_ROW, middle(cell), "skipped", reason)


def file_cases() -> Iterator[Case]:
    """Files that are no columns of samples."""
    for name, content, reason in (
        ("empty", "", "empty CSV"),
        ("only a header", "I\n", "no samples"),
        ("one value", "0.1\n", "flat|shorter"),
        ("decimal commas", "0,10\n0,20\n", "decimal comma"),
        ("noise", random.Random(1).randbytes(5000), "plain text"),
        ("UTF-16", "I\n0.1\n".encode("utf-16"), "plain text"),
        ("no header over two", "1,2\n3,4\n", "no header"),
        ("two columns of one name", "I,I\n1,2\n", "one name"),
        ("a column without name", "I,\n1,2\n", "without a name"),
        ("ragged rows", "I,II\n1,2\n3\n", "lengths"),
        ("a blank cell", "I,II\n1,2\n,4\n", "blank cell"),
        ("an open quote", '"I,II\n1,2\n', "malformed|no known lead"),
        ("300 columns", "a," * 300 + "b\n", "too many"),
        ("no lead in the header", "x,y\n1,2\n", "no lead"),
    ):
        yield case(f"CSV: {name}", CSV_ROW, text(content), "skipped", reason)


def table_cases() -> Iterator[Case]:
    """Sound files under a row that doesn't fit, and unusual ones that do."""
    x_T = ecg(1)
    plain = lambda root: write_csv(root / "101.csv")  # noqa: E731
    for name, row, reason in (
        ("no rate", "101.csv,P2,1,I,,mV,", "without fs-hz"),
        ("no unit", "101.csv,P2,1,I,500,,", "without units"),
        ("no lead", "101.csv,P2,1,,500,mV,", "name its lead"),
        ("a missing column", CSV_ROW + "II", "no channel"),
        ("volts for millivolts", "101.csv,P2,1,I,500,V,", "corrupt"),
        ("1 Hz", "101.csv,P2,1,I,1,mV,", "rate below"),
    ):
        yield case(f"CSV, table of {name}", row, plain, "skipped", reason)
    yield case(
        "CSV in microvolts",
        "101.csv,P2,1,I,500,uV,",
        lambda root: write_csv(root / "101.csv", 1e3 * x_T),
        "kept",
        "",
    )
    yield case(
        "CSV with BOM and CRLF",
        CSV_ROW,
        text(b"\xef\xbb\xbfI\r\n" + b"".join(b"%.5f\r\n" % v for v in x_T)),
        "kept",
        "",
    )


def time_cases() -> Iterator[Case]:
    """Time stamps, even and not."""
    even_T = np.arange(FS_HZ * SECONDS) / FS_HZ
    gap_T, back_T = even_T + (even_T > 4), np.where(np.arange(even_T.size) == 2000, 3.0, even_T)
    for name, time_T, reason in (
        ("a gap", gap_T, "gaps"),
        ("a step back", back_T, "gaps"),
        ("milliseconds", even_T * 1000, "rate below"),
        ("drift", even_T + 0.01 * np.sin(even_T), "not uniform"),
        ("standing still", 0 * even_T, "gaps"),
        ("NaN", np.where(even_T == 1, np.nan, even_T), "no sampling rate"),
        ("10^300 seconds", even_T * 1e300, "no sampling rate"),
        ("10^9 Hz", even_T * 5e-7, "gaps|out of bounds"),
    ):
        timed = lambda root, time_T=time_T: write_timed(root / "101.csv", time_T)  # noqa: E731
        yield case(f"CSV, time with {name}", TIMED_ROW, timed, "skipped", reason)
    even = lambda root: write_timed(root / "101.csv", even_T)  # noqa: E731
    yield case("CSV, even time", TIMED_ROW, even, "kept", "")
    yield case("CSV, time against the table", CSV_ROW.replace("500", "250"), even, "skipped", "differs")


def cases() -> list[Case]:
    """Return all cases, each in a folder of its own."""
    return [*cell_cases(), *file_cases(), *table_cases(), *time_cases()]
