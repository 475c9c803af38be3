from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transecg_core.cohorts import table, table_people
from transecg_core.cohorts.channels import Stated
from transecg_core.cohorts.listing import shown
from transecg_core.cohorts.table import Row, Table
from transecg_core.cohorts.table_text import LATIN, NOT_READ, TableError

TEXT = """record,participant,session,age,sex,diagnosis,lead,fs-hz,units,column,beats
a.edf,P1,1,50,F,Normal,ECG I,,,,
w 1/b,P2,1,61.5,male,,,360,µV,MLII,atr
c.csv,P1,2,51,F,abnormal,ii,250.0,V,x y,
"""


def write(root: Path, text: str | bytes) -> Path:
    (root / "participants.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def rows_of(root: Path, text: str | bytes, columns: dict[str, str] | None = None) -> tuple[Row, ...]:
    return table.read(write(root, text), columns).rows


def test_a_row_says_what_its_cells_say(tmp_path: Path) -> None:
    first, second, third = rows_of(tmp_path, TEXT)
    assert (first.line, first.record, first.participant, first.session) == (2, "a.edf", "P1", 1)
    assert (first.age, first.sex, first.diagnosis, first.stated) == (50.0, "F", "normal", Stated(lead="I"))
    assert (second.age, second.sex, second.diagnosis, second.beats) == (61.5, "M", None, "atr")
    assert second.stated == Stated(column="MLII", fs_hz=360.0, units="uV")
    assert third.stated == Stated("II", "x y", 250.0, "V")
    assert (third.diagnosis, third.notes) == ("abnormal", ())


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_dress_does_not_matter(tmp_path: Path, separator: str, encoding: str, end: str) -> None:
    plain = table.read(write(tmp_path, TEXT))
    dressed = table.read(write(tmp_path, TEXT.replace(",", separator).replace("\n", end).encode(encoding)))
    assert dressed.rows == plain.rows
    assert dressed.columns == plain.columns
    assert [note for _, note in dressed.notes] == ([LATIN] if encoding == "latin-1" else [])


def test_cells_do_not_decide_the_separator(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "record,participant,column\na.edf,P1,x;y;z;u;v\n")
    assert rows[0].stated.column == "x;y;z;u;v"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_an_editors_lines(tmp_path: Path, end: str) -> None:
    text = 'record,participant,ward,session\n\na,P1,"3,West",1\n,,,\nb,P2,4,zero\n'
    with pytest.raises(TableError, match="line 5: session zero"):
        rows_of(tmp_path, text.replace("\n", end))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("comment", ['"3\nWest"', '"ok\nb,P2,x\nc,P3,fine"', '"ok\nb,P2,x', '"3\n"'])
def test_no_cell_takes_in_the_rows_of_others(tmp_path: Path, end: str, comment: str) -> None:
    text = f"record,participant,comment\na,P0,fine\na,P1,{comment}\nd,P4,\n"
    with pytest.raises(TableError, match=r"line 3: is no CSV .*keep a row on one line"):
        rows_of(tmp_path, text.replace("\n", end))


def test_a_row_in_another_encoding_is_refused_and_changes_nobody(tmp_path: Path) -> None:
    header, utf_8, latin = b"record,participant\r\n", "a,Jörg\r\n".encode(), "b,Bär\r\n".encode("latin-1")
    plain = b"c,P3\r\n"
    for raw in (
        header + utf_8 + plain + latin,
        header + plain + plain + latin + utf_8,
        b"\xef\xbb\xbf" + header + plain * 2 + latin,
    ):
        with pytest.raises(TableError, match="line 4: not UTF-8, though other characters are"):
            table.read(write(tmp_path, raw))
    for rows, who in ((utf_8, "Jörg"), (latin, "Bär")):
        read = table.read(write(tmp_path, header + plain + rows))
        assert [row.participant for row in read.rows] == ["P3", who]


@given(st.text(st.characters(max_codepoint=255), max_size=6), st.binary(max_size=6))
def test_anothers_bytes_change_no_id(
    tmp_path_factory: pytest.TempPathFactory, own: str, other: bytes
) -> None:
    root = tmp_path_factory.mktemp("encodings")
    header, row = b"record,participant,comment\n", f"a,{own},\n".encode("latin-1")
    try:
        (alone,) = rows_of(root, header + row)
    except (TableError, ValueError):
        return
    with suppress(TableError):
        first, *_ = rows_of(root, header + row + b"b,P2," + other + b"\n")
        assert first.participant == alone.participant


def test_a_site_keeps_its_own_header(tmp_path: Path) -> None:
    text = "Datei;Patient_Nr;participant;Geschlecht\na.edf;7;Anna;f\n"
    read = table.read(
        write(tmp_path, text), {"record": "Datei", "participant": "patient nr", "sex": "Geschlecht"}
    )
    assert [(row.record, row.participant, row.sex) for row in read.rows] == [("a.edf", "7", "F")]
    # Their own column "participant" is not ours: it is named as not read, and its cells are nowhere.
    assert read.notes == (("participant", NOT_READ),)
    assert "Anna" not in repr(read)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"particpant": "x"}, "there is no column 'particpant'; nearest valid: participant"),
        ({"sex": "Geschlecht"}, "no column Geschlecht for 'sex' in the header"),
    ],
)
def test_wrong_mappings_are_named(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    with pytest.raises(TableError, match=message):
        rows_of(tmp_path, TEXT, columns)


def test_ids_are_one_whatever_the_unicode_form(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "record,participant\na,Mu\u0308\nb,M\u00fc\n")
    assert rows[0].participant == rows[1].participant == "M\u00fc"


@given(st.text(max_size=120))
def test_what_is_shown_is_one_plain_line(text: str) -> None:
    quoted = shown(text)
    assert quoted.isprintable()
    # Nothing that a spreadsheet takes for a formula.
    assert quoted == text or quoted[0] in "'\""
    assert len(quoted) <= 900


def row(participant: str, day: date | None = None, session: int | None = None, age: float | None = None,
        same: str | None = None, line: int = 2) -> Row:  # fmt: skip
    return Row(line, f"r{line}", participant, session, day, age, None, None, None, Stated(), same, ())


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 5)), min_size=1, max_size=12))
def test_dates_become_ranks(drawn: list[tuple[str, int]]) -> None:
    rows = [row(who, date(2020, 2, 27) + timedelta(days=day)) for who, day in drawn]
    found = table_people.sessions(rows, {})
    for (who, day), session in zip(drawn, found, strict=True):
        earlier = {other for person, other in drawn if person == who and other < day}
        assert session == len(earlier) + 1


def test_two_ids_of_one_person_share_the_ranks() -> None:
    rows = [row("A", date(2020, 1, 2)), row("B", date(2020, 1, 1))]
    assert table_people.sessions(rows, {}) == [1, 1]
    assert table_people.sessions(rows, {"B": "A"}) == [2, 1]


def test_a_given_session_wins_and_a_missing_one_is_unknown() -> None:
    rows = [
        row("A", date(2020, 1, 1), 3),
        row("A", date(2020, 1, 9)),
        row("B"),
        row("A", date(2020, 1, 2), 7),
    ]
    assert table_people.sessions(rows, {}) == [1, None, 1, 2]


@example(10, 100, 0)
@example(7, 7, 2)
@given(st.integers(0, 20_000), st.integers(0, 20_000), st.integers(0, 3))
def test_ids_look_alike_if_their_numbers_are_equal(first: int, second: int, zeros: int) -> None:
    rows = [row(f"P{first}-1"), row(f"p{'0' * zeros}{second}-1", line=3)]
    if first == second:
        with pytest.raises(TableError, match="look like one id"):
            table_people.aliases(rows)
    else:
        assert table_people.aliases(rows) == {}


def test_aliases_lead_to_one_id() -> None:
    chain = [row("A"), row("B", same="A"), row("C", same="B"), row("D"), row("C")]
    assert table_people.aliases(chain) == {"B": "A", "C": "A"}
    with pytest.raises(TableError, match="circle"):
        table_people.aliases([row("A", same="C"), *chain[1:]])


@pytest.mark.parametrize(
    ("ages", "fine"),
    [
        ([50, 50, 51], True),
        ([50, 51, 50], True),
        ([50, 52, 50], False),
        ([91, 90, 90], True),
        ([None, 5, None], True),
    ],
)
def test_nobody_grows_younger(ages: list[float | None], fine: bool) -> None:
    rows = [row("A", session=k, age=age, line=k) for k, age in enumerate(ages, start=1)]
    rows += [row("B", session=1, age=40), row("C", session=1, age=7, same="A")]
    same = {"C": "A"}
    found = table_people.disputed(rows, table_people.sessions(rows, same), same)
    assert found == (set() if fine else {"A", "C"})


def test_two_ages_in_a_session_and_a_session_unknown() -> None:
    rows = [
        row("A", session=1, age=60),
        row("A", session=1, age=30),
        row("B", session=1, age=30),
        row("B", age=60),
    ]
    assert table_people.disputed(rows, table_people.sessions(rows, {}), {}) == {"A"}


def test_ages_of_a_large_table_take_no_quadratic_time() -> None:
    rows = [row("A", session=1 + k // 10, age=40.0) for k in range(50_000)]
    assert table_people.disputed(rows, table_people.sessions(rows, {}), {}) == set()


@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_a_named_error(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    root = tmp_path_factory.mktemp("bytes")
    for content in (raw, b"record,participant,age,session,date\n" + raw):
        with suppress(TableError):
            assert isinstance(table.read(write(root, content)), Table)
