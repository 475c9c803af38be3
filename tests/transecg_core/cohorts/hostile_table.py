"""Hostile participants tables: encodings, separators, columns."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from hostile import GOOD, Case, Expect
from hostile_folder import open_it, write_wfdb

HEADER = "record,participant,session,age,sex"
OK = f"{GOOD},P1,1,50,F"
OTHER = "101,P2,1,60,M"
SOUND = f"{HEADER}\n{OK}\n{OTHER}\n"


def raw_case(name: str, content: bytes | None, expect: Expect, reason: str) -> Case:
    """Return a case of two good records under a table of these bytes; None: no table."""

    def build(root: Path) -> None:
        write_wfdb(root, GOOD, which=0)
        write_wfdb(root, "101")
        if content is not None:
            (root / "participants.csv").write_bytes(content)

    return Case(f"table: {name}", build, expect, reason, open_it)


def case(name: str, text: str, expect: Expect, reason: str) -> Case:
    return raw_case(name, text.encode(), expect, reason)


def row_case(name: str, row: str, expect: Expect, reason: str) -> Case:
    return case(name, f"{HEADER}\n{OK}\n{row}\n", expect, reason)


def file_cases() -> Iterator[Case]:
    """Bytes that are no table, or one in another dress."""
    yield raw_case("missing", None, "refused", "missing; write a template")
    for name, content, reason in (
        ("empty", b"", "is empty"),
        ("only blank lines", b"\r\n \r\n", "is empty"),
        ("noise", noise(), "line 1: not UTF-8"),
        ("NUL bytes", SOUND.replace("50", "5\0").encode(), "control characters"),
        ("Excel", b"PK\x03\x04" + noise(), "Excel"),
        ("old Excel", b"\xd0\xcf\x11\xe0" + noise(), "Excel"),
        ("UTF-16 unmarked", SOUND.encode("utf-16-le"), "control"),
        ("UTF-16 cut", SOUND.encode("utf-16")[:-1], "is marked as UTF-16"),
        ("escape codes", b"\x1b[2J" + SOUND.encode(), "control"),
        ("17 MB", SOUND.encode() * (17_000_000 // len(SOUND)), "over 16 MB"),
        (
            "Latin-1 in one row of UTF-8",
            SOUND.replace("P1", "J\xf6").encode().replace(b"P2", b"B\xe4"),
            "line 3: not UTF-8",
        ),
        ("a header only", f"{HEADER}\n".encode(), "no row under the header"),
    ):
        yield raw_case(name, content, "refused", reason)
    for name, content, note in (
        ("BOM and CRLF", b"\xef\xbb\xbf" + SOUND.replace("\n", "\r\n").encode(), ""),
        ("old Mac", SOUND.replace("\n", "\r").encode(), ""),
        ("UTF-16", SOUND.encode("utf-16"), ""),
        ("UTF-16 big-endian", b"\xfe\xff" + SOUND.encode("utf-16-be"), ""),
        ("Latin-1", SOUND.replace("P2", "Mü2").encode("latin-1"), "Latin-1"),
        ("tabs", SOUND.replace(",", "\t").encode(), ""),
        ("semicolons", SOUND.replace(",", ";").encode(), ""),
        ("blank rows", (SOUND + "\n,,,,\n\n").encode(), ""),
        ("shouted header", SOUND.replace(HEADER, HEADER.upper()).encode(), ""),
    ):
        yield raw_case(name, content, "kept", f"^table: .*{note}" if note else "")

    def link(root: Path) -> None:
        write_wfdb(root, GOOD)
        (root.parent / "outside" / "t.csv").write_text(SOUND)
        (root / "participants.csv").symlink_to(root.parent / "outside" / "t.csv")

    def folder(root: Path) -> None:
        write_wfdb(root, GOOD)
        (root / "participants.csv").mkdir()

    yield Case("table: a link out", link, "refused", "link out of the folder", open_it)
    yield Case("table: a folder", folder, "refused", "missing", open_it)


def noise() -> bytes:
    return random.Random(0).randbytes(4000)


def column_cases() -> Iterator[Case]:
    """Headers and shapes."""

    def other(header: str, cells: str = "") -> str:
        return f"{header}\n{OK}{cells}\n{OTHER}{cells}\n"

    for name, text, reason in (
        ("no participant column", SOUND.replace("participant,", "ward,"), "lacks the column participant"),
        ("no column of ours", SOUND.replace(HEADER, "a,b,c,d,e"), "lacks the columns record, participant"),
        ("no header", f"{OK}\n{OTHER}\n", "lacks the columns|unknown column"),
        (
            "participant mistyped",
            SOUND.replace("participant", "particpant"),
            "line 1: unknown column particpant; rename it to 'participant'",
        ),
        ("gender", SOUND.replace("sex", "gender"), "rename it to 'sex'"),
        ("rate as fs", other(f"{HEADER},fs", ",500"), "'fs-hz'"),
        ("two columns of one name", other(f"{HEADER},Sex", ",F"), "two columns are 'sex'"),
        ("300 columns", other(HEADER + ",x" * 300, ",1" * 300), "more than 200 cells"),
        ("a cell too many", SOUND.replace("50", "50,5"), "line 2: 6 cells"),
        ("a cell too few", SOUND.replace(",60,M", ",60"), "line 3: 4 cells"),
        ("an open quote", SOUND.replace("101", '"101'), "line 3: is no CSV"),
        ("a stray quote", SOUND.replace("101", '"1"01'), "line 3: is no CSV"),
        ("10^6 characters", SOUND.replace("P2", "P" * 10**6), "line 3: "),
        ("1000 characters", SOUND.replace("P2", "P" * 1000), "line 3: a cell"),
        ("10^5 lines in a cell", SOUND.replace("P2", '"' + "\n" * 10**5 + '"'), "line 3: is no CSV"),
        ("a line break in a cell", f'{HEADER},ward\n{OK},"3\nWest"\n{OTHER},4\n', "line 2: is no CSV"),
        (
            "a quote that takes in a row",
            f'{HEADER},ward\n{OK},"3\n{OTHER},4\n102,P3,1,70,F,5"\n',
            "line 2: is no CSV",
        ),
        ("100,001 rows", SOUND + "".join(f"r{k},P3,,,\n" for k in range(10**5)), "more than 100000 rows"),
    ):
        yield case(name, text, "refused", reason)
    yield case("a column of the site's", other(f"{HEADER},ward", ',"3, West"'), "kept", "column not read")


def cases() -> list[Case]:
    """Return all cases, each on a folder with two good records."""
    return [*file_cases(), *column_cases()]
