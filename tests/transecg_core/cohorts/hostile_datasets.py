"""Hostile copies of public datasets: people who contradict themselves, folders and tables that lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hostile import Case, Expect
from hostile_wfdb import PLAIN, case, content, mitdb, outside, replaced, write

from transecg_core.cohorts import open_reader


def people() -> Iterator[Case]:
    """Yield cases of one man's records 201 and 202 that contradict each other, and of impossible ages."""

    def two(*about: str) -> Callable[[Path], None]:
        def spoil(root: Path) -> None:
            for path in root.glob("101.*"):
                path.unlink()
            for seed, (record, comment) in enumerate(zip(("201", "202"), about, strict=True), start=5):
                write(root, record, seed=seed, about=(comment,))

        return spoil

    yield case("person: two sexes", two("68 M 1", "68 F 1"), "kept", "person: two sexes")
    yield case("person: younger later", two("68 M 1", "60 M 1"), "kept", "person: younger")
    yield case("age: -1", replaced(b"69 M", b"-1 M"), "kept", "age unknown")
    yield case("age: 300", replaced(b"69 M", b"300 M"), "kept", "age given as 90 or older")
    yield case("age: N/A, sex: X", replaced(b"69 M", b"N/A X"), "kept", "age unknown.*sex unknown")
    yield case("age: 10^400", replaced(b"69 M", b"1" + b"0" * 400 + b" M"), "kept", "age unknown")


ECGID_ABOUT = ("Age: 25", "Sex: male", "ECG date: 07.12.2004")


def ecgiddb(name: str, spoil: Callable[[Path], None], reason: str) -> Case:
    """Return a case on ecgiddb's layout: Person_01 is good, the folder Person_02 is for `spoil` to make."""

    def build(root: Path) -> None:
        write(root / "Person_01", "rec_1", seed=0, about=ECGID_ABOUT, lead="ECG I")
        spoil(root)

    return Case(
        name, build, "skipped", reason, lambda root: open_reader("ecgiddb", root, "x"), "Person_01/rec_1"
    )


def folders() -> Iterator[Case]:
    """Yield cases of people's folders, and of whole datasets, that are not where or what they should be."""

    def dated(day: str) -> Callable[[Path], None]:
        about = (*ECGID_ABOUT[:2], f"ECG date: {day}")
        return lambda root: write(root / "Person_02", "rec_1", about=about, lead="ECG I") and None

    yield ecgiddb("date: 31 February", dated("31.02.2005"), "recording date unknown")
    yield ecgiddb("date: American", dated("2005/02/28"), "recording date unknown")
    out = "folder can't be read or lies outside"
    yield ecgiddb("folder: link out", lambda root: (root / "Person_02").symlink_to(outside(root)), out)
    yield ecgiddb(
        "folder: link to itself", lambda root: (root / "Person_02").symlink_to("Person_02"), "folder"
    )
    yield ecgiddb("folder: a file", lambda root: (root / "Person_02").write_bytes(b"x") and None, "is none")

    def linked(root: Path) -> None:
        (root / "data").symlink_to(outside(root))

    def nothing(root: Path) -> None:
        root.rmdir()

    def a_file(root: Path) -> None:
        root.rmdir()
        root.write_bytes(b"x")

    def circle(root: Path) -> None:
        root.rmdir()
        root.symlink_to(root)

    def unusable(root: Path) -> None:
        write(root)
        content("dat", b"")(root)

    yield Case(
        "dataset: links out", linked, "refused", "outside", lambda root: open_reader("ludb", root, "x")
    )
    yield Case("dataset: missing", nothing, "refused", "no folder", mitdb)
    yield Case("dataset: a file", a_file, "refused", "no folder", mitdb)
    yield Case("dataset: a link to itself", circle, "refused", "no folder", mitdb)
    yield Case("dataset: empty", lambda root: None, "refused", "no record found", mitdb)
    yield Case("dataset: nothing usable", unusable, "refused", "no usable record .*shorter", mitdb)


COLUMNS = "ecg_id,patient_id,age,sex,recording_date,scp_codes,filename_lr"


def ptbxl(
    name: str, row: str, expect: Expect, reason: str, spoil: Callable[[Path], None] | None = None
) -> Case:
    """Return a case on PTB-XL's layout: row 1 is good, `row` is hostile; `spoil` spoils the tables."""

    def build(root: Path) -> None:
        for number in (1, 2):
            write(root / "records100" / "00000", f"0000{number}_lr", seed=number, lead="I")
        good = "1,15709.0,56.0,1,1984-11-09 09:17:34,\"{'NORM': 100.0}\",records100/00000/00001_lr"
        (root / "ptbxl_database.csv").write_text(f"{COLUMNS}\n{good}\n{row}\n")
        (root / "scp_statements.csv").write_text(",diagnostic,diagnostic_class\nNORM,1.0,NORM\n")
        if spoil is not None:
            spoil(root)

    good = "records100/00000/00001_lr"
    return Case(name, build, expect, reason, lambda root: open_reader("ptbxl", root, "x"), good)


def tables() -> Iterator[Case]:
    """Yield cases of PTB-XL's tables."""
    row = '2,{patient},{age},{sex},{day},"{codes}",{record}'
    usual = {
        "patient": "13243.0",
        "age": "19.0",
        "sex": "0",
        "day": "1984-11-14 12:55:37",
        "codes": "{'NORM': 80.0}",
        "record": "records100/00000/00002_lr",
    }
    code = "__import__('pathlib').Path('pwned').touch()"
    deep = "[" * 5000
    for name, change, expect, reason in (
        ("code in scp_codes", {"codes": code}, "kept", "scp_codes can't be read"),
        ("5000 brackets in scp_codes", {"codes": deep}, "kept", "scp_codes can't be read"),
        ("a list for a key in scp_codes", {"codes": "{[1]: 2}"}, "kept", "scp_codes can't be read"),
        ("path out of the folder", {"record": "../outside/s"}, "skipped", PLAIN),
        ("URL for a path", {"record": "https://host/00002_lr"}, "skipped", PLAIN),
        ("no patient", {"patient": ""}, "skipped", "patient unknown"),
        ("patient NaN", {"patient": "nan"}, "skipped", "patient unknown"),
        ("no date", {"day": ""}, "skipped", "recording date unknown"),
        ("sex 7, age 'old'", {"sex": "7", "age": "old"}, "kept", "age unknown.*sex unknown"),
        ("a record that isn't there", {"record": "records100/00000/00009_lr"}, "skipped", "missing"),
    ):
        yield ptbxl(f"table: {name}", row.format(**{**usual, **change}), expect, reason)
    sound = row.format(**usual)
    twice = f"{sound}\n{sound}"
    yield ptbxl("table: one record in two rows", twice, "kept", "same signal file")

    def table(raw: bytes) -> Callable[[Path], None]:
        return lambda root: (root / "ptbxl_database.csv").write_bytes(raw) and None

    def linked(root: Path) -> None:
        (root / "ptbxl_database.csv").rename(outside(root) / "table.csv")
        (root / "ptbxl_database.csv").symlink_to(outside(root) / "table.csv")

    yield ptbxl(
        "table: UTF-16", sound, "refused", "can't be read|lacks|decode", table(COLUMNS.encode("utf-16"))
    )
    yield ptbxl("table: NUL bytes", sound, "refused", "lacks|can't be read", table(bytes(3000)))
    yield ptbxl("table: empty", sound, "refused", "lacks the columns", table(b""))
    yield ptbxl("table: a cell of 200 kB", "x" * 200_000, "refused", "field larger")
    yield ptbxl("table: linked out of the folder", sound, "refused", "outside", linked)


def cases() -> list[Case]:
    """Return all cases, each on a dataset of its own."""
    return [*people(), *folders(), *tables()]
