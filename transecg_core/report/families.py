"""Families of attacks within each kind of risk, and one plain sentence of what each asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

WORST, SHORTCUT, ACROSS = "worst people: ", "shortcut: ", "cross-site "
"""How names of rows begin that are about the same attacks in another way."""


@dataclass(frozen=True)
class Family:
    """Attacks that ask one thing.

    Attributes
    ----------
    names
        How the attacks' names begin, or end (``*``); none holds whatever no other family of the kind does.
    """

    kind: str
    key: str
    title: str
    asks: str
    names: tuple[str, ...] = ()


FAMILIES: tuple[Family, ...] = (
    Family("A", "signal", "Comparing the recordings",
           "Does a plain comparison of two recordings find the right person?", ("raw-correlation", "pca", "fiducial")),
    Family("A", "untrained", "Encoders that never saw these people",
           "How much does an encoder give that was never trained on anybody here?",
           ("random-init", "pretrained-start")),
    Family("A", "cross-site", "Across sites",
           "Is a person enrolled at one site found in a recording from another?", (ACROSS,)),
    Family("A", "shortcut", "Shortcut tests",
           "Could a recorder, noise, heart rate or amplitude explain a match, and not the heart's shape?", (SHORTCUT,)),
    Family("A", "worst", "Most exposed people",
           "Who is found each time, without any doubt, from the recordings alone?", (WORST,)),
    Family("A", "other", "Other tests", "What else do the recordings give away without our model?"),
    Family("B", "identification", "Identification",
           "Given a gallery with names, does the encoder find who an unnamed recording is of?", ("identification",)),
    Family("B", "open-world", "Open world",
           "The same where most recordings are of people outside the gallery: who is found, and who wrongly?",
           ("open-world", "open world")),
    Family("B", "cross-site", "Across sites",
           "Is a person enrolled at one site found in a recording from another?", (ACROSS,)),
    Family("B", "adaptive", "Adaptive attacker",
           "Does an attacker who trains something on top of the encoder find more people?", ("adaptive",)),
    Family("B", "attributes", "Attributes",
           "Can sex or age be told from the embedding of somebody the attacker has never seen?",
           ("attribute", "sex inference", "age inference")),
    Family("B", "source", "Source site", "Can the institution be told from the embedding?", ("source-site",)),
    Family("B", "shortcut", "Shortcut tests",
           "Does the encoder tell people apart, or their recorders, noise and sites?", (SHORTCUT,)),
    Family("B", "worst", "Most exposed people", "Whom does the encoder find each time, without any doubt?", (WORST,)),
    Family("B", "other", "Other tests", "What else can the released encoder do?"),
    Family("C", "membership", "Membership, from the released model",
           "Can it be told from the final model alone whether somebody was in training?",
           ("embedding-consistency", "shared-head-loss")),
    Family("C", "shadow", "Membership, with models of one's own",
           "The same for an attacker who trains models of the same recipe to compare with.",
           ("shadow", "lira", "rmia")),
    Family("C", "rounds", "Membership, over the rounds",
           "The same for the server or another site, who see every round.", ("round-", "global-", "fedmia")),
    Family("C", "inversion", "Rebuilding recordings from updates",
           "Can a heartbeat be rebuilt from what a site sends, and its owner be named?",
           ("inversion", "*inversion")),
    Family("C", "gap", "Members against controls",
           "Does the encoder find its own training people better than others, beyond what their signals explain?",
           ("linkage-gap", ACROSS)),
    Family("C", "worst", "Most exposed people", "Whose membership shows most?", (WORST,)),
    Family("C", "other", "Other tests", "What else did training give away?"),
)  # fmt: skip


def family_of(row: Row) -> Family:
    """Return the family of a row of the risk table, by kind and name."""
    name, own = str(row["name"]).lower(), [f for f in FAMILIES if f.kind == row["kind"]]
    marked = [
        f for f in own if any(name.startswith(mark) for mark in (WORST, SHORTCUT, ACROSS) if mark in f.names)
    ]
    for family in marked or own:
        if any(_fits(name, part) for part in family.names):
            return family
    return own[-1]


def _fits(name: str, part: str) -> bool:
    return name.endswith(part[1:]) if part.startswith("*") else name.startswith(part)


def by_family(rows: Sequence[Row], kind: str) -> list[tuple[Family, list[Row]]]:
    """Return the families of a kind that have rows, in order, each with its rows in theirs."""
    held: dict[str, list[Row]] = {}
    for row in rows:
        if row["kind"] == kind:
            held.setdefault(family_of(row).key, []).append(row)
    return [(f, held[f.key]) for f in FAMILIES if f.kind == kind and f.key in held]


def not_measured(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the titles of families of B and C, but the catch-all, of which no row holds a figure."""
    known = {(row["kind"], family_of(row).key) for row in rows if row["main"] is not None}
    asked = [f for f in FAMILIES if f.kind in "BC" and f.key != "other"]
    return tuple(f"{f.kind} {f.title.lower()}" for f in asked if (f.kind, f.key) not in known)
