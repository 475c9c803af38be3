"""What records say about people: ages and sexes in all their spellings, and contradictions between records."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from transecg_core.cohorts.schema import Sex

if TYPE_CHECKING:
    from transecg_core.cohorts.reader import Entry

TWO_SEXES = "person: two sexes in the data"
TWO_AGES = "person: ages that contradict each other in the data"
YOUNGER = "person: younger at a later session"
AGE_UNKNOWN, SEX_UNKNOWN = "record kept: age unknown", "record kept: sex unknown"
AGE_HIDDEN = "record kept: age given as 90 or older"
OLDEST = 90.0
"""Ages over 89 are hidden in public data (``>89``, 300): they read as 90."""


def parse_age(text: str | None) -> float | None:
    """Return an age in years; None for anything that isn't one (absent, ``-``, -1, words)."""
    text = (text or "").strip()
    if text.startswith(">"):
        return OLDEST if text[1:].strip() == "89" else None
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?", text):
        return None
    age = float(text)
    return OLDEST if age == 300 else age if age <= 120 else None


def parse_sex(text: str | None) -> Sex | None:
    """Return the sex, from a letter or a word in any case; None if not known."""
    word = (text or "").strip().lower()
    return "F" if word in ("f", "female") else "M" if word in ("m", "male") else None


def described(age: str | None, sex: str | None) -> tuple[float | None, Sex | None, tuple[str, ...]]:
    """Return age, sex, and what to note about them, from a record's own words."""
    years, letter = parse_age(age), parse_sex(sex)
    notes: list[str] = []
    if years is None:
        notes.append(AGE_UNKNOWN)
    elif years == OLDEST and not re.fullmatch(r"90(\.0+)?", (age or "").strip()):
        notes.append(AGE_HIDDEN)
    if letter is None:
        notes.append(SEX_UNKNOWN)
    return years, letter, tuple(notes)


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
