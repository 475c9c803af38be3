"""Which lead of a record is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

LEADS = ("I", "II", "MLII", "V5", "V4", "V6", "V3", "V2", "V1", "III", "AVF", "AVL", "AVR", "ECG")
"""One lead per record: the first of these it has. I and II look alike across cohorts and are
what wearables record; the modified II of Holter tapes is the nearest to them, then lateral leads. Last,
a lead that its file calls nothing but ``ECG``."""
MV_PER_UNIT = {"mV": 1.0, "uV": 1e-3, "V": 1e3}

_UNNAMED = re.compile(r"E[CK]G ?[0-9]*")


class UnsafeRecord(ValueError):
    """A record we don't hand to a decoder; the message is a skip reason, without names."""


def lead_name(spelling: str) -> str:
    """Return a lead's standard spelling: ``ECG I`` and ``i`` are ``I``; others in capitals.

    ``ECG`` and ``ECG1`` are ``ECG``: which lead that is isn't known.
    """
    name = spelling.strip().upper()
    return "ECG" if _UNNAMED.fullmatch(name) else name.removeprefix("ECG ").strip()


@dataclass(frozen=True)
class LeadChoice:
    """What a site says about its leads.

    Attributes
    ----------
    wanted
        The lead to read, in standard spelling; None takes the first of `LEADS` that a record has.
    names
        The site's own spellings -> standard ones, beyond what `lead_name` knows.
    nearest
        Spellings of leads that are no standard ones -> the standard lead they come nearest to.
        A record read by one of them is noted.
    """

    wanted: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    nearest: Mapping[str, str] = field(default_factory=dict)

    def standard(self, spelling: str) -> str:
        """Return the standard name of the lead that is spelt so."""
        return self.names.get(spelling) or self.nearest.get(spelling) or lead_name(spelling)

    def note(self, spelling: str) -> str | None:
        """Return what to say about reading the lead spelt so, if anything."""
        if spelling in self.names or spelling not in self.nearest:
            return None
        return f"record kept: lead {spelling} read as {self.nearest[spelling]}"

    def pick(self, spellings: Sequence[str], units: Sequence[str]) -> tuple[int, str]:
        """Return index and standard name of the lead to read.

        Raises
        ------
        UnsafeRecord
            If none of the acceptable ones is there in a unit of voltage.
        """
        names = [self.standard(spelling) for spelling in spellings]
        for lead in LEADS if self.wanted is None else (self.wanted,):
            for index, name in enumerate(names):
                if name == lead and units[index] in MV_PER_UNIT:
                    return index, lead
        if self.wanted is not None:
            raise UnsafeRecord(f"record: no lead {self.wanted} in millivolts")
        raise UnsafeRecord("record: no known lead in millivolts")


EVERY_LEAD = LeadChoice()


@dataclass(frozen=True)
class Decoded:
    """One lead of a record as its file holds it; ``signal_mv`` is float32, shape (T,), in millivolts.

    ``notes`` says what was odd about it and yet no reason to leave it out: ``record kept: ...``.
    """

    fs_hz: float
    lead: str
    signal_mv: np.ndarray
    notes: tuple[str, ...] = ()
