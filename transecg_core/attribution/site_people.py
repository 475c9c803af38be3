"""Which people the rows of one answer may rest on, so that no two of them differ by a few, and what each adds to them.

A row over ten people says nothing about one. Two rows do: so many people times the mean of one, less the same
of another, is the sum over whoever is in the first alone. What holds for a row must hold for every such sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from transecg_core.attribution.components import in_favour
from transecg_core.attribution.judgement import MIN_PEOPLE

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


def profiles(share_NK: np.ndarray, person_N: np.ndarray) -> np.ndarray:
    """Return each person's shares in favour of the target at each of their windows, (N, K), NaN where they have none.

    The server nets relevance over people as well; here the sign is cut off per person, and what is left is scaled
    to 1, so that everybody is the same part of a row. Otherwise whoever chose the weights could let all
    but one person cancel.
    """
    profile_NK = np.full_like(share_NK, np.nan)
    for person in np.unique(person_N):
        own_N = person_N == person
        told_NK = share_NK[own_N & np.isfinite(share_NK).all(axis=1)]
        if len(told_NK) and (found_K := in_favour(told_NK.mean(axis=0)[None])[0]).any():
            profile_NK[own_N] = found_K
    return profile_NK
