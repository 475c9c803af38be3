"""Whom a figure is about, and what its observer holds, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from transecg_core.report.headline import Row
from transecg_core.report.numbers import count

_CONTROLS = re.compile(r"(?:^|[;,] )(\d+) controls\b")
_BOTH = re.compile(r"(?:^|; )(\d+) members, (\d+) controls\b")

SYNTHETIC, UNDECLARED = "synthetic people", "people of unknown membership"
"""Values of ``data.audited_on`` beside ``participants``."""

HOLDS: dict[str, str] = {
    "shared-head-loss": "the person's own training windows with their labels, and other people's to compare",
    "embedding-consistency": "the person's own training windows, and other people's to compare",
}
"""What the observer of a membership attack holds; other attacks say it in ``auxiliary_data``."""


def holds(row: Row) -> str:
    """Return what the observer of a training-leakage row holds beside the model."""
    return HOLDS.get(row["name"]) or row["auxiliary_data"] or "nothing beside it"


def about_whom(row: Row, data: Mapping[str, Any]) -> str:
    """Return whom `main` and its interval are about, with their number; empty where that is not known.

    B is about members: people the model trained on, save in a pilot, whose synthetic people never trained,
    and for a model from elsewhere of which nobody says whom it was trained on.
    """
    n = row["n_participants"]
    if not n:
        return ""
    pilot = data["audited_on"] == SYNTHETIC
    if row["kind"] == "B" and data["audited_on"] == UNDECLARED:
        return f"{count(n)} people it may or may not have trained on"
    if row["kind"] == "B":
        return f"{count(n)} {'synthetic people, none of whom trained' if pilot else 'people it trained on'}"
    both = _BOTH.search(row["notes"] or "") if row["kind"] == "C" else None
    if both:
        return f"{count(int(both[1]))} members, {count(int(both[2]))} controls"
    return f"{count(n)} {'synthetic people' if pilot else 'people'}"


def never_trained_on(row: Row) -> str:
    """Return whom the control of a B row is about, with their number where the notes tell it."""
    found = _CONTROLS.search(row["notes"] or "")
    return f"{count(int(found[1]))} people never trained on" if found else "people never trained on"
