"""The label columns of a participants table: what is read, what counts as unknown, what is refused.

Every archive writes "not known" in its own way, and so do people who are neither sex. A value in a form that isn't
read at all (``w`` beside ``m``, a year of birth, a decimal comma) is another matter: counted as unknown it would
leave out one class only, silently. It stops reading, whoever's row it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from transecg_core.cohorts.listing import TABLE, quoted, shown
from transecg_core.cohorts.people import parse_age, parse_sex
from transecg_core.cohorts.table_text import TableError

NO_VALUE = "table: a label's column without any value"
AS_UNKNOWN = "table: values that count as unknown"
ONE_SEX = "table: one sex only, beside values that count as unknown"
TASK_COLUMNS = {"sex": "sex", "age": "age", "beats": "beat", "diagnosis": "diagnosis"}
"""A label's column in the table's header -> the task it declares, whatever its cells hold."""
NOT_KNOWN = frozenset(
    (
        "",
        "-",
        "--",
        ".",
        "?",
        "n/a",
        "#n/a",
        "na",
        "k.a.",
        "nan",
        "none",
        "null",
        "unknown",
        "unk",
        "unbekannt",
    )
)
"""How archives write that something isn't known, in lower case."""
NEITHER = frozenset(("u", "x", "d", "o", "divers", "diverse", "other", "intersex", "non-binary", "nonbinary"))
"""Sexes that the task doesn't have a class for."""

_NO_AGE = re.compile(r"-[0-9]{1,4}(\.[0-9]+)?|999")
"""Codes for a missing age."""


def refuse_illegible(line: int, cell: Mapping[str, str]) -> None:
    """Refuse an age or a sex that is neither read nor a way to say that it isn't known.

    Raises
    ------
    TableError
        With the line, the value and what may stand there.
    """
    age, sex = cell.get("age", ""), cell.get("sex", "")
    if parse_age(age) is None and not _unknown("age", age):
        raise TableError(f"age {shown(age)} is not understood; write years with a decimal point (no year of birth, no "
                         "unit; >89 above 89), or nothing, N/A or -1 where it isn't known", line)  # fmt: skip
    if parse_sex(sex) is None and not _unknown("sex", sex):
        raise TableError(f"sex {shown(sex)} is not understood; write F, M, female or male; or nothing, N/A, "
                         "U, X or other where it is neither or isn't known", line)  # fmt: skip


def _unknown(column: str, text: str) -> bool:
    """Return whether a cell says, in words or a code, that there is no value that could be used."""
    word = text.lower()
    return word in NOT_KNOWN or (word in NEITHER if column == "sex" else _NO_AGE.fullmatch(word) is not None)


def notes(cells: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield (what, note) about label columns that are blank, or hold values that count as unknown.

    The count and one such value stand in ``what``, which stays on the machine.

    Parameters
    ----------
    cells
        Our column -> cell, of each row with a participant; none of them illegible.
    """
    for column in TASK_COLUMNS:
        values = [cell[column] for cell in cells if cell.get(column)]
        if not values:
            if column in cells[0]:
                yield f"{TABLE}: {column}", NO_VALUE
        elif column in ("age", "sex") and (unknown := [value for value in values if _unknown(column, value)]):
            sexes = {parse_sex(value) for value in values} - {None}
            count = f"{len(unknown)} cell{'s' * (len(unknown) > 1)} such as {quoted(unknown[0])}"
            yield (
                f"{TABLE}: {column}, {count}",
                ONE_SEX if column == "sex" and len(sexes) == 1 else AS_UNKNOWN,
            )
