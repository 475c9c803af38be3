"""What a site says when it explains a model on its own probes: the questions, the words, the shape of a row.

Site and server share this, and nothing else: the site fills rows in, the server refuses whatever is not such a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from transecg_core.attribution.methods import CLAIM_PATCH
from transecg_core.model.heads import LOCAL_TASKS
from transecg_core.utility import PERSON_TASKS

METHODS_AT_SITE: tuple[str, ...] = ("component-occlusion", "gradient-attention")
"""Class-specific methods, one of each family; sorted. Every further one would be a further release."""

FIGURES: tuple[str, ...] = ("share", "duration", "enrichment", "ci95")
"""What is said of a component."""

DIGITS = 3
"""Decimals that leave a site. More would tell more about people, and nothing about hearts."""

TOO_FEW, NO_LABELS, NO_HEAD = "too few people", "no labels", "no own head"
NEAR_CHANCE, NOT_MEASURABLE, NO_RELEVANCE = "near chance", "not measurable", "no relevance"
DIFFERS = "differs by too few people"
COARSE, NOBODY_HELD_OUT = "patches too coarse", "nobody held out of training"
TOOK_NO_PART = "took no part"
WITHHELD, NOT_ALLOWED = "withheld under privacy", "withheld by the site"
NO_ANSWER, REFUSED = "no answer", "refused reply"

REASONS = {
    TOO_FEW: "fewer people with a labelled held-out window than a figure may rest on",
    NO_LABELS: "the site's data are published without labels of this task",
    NO_HEAD: "the site holds no participant head that it trained in this run",
    NEAR_CHANCE: "the head does no better than guessing on these people, so there is nothing to explain",
    NOT_MEASURABLE: "one class only, or too few people in a class, to tell the head from guessing",
    NO_RELEVANCE: "the map is empty for too many people, or nothing in it speaks for their true class",
    DIFFERS: "set against the answer's other rows, it would tell of fewer people than a figure may rest on",
    COARSE: f"claims about components need patch={CLAIM_PATCH}",
    NOBODY_HELD_OUT: "the head trained on everybody at the site, and may know them by heart",
    TOOK_NO_PART: "the site trained in no round of this run, and answers nothing about it",
    WITHHELD: "an institution sends no such figures under a guarantee",
    NOT_ALLOWED: "the site keeps these figures back, whatever the run: it answers nobody",
    NO_ANSWER: "the site refused or failed to answer, or not in time",
    REFUSED: "what the site sent is no such row of figures",
}
"""All reasons why a row has no components -> what each means; a closed list."""

FROM_DATA = frozenset({TOO_FEW, NO_LABELS, NO_HEAD, NEAR_CHANCE, NOT_MEASURABLE, NO_RELEVANCE, DIFFERS})
"""The reasons that lie in a site's data; those of `ruled_out` follow from the run's settings."""

AT_SITE = FROM_DATA | {COARSE, NOBODY_HELD_OUT, TOOK_NO_PART}
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


def ruled_out(question: Question, patch: int, held_out: bool) -> str | None:
    """Return why a run's settings leave no answer to a question, at whatever site; None where they do.

    Parameters
    ----------
    held_out
        Whether some people are held out of training. What heads of person tasks say of people whom they
        trained on may be about who they are: such a head gets sex right that was dealt out at random.
    """
    if patch != CLAIM_PATCH:
        return COARSE
    return NOBODY_HELD_OUT if question.task in PERSON_TASKS and not held_out else None


def row(question: Question, components: dict[str, Any], people: int, accuracy: float) -> Row:
    """Return one row as it leaves the site; all its figures are of the same people.

    Parameters
    ----------
    people
        How many they are.
    accuracy
        Mean over them of their share of right windows.
    """
    return _row(question, components, None, people, accuracy)


def row_without(question: Question, reason: str) -> Row:
    """Return a row without an answer: no components, and nothing else that follows from the data."""
    return _row(question, None, reason, None, None)


def rows_without(tasks: Iterable[str], reason: str) -> Iterator[Row]:
    """Yield a row for every question, all without an answer for one reason."""
    return (row_without(question, reason) for question in questions(tasks))


def _row(
    question: Question, components: dict[str, Any] | None, reason: str | None, people: int | None,
    accuracy: float | None,
) -> Row:  # fmt: skip
    return {
        **question._asdict(),
        "n_participants": people,
        "components": components,
        "reason": reason,
        "accuracy": accuracy,
    }
