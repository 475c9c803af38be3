"""Hostile participants tables: cells, people, sessions."""

from __future__ import annotations

from collections.abc import Iterator

from hostile import GOOD, Case
from hostile_table import HEADER, OK, OTHER, case, row_case


def cell_cases() -> Iterator[Case]:
    """Values that a column doesn't allow, and those that are unknown."""
    for name, row, reason in (
        ("session 0", "101,P2,0,60,M", "session 0 is no whole number"),
        ("session -1", "101,P2,-1,60,M", "no whole number"),
        ("session 1.5", "101,P2,1.5,60,M", "session 1.5"),
        ("session in words", "101,P2,first,60,M", "line 3: session first"),
        ("session 10^9", "101,P2,1000000000,60,M", "no whole number"),
        ("session in Arabic digits", "101,P2,\u0661,60,M", "no whole"),
        (
            "a formula for a participant",
            "101,=cmd(),1,60,M",
            "line 3: participant '=cmd\\(\\)' is no plain id",
        ),
        ("a link for a participant", '101,"=HYPERLINK(""http://x"",1)",1,60,M', "no plain id"),
        ("a path for a participant", "101,../P1,1,60,M", "no plain id"),
        ("a long participant", f"101,{'P' * 65},1,60,M", "no plain id"),
        ("a turned-round participant", "101,P\u202e2,1,60,M", "no plain id"),
        ("a broken participant", '101,"P\n2",1,60,M', "line 3: is no CSV"),
        ("participant in another case", "101,p1,1,50,F", "look like one id"),
        ("leading zero", "101,P01,1,50,F", "look like one id"),
        ("wide participant", "101,\uff301,1,50,F", "look like one id"),
        ("a record twice", f"{GOOD},P2,1,60,M", "line 3: record 100 is on line 2"),
        ("a record twice, spelt otherwise", f"{GOOD}.hea,P2,1,60,M", "is on line 2 too"),
        ("no record", ",P2,1,60,M", "record is blank"),
        ("age 10^99", "101,P2,1,1e99,M", "line 3: age 1e99 is not understood"),
        (
            "age of a year of birth",
            "101,P2,1,1956,M",
            "line 3: age 1956 is not understood; .*no year of birth",
        ),
        ("age with a comma", '101,P2,1,"56,5",M', "line 3: age '56,5' is not understood; .*decimal point"),
        ("age in Arabic digits", "101,P2,1,\u0661\u0662,M", "line 3: age .* is not understood"),
        ("sex of another language", "101,P2,1,60,w", "line 3: sex w is not understood; write F, M"),
        ("sex in a code", "101,P2,1,60,2", "line 3: sex 2 is not understood"),
        ("sex as a formula", "101,P2,1,60,=F", "line 3: sex '=F' is not understood"),
    ):
        yield row_case(name, row, "refused", reason)
    for name, row, note in (
        ("age -1", "101,P2,1,-1,M", "age unknown"),
        ("age 300", "101,P2,1,300,M", "90 or older"),
        ("age N/A", "101,P2,1,N/A,M", "age unknown"),
        ("no age", "101,P2,1,,M", "age unknown"),
        ("age >89", "101,P2,1,>89,M", "90 or older"),
        ("sex X", "101,P2,1,60,X", "one sex only"),
        ("two sexes", "101,P1,1,50,M", "sex"),
        ("two ages in a session", "101,P1,1,60,F", "^person: ages that contradict each other in the data$"),
        ("younger in session 2", "101,P1,2,40,F", "^person: ages that contradict each other in the data$"),
        ("record name with extension", "101.dat,P2,1,60,M", ""),
        ("session 2.0", "101,P1,2.0,50,F", ""),
    ):
        yield row_case(name, row, "kept", note)
    yield case(
        "nobody assigned", f"{HEADER}\n{GOOD},,1,50,F\n", "refused", "participant is blank in all 1 rows"
    )
    extra: tuple[tuple[str, str, str], ...] = (
        ("diagnosis", "AF", "write normal, abnormal"),
        ("beats", "../atr", "no extension"),
        ("beats", "atr", "atr file missing"),
        ("units", "pV", "write one of mV, uV, V"),
        ("lead", "=I", "no name of a lead"),
        ("fs-hz", "1000000000", "no sampling rate"),
        ("fs-hz", "0", "no sampling rate"),
        ("fs-hz", "-360", "no sampling rate"),
        ("fs-hz", "nan", "no sampling rate"),
        ("fs-hz", '"360,5"', "no sampling rate"),
        ("fs-hz", "250", "differs from the file"),
        ("column", "II", "no channel"),
    )
    for column, value, reason in extra:
        text = f"{HEADER},{column}\n{OK},\n{OTHER},{value}\n"
        skipped = reason in ("atr file missing", "differs from the file", "no channel")
        yield case(f"{column} {value}", text, "skipped" if skipped else "refused", reason)


def people_cases() -> Iterator[Case]:
    """Sessions against dates, and who is whom."""

    def dated(*rows: str) -> str:
        return "\n".join(("record,participant,session,date", *rows)) + "\n"

    def same(*rows: str) -> str:
        return "\n".join(("record,participant,session,same-person-as", *rows)) + "\n"

    for value in (
        "2020-02-30",
        "03/04/2020",
        "2020-1-1",
        "20200101",
        "31.02.2020",
        "yesterday",
        "43831",
        "0000-01-01",
    ):
        yield case(
            f"date {value}",
            dated("100,P1,,2020-01-01", f"101,P2,,{value}"),
            "refused",
            f"line 3: date '?{value}",
        )
    for name, text, reason in (
        (
            "later session, earlier day",
            dated("100,P1,1,2020-05-01", "101,P1,2,2020-01-01"),
            "session 1 is later than session 2 ",
        ),
        (
            "two sessions on a day",
            dated("100,P1,1,2020-05-01", "101,P1,2,2020-05-01"),
            "on the day of session 1",
        ),
        ("same as itself", same("100,P1,1,", "101,P2,1,P2"), "in a circle"),
        ("a circle", same("100,P1,1,P2", "101,P2,1,P1"), "in a circle"),
        ("same as nobody", same("100,P1,1,", "101,P2,1,P9"), "no participant of this table"),
        ("same as two", same("100,P1,1,", "101,P2,1,P1", "102,P3,1,", "103,P2,1,P3"), "another on line 3"),
        ("same as a formula", same("100,P1,1,", "101,P2,1,=P1"), "no plain id"),
    ):
        yield case(name, text, "refused", reason)
    yield case("a day is missing", dated("100,P1,,2020-05-01", "101,P1,,"), "skipped", "session unknown")
    yield case(
        "no day of one person", dated("100,P1,,2020-05-01", "101,P2,,"), "kept", "counted as session 1"
    )
    yield case(
        "no session at all",
        "record,participant\n100,P1\n101,P2\n",
        "kept",
        "every record counts as session 1",
    )
    yield case("days in two forms", dated("100,P1,,2020-05-01T10:00", "101,P1,,02.05.2020"), "kept", "^$")
    yield case(
        "labels declared, none given",
        "record,participant,session,diagnosis\n100,P1,1,\n101,P2,1,\n",
        "kept",
        "label's column without any value",
    )


def cases() -> list[Case]:
    """Return all cases, each on a folder with two good records."""
    return [*cell_cases(), *people_cases()]
