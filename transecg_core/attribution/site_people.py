"""Which people the rows of one answer may rest on, so that no two of them differ by a few.

A row over ten people says nothing about one. Two rows do: so many people times the mean of one, less the same
of another, is the sum over whoever is in the first alone. What holds for a row must hold for every such sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from transecg_core.attribution.judgement import MIN_PEOPLE

MOST_OF_ONE = 0.2
"""Most that one person may make up of a row's shares: the dominance rule of statistical disclosure control."""

Name = TypeVar("Name", bound=tuple[str, ...])


def settled(people_by_row: Mapping[Name, frozenset[int]]) -> dict[Name, frozenset[int]]:
    """Return the people that each row keeps; a row that is left out is to be withheld.

    People who are in exactly the same rows make a cell. Each cell left has `MIN_PEOPLE` people at least, so
    that any sum and difference of rows, of two or of more, rests on as many or on nobody.

    Whoever is in a smaller cell is taken out of all rows, which leaves the other cells as they were. Where a
    row would lose everybody, the smallest such row is withheld instead, and the rest is settled without it:
    with rows of `MIN_PEOPLE` people at least, the last of them is kept.

    Parameters
    ----------
    people_by_row
        Row -> index of everybody whom its figures could rest on.
    """
    asked = dict(people_by_row)
    while True:
        kept = _without_small_cells(asked)
        lost = [name for name in asked if not kept[name]]
        if not lost:
            return kept
        del asked[min(lost, key=lambda name: (len(asked[name]), name))]


def _without_small_cells(people_by_row: Mapping[Name, frozenset[int]]) -> dict[Name, frozenset[int]]:
    rows_of = {
        person: frozenset(name for name, people in people_by_row.items() if person in people)
        for person in frozenset().union(*people_by_row.values())
    }
    size = Counter(rows_of.values())
    few = {person for person, rows in rows_of.items() if size[rows] < MIN_PEOPLE}
    return {name: people - few for name, people in people_by_row.items()}


def dominated(share_PK: np.ndarray) -> bool:
    """Return whether one person could make up more than `MOST_OF_ONE` of what is left in favour of the target.

    Relevance for and against cancels over people, and what is left is scaled to 1. Whoever chose the weights could
    let everybody but one cancel, and the row would be that one's. The sizes of a person's shares sum
    to 1 at most, so that it can't be where enough is left.
    """
    left = float(np.clip(share_PK.mean(axis=0), 0, None).sum())
    return len(share_PK) * left * MOST_OF_ONE < 1
