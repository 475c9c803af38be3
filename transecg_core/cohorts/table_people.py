"""Who is who, and which visit is which, in a participants table; contradictions in that are refused."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, pairwise

from transecg_core.cohorts.listing import shown
from transecg_core.cohorts.people import OLDEST
from transecg_core.cohorts.table import Row
from transecg_core.cohorts.table_text import TableError

NO_SESSION = "record kept: no session or date, counted as session 1"
SESSION_UNKNOWN = "record: session unknown, though the person's other records have one"
AGE_SLACK = 1.0
"""Ages are written in whole years, by one archive on the birthday, by the next at the new year."""


def aliases(rows: Sequence[Row]) -> dict[str, str]:
    """Return participant -> the id that stands for the same person, as ``same-person-as`` declares.

    Raises
    ------
    TableError
        If a declaration names nobody, contradicts another, or comes back to where it began; and if
        two ids look so much alike that they may be one person's.
    """
    known = {row.participant: row.line for row in reversed(rows)}
    _refuse_lookalikes(known)
    said: dict[str, Row] = {}
    for row in rows:
        other = row.same_person_as
        if other is None:
            continue
        if other not in known:
            raise TableError(f"same-person-as {shown(other)} is no participant of this table", row.line)
        first = said.setdefault(row.participant, row)
        if first.same_person_as != other:
            raise TableError(f"same-person-as of {shown(row.participant)} is another on line {first.line}; "
                             "name one", row.line)  # fmt: skip
    return {local: _end(local, said) for local in sorted(said)}


def _end(local: str, said: Mapping[str, Row]) -> str:
    """Follow declarations to the id that stands for the person."""
    path = [local]
    while (row := said.get(path[-1])) is not None:
        path.append(str(row.same_person_as))
        if path[-1] in path[:-1]:
            raise TableError(f"same-person-as goes round in a circle ({' - '.join(map(shown, path[:4]))}); name "
                             "the id to keep, and leave its own cell empty", row.line)  # fmt: skip
    return path[-1]


def _refuse_lookalikes(known: Mapping[str, int]) -> None:
    """Refuse ids that differ in case, width, spaces or leading zeros only: one person under two ids."""
    seen: dict[str, str] = {}
    for local in sorted(known, key=lambda name: known[name]):
        key = re.sub(r"[\s._-]+", "-", unicodedata.normalize("NFKC", local).casefold())
        first = seen.setdefault(re.sub(r"(?<!\d)0+(?=\d)", "", key), local)
        if first != local:
            raise TableError(f"participants {shown(first)} (line {known[first]}) and {shown(local)} look like one "
                             "id; write it one way, or make two people's ids differ", known[local])  # fmt: skip


def sessions(rows: Sequence[Row], person: Mapping[str, str]) -> list[int | None]:
    """Return each row's session, None where it can't be known.

    The rank among the person's of ``session``; else that of ``date``; else 1 for everything of a
    person of whom the table gives neither.

    Parameters
    ----------
    rows
        All rows.
    person
        Participant -> id that stands for the person; absent: the id itself.

    Raises
    ------
    TableError
        If sessions contradict dates.
    """
    found: list[int | None] = [None] * len(rows)
    for indices in _by(rows, lambda row: row.participant):
        _refuse_disorder([rows[index] for index in indices])
    for indices in _by(rows, lambda row: _person(row, person)):
        of_person = [rows[index] for index in indices]
        for index, session in zip(indices, _ranked(of_person), strict=True):
            found[index] = session
    return found


def _by(rows: Sequence[Row], key: Callable[[Row], str]) -> list[list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[key(row)].append(index)
    return list(groups.values())


def _ranked(rows: Sequence[Row]) -> list[int | None]:
    given = [row.session for row in rows]
    if not any(given):
        given = [None if row.day is None else row.day.toordinal() for row in rows]
    if not any(given):
        return [1] * len(rows)
    rank = {session: k for k, session in enumerate(sorted({value for value in given if value}), start=1)}
    return [None if value is None else rank[value] for value in given]


def _refuse_disorder(rows: Sequence[Row]) -> None:
    """Refuse two sessions on one day, and a later session on an earlier day."""
    both = [row for row in rows if row.session is not None and row.day is not None]
    both.sort(key=lambda row: (row.day, row.session))
    for before, after in pairwise(both):
        if before.day == after.day and before.session != after.session:
            raise TableError(f"session {after.session} is on the day of session {before.session} (line "
                             f"{before.line}); correct session or date", after.line)  # fmt: skip
        if (before.session or 0) > (after.session or 0):
            raise TableError(f"session {after.session} is later than session {before.session} (line "
                             f"{before.line}); correct session or date", after.line)  # fmt: skip


def disputed(rows: Sequence[Row], found: Sequence[int | None], person: Mapping[str, str]) -> set[str]:
    """Return who is of two ages in one session, or grows younger from one to the next: none of their ages is used.

    Not refused: the server sees that a site refuses, and one person's ages must not show.

    Parameters
    ----------
    rows, person
        As for `sessions`.
    found
        Each row's session. Sessions are compared within an id; the dispute is the whole person's.
    """
    two: set[str] = set()
    for indices in _by(rows, lambda row: row.participant):
        oldest = 0.0
        known = sorted((session, k) for k in indices if (session := found[k]) is not None)
        for _, group in groupby(known, key=lambda pair: pair[0]):
            # Ages over 89 are written in several ways.
            ages = [min(age, OLDEST) for _, k in group if (age := rows[k].age) is not None]
            oldest = max([oldest, *ages])
            if ages and min(ages) < oldest - AGE_SLACK:
                two.add(_person(rows[indices[0]], person))
    return {row.participant for row in rows if _person(row, person) in two}


def _person(row: Row, person: Mapping[str, str]) -> str:
    return person.get(row.participant, row.participant)
