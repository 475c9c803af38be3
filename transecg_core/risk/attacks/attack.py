"""The one interface of every attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from transecg_core.risk.artefacts import Given
from transecg_core.risk.rows import Kind

Measure = Literal[
    "linkage",
    "membership",
    "linkage-gap",
    "round-membership",
    "inversion",
    "inversion-study",
    "beside",
    "inference",
    "open-world",
    "shadow-membership",
]


@dataclass(frozen=True)
class Attack:
    """A declared attacker and what it does with what it holds.

    The attack only scores. Who is who and who was a member stays with the evaluator
    (`transecg_core.risk.linkage`, `.membership`, `.linkage_gap`), which turns the scores
    into main, control and baseline.

    Attributes
    ----------
    kind
        A signal linkability, B model capability, C training leakage.
    observer
        Who could do this; a row of the threat model.
    auxiliary_data
        What the attacker is assumed to hold besides the artefacts of the run, in words.
    artefacts
        Names in `transecg_core.risk.artefacts.ARTEFACTS`; nothing else is handed over.
    measure
        ``linkage`` and ``linkage-gap``: `run` returns similarities of every query with
        every enrolled person (Q, G). ``membership``: `run` returns one score per target
        (T,), higher for "was trained on", NaN where there is none. ``round-membership``: one per
        target and round (T, R). ``inversion``: the likeness (R, S, G) of what each round and site's update
        gives with each enrolled person. ``inversion-study``: the window (L,) rebuilt from one
        client's update. ``beside``: similarities (Q, G), read beside identification's.
        ``open-world``: similarities (Q, G) with whoever is enrolled in that world.
        ``inference``: log-probabilities of classes (Q + G, C) of every query and enrolled person.
    run
        The attack; returns what its measure takes, and raises `NotMeasurable` where the data can't carry it.
    """

    name: str
    kind: Kind
    observer: str
    auxiliary_data: str
    artefacts: tuple[str, ...]
    measure: Measure
    run: Callable[[Given], Any]


ANYBODY = "anyone with the recordings"
RELEASED_MODEL = "released-model"
SERVER = "server"
OTHER_SITE = "other-site"
GALLERY_WORDS = (
    "identified gallery records of every site's people and, with the site it comes from, "
    "an unidentified probe record"
)
TARGETS_WORDS = "the person's own windows with their labels, and other people's to compare"
