from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transecg_core.cohorts import table
from transecg_core.cohorts.people import AGE_HIDDEN, AGE_UNKNOWN, SEX_UNKNOWN, parse_age, parse_sex
from transecg_core.cohorts.table import Table
from transecg_core.cohorts.table_labels import AS_UNKNOWN, NO_VALUE, ONE_SEX
from transecg_core.cohorts.table_text import TableError


def read(root: Path, column: str, cells: list[str]) -> Table:
    lines = [f"r{k};P{k};{cell}" for k, cell in enumerate(cells)]
    (root / "participants.csv").write_text("\n".join([f"record;participant;{column}", *lines]) + "\n")
    return table.read(root)


@pytest.mark.parametrize(
    ("column", "cells", "line", "message"),
    [
        # A German export: read as unknown, all women would be lost, and no man.
        ("sex", ["m", "w", "m"], 3, "sex w is not understood; write F, M, female or male"),
        ("sex", ["m", "", "weiblich"], 4, "sex weiblich"),
        ("sex", ["1", "2"], 2, "sex 1 "),
        ("age", ["1956", "1960"], 2, "age 1956 is not understood; write years .*no year of birth"),
        ("age", ["50", "56,5"], 3, "age '56,5' is not understood; write years with a decimal point"),
        ("age", ["50", "90+"], 3, "age '90\\+' .*>89 above 89"),
        ("age", ["121"], 2, "age 121"),
    ],
)
def test_what_is_not_understood_is_refused(
    tmp_path: Path, column: str, cells: list[str], line: int, message: str
) -> None:
    with pytest.raises(TableError, match=f"line {line}: {message}"):
        read(tmp_path, column, cells)


@pytest.mark.parametrize("cell", ["", "-", "?", "N/A", "unknown", "NaN", "None"])
@pytest.mark.parametrize(("column", "note"), [("age", AGE_UNKNOWN), ("sex", SEX_UNKNOWN)])
def test_what_says_unknown_is_unknown(tmp_path: Path, cell: str, column: str, note: str) -> None:
    (row,) = read(tmp_path, column, [cell]).rows
    assert (row.age, row.sex) == (None, None)
    assert row.notes == (note,)


def test_codes_of_ages_and_sexes_without_a_class(tmp_path: Path) -> None:
    ages = read(tmp_path, "age", ["-1", "-9", "999", "300", ">89", "0"]).rows
    assert [row.age for row in ages] == [None, None, None, 90.0, 90.0, 0.0]
    assert [row.notes for row in ages] == [(AGE_UNKNOWN,)] * 3 + [(AGE_HIDDEN,)] * 2 + [()]
    assert all(row.sex is None for row in read(tmp_path, "sex", ["U", "x", "divers", "Other"]).rows)
    # An age's codes are no sexes, and the other way round.
    with pytest.raises(TableError, match="sex '-1' is not"):
        read(tmp_path, "sex", ["-1"])
    with pytest.raises(TableError, match="age X"):
        read(tmp_path, "age", ["X"])


@pytest.mark.parametrize(
    ("column", "cells", "notes"),
    [
        ("sex", ["", ""], [("participants.csv: sex", NO_VALUE)]),
        ("age", ["", ""], [("participants.csv: age", NO_VALUE)]),
        ("age", ["", "50"], []),
        ("sex", ["", "M"], []),
        ("sex", ["N/A", ""], [("participants.csv: sex, 1 cell such as 'N/A'", AS_UNKNOWN)]),
        ("sex", ["m", "x", "U", "M"], [("participants.csv: sex, 2 cells such as 'x'", ONE_SEX)]),
        ("sex", ["m", "x", "F"], [("participants.csv: sex, 1 cell such as 'x'", AS_UNKNOWN)]),
        ("age", ["-1", "-1", "50"], [("participants.csv: age, 2 cells such as '-1'", AS_UNKNOWN)]),
    ],
)
def test_blank_and_unknown_are_told_apart(
    tmp_path: Path, column: str, cells: list[str], notes: list[tuple[str, str]]
) -> None:
    assert list(read(tmp_path, column, cells).notes) == notes


def test_cells_of_records_without_a_participant_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "participants.csv").write_text("record,participant,sex\na,P1,F\nb,,w\n")
    found = table.read(tmp_path)
    assert (len(found.rows), found.unassigned, found.notes) == (1, ("b",), ())


@given(st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters=';"'), max_size=5))
def test_no_word_is_lost_silently(tmp_path_factory: pytest.TempPathFactory, cell: str) -> None:
    """Read, or refused, or counted: an unknown cell that isn't blank is always noted."""
    for column, understood in (("age", parse_age(cell)), ("sex", parse_sex(cell))):
        try:
            found = read(tmp_path_factory.mktemp("cells"), column, [cell])
        except TableError:
            assert understood is None
            continue
        value = found.rows[0].age if column == "age" else found.rows[0].sex
        assert value == understood
        assert (value is None) == bool(found.notes)
