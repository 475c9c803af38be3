"""What a site says when it explains a model on its own probes: the questions, the words, the shape of a row.

Site and server share this, and nothing else: the site fills rows in, the server refuses whatever is not such a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from transecg_core.model.heads import LOCAL_TASKS

METHODS_AT_SITE: tuple[str, ...] = ("component-occlusion", "gradient-attention")
"""Class-specific methods, one of each family; sorted. Every further one would be a further release."""

DIGITS = 3
"""Decimals that leave a site. More would tell more about people, and nothing about hearts."""

TOO_FEW, NO_LABELS, NO_HEAD = "too few people", "no labels", "no own head"
NEAR_CHANCE, NOT_MEASURABLE, NO_RELEVANCE = "near chance", "not measurable", "no relevance"
TOOK_NO_PART = "took no part"
WITHHELD, NOT_ALLOWED = "withheld under privacy", "withheld by the site"
NO_ANSWER, REFUSED = "no answer", "refused reply"

REASONS = {
    TOO_FEW: "fewer people with a labelled held-out window than a figure may rest on",
    NO_LABELS: "the site's data are published without labels of this task",
    NO_HEAD: "the site holds no participant head that it trained in this run",
    NEAR_CHANCE: "the head does no better than guessing on these people, so there is nothing to explain",
    NOT_MEASURABLE: "one class only, or too few people in a class, to tell the head from guessing",
    NO_RELEVANCE: "for too many people the map has no relevance in favour of the true class",
    TOOK_NO_PART: "the site trained in no round of this run, and answers nothing about it",
    WITHHELD: "an institution sends no such figures under a guarantee",
    NOT_ALLOWED: "the site keeps these figures back, whatever the run: it answers nobody",
    NO_ANSWER: "the site refused or failed to answer, or not in time",
    REFUSED: "what the site sent is no such row of figures",
}
"""All reasons why a row has no components -> what each means; a closed list."""

AT_SITE = frozenset({TOO_FEW, NO_LABELS, NO_HEAD, NEAR_CHANCE, NOT_MEASURABLE, NO_RELEVANCE, TOOK_NO_PART})
"""The reasons that a site may give; the others are the server's."""

Row = dict[str, Any]


class Question(NamedTuple):
    """What one row answers: by which components `method` explains the head of `task`."""

    task: str
    head: str
    method: str


def questions(tasks: Iterable[str]) -> tuple[Question, ...]:
    """Return what a site is asked about a run of these tasks, sorted; local tasks have the site's own head."""
    heads = sorted((task, "own" if task in LOCAL_TASKS else "shared") for task in tasks)
    return tuple(Question(task, head, method) for task, head in heads for method in METHODS_AT_SITE)


def row(
    question: Question, components: dict[str, Any] | None, reason: str | None, people: int | None = None,
    accuracy: float | None = None,
) -> Row:  # fmt: skip
    """Return one row as it leaves the site.

    Parameters
    ----------
    people
        People behind the components; of a row without them, people with a label. None where too few.
    """
    return {
        **question._asdict(),
        "n_participants": people,
        "components": components,
        "reason": reason,
        "accuracy": accuracy,
    }


def rows_without(tasks: Iterable[str], reason: str) -> Iterator[Row]:
    """Yield a row for every question, all without an answer for one reason."""
    return (row(question, None, reason) for question in questions(tasks))
