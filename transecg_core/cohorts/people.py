"""What the records of one person say about that person, taken together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transecg_core.cohorts.reader import Entry

TWO_SEXES = "person: two sexes in the data"
YOUNGER = "person: younger at a later session"


def agreed(entries: Iterable[Entry], person: Callable[[str], str]) -> list[Entry]:
    """Return `entries` in their order, with contradictions between records of a person noted.

    Two sexes leave none: which one is wrong can't be known. An age that goes down from one session to a
    later one is noted on the later record and left as it is.

    Parameters
    ----------
    entries
        The dataset's index; records that are skipped anyway have no say.
    person
        Local participant id -> the person behind it.
    """
    found = list(entries)
    by_person: dict[str, list[int]] = defaultdict(list)
    for place, entry in enumerate(found):
        if entry.skip is None:
            by_person[person(entry.participant)].append(place)
    for places in by_person.values():
        records = [found[place] for place in places]
        two = len({entry.sex for entry in records if entry.sex is not None}) > 1
        for place, entry in zip(places, records, strict=True):
            notes = (TWO_SEXES,) * two + (YOUNGER,) * _younger(entry, records)
            sex = None if two else entry.sex
            found[place] = replace(entry, sex=sex, notes=(*entry.notes, *notes))
    return found


def _younger(entry: Entry, records: Iterable[Entry]) -> bool:
    """Return whether a record of an earlier session gives a higher age (session ranks count per id)."""
    return entry.age is not None and any(
        other.age is not None
        and other.age > entry.age
        and other.session < entry.session
        and other.participant == entry.participant
        for other in records
    )
