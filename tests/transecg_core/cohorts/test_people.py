from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read

from transecg_core.cohorts.people import AGE_UNKNOWN, TWO_SEXES, YOUNGER, parse_age, parse_sex

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("25", 25.0),
        (" 51\n", 51.0),
        ("56.0", 56.0),
        (">89", 90.0),
        ("300", 90.0),
        ("300.0", 90.0),
        ("-1", None),
    ]
    + [(word, None) for word in ("-", "", "NaN", "nan", "inf", "121", "1e1", "N/A", ">x", ">20")]
    + [(None, None)],
)
def test_ages(text: str | None, age: float | None) -> None:
    assert parse_age(text) == age


@given(st.text())
def test_an_age_is_none_or_a_possible_one(text: str) -> None:
    age = parse_age(text)
    assert age is None or 0 <= age <= 120


@pytest.mark.parametrize(
    ("text", "sex"), [("male", "M"), ("F\n", "F"), ("Female", "F"), ("-", None), (None, None)]
)
def test_sexes(text: str | None, sex: str | None) -> None:
    assert parse_sex(text) == sex


def test_two_sexes_leave_none_and_growing_younger_is_noted(ecgiddb_folder: Path, write_record: Write) -> None:
    person = ecgiddb_folder / "Person_01"
    about = ("Age: 24", "Sex: female", "ECG date: 04.02.2005")
    write_record(person, "rec_11", leads=("ECG I",), comments=about, seed=21)
    recordings, skipped = read("ecgiddb", ecgiddb_folder)
    assert [(r.age, r.sex) for r in recordings if r.participant == "Person_01"] == [(25.0, None)] * 3 + [
        (24.0, None)
    ]
    assert [r.sex for r in recordings if r.participant == "Person_02"] == ["F"]
    assert skipped == {AGE_UNKNOWN: 1, TWO_SEXES: 4, YOUNGER: 1}


def test_two_sexes_under_two_ids_of_one_person(ptbxl_folder: Path) -> None:
    table = ptbxl_folder / "ptbxl_database.csv"
    rows = (
        table.read_text().replace("145,16690.0,40.0,,", "146,16690.0,40.0,1,").replace("00145_lr", "00146_lr")
    )
    table.write_text(rows)
    for path in (ptbxl_folder / "records100" / "00000").glob("00145_lr.*"):
        target = path.with_name(path.name.replace("145", "146"))
        target.write_bytes(path.read_bytes().replace(b"00145", b"00146"))
    recordings, skipped = read("ptbxl", ptbxl_folder)
    assert {r.sex for r in recordings if r.participant in ("16690", "16723")} == {None}
    assert skipped[TWO_SEXES] == 2
