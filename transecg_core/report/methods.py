"""The attribution methods on the page: in which order, with which mark, and what they are in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from transecg_core.attribution.methods import CLAIM_METHODS
from transecg_core.report.svg import BLUE, GREEN, INK, ORANGE, PURPLE, VERMILLION

BESIDE: tuple[str, ...] = ("cls-attention", "rollout")
"""What TransECG and others looked at: drawn beside the maps that may count, never counted."""
METHOD_ORDER: tuple[str, ...] = (*CLAIM_METHODS, *BESIDE)
"""Methods with a picture; the random control is in the table only."""

WORDS: dict[str, str] = {
    "gradient-attention": "attention weighted by the gradient of the task's score",
    "integrated-gradients": "gradients summed on the way from other people's beats to this one",
    "occlusion": "what the score loses when 20 ms are somebody else's",
    "component-occlusion": "what the score loses when a whole wave is somebody else's",
    "cls-attention": "raw attention of the last layer (TransECG's); never sees the task",
    "rollout": "attention multiplied through the layers; never sees the task",
    "random": "random scores: the negative control",
}


class Mark(NamedTuple):
    """How a series is drawn: by shape as well as colour."""

    shape: str
    colour: str
    css: str


MARKS: tuple[Mark, ...] = (
    Mark("o", BLUE, ""),
    Mark("^", GREEN, "up"),
    Mark("s", VERMILLION, "square"),
    Mark("D", ORANGE, "diamond"),
    Mark("v", PURPLE, "down"),
    Mark("P", INK, "plus"),
)
"""Of the claim-carrying methods, in their order; of the arms of a comparison, in theirs."""


def in_order(methods: Iterable[str]) -> list[str]:
    """Return method names as the page lists them: those that may carry a claim first, unknown ones last."""
    known = {name: place for place, name in enumerate((*METHOD_ORDER, "random"))}
    return sorted(methods, key=lambda name: (known.get(name, len(known)), name))
