"""How exposed each person is under one attack on one problem: rank, margin, certainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transecg_core.risk.curves import first_k
from transecg_core.risk.matching import group_means
from transecg_core.risk.problems import Problem
from transecg_core.risk.standing import Scores, rivals
from transecg_core.risk.verification import TIE


@dataclass(frozen=True)
class Exposure:
    """What an attack's scores mean for each query (K) and each unit of people (U) of a problem.

    Attributes
    ----------
    rank1_U
        Share of the person's queries that rank them first, ties broken at random.
    rank_U
        Expected rank, 1 is first, mean over their queries.
    margin_U
        Genuine score minus the largest impostor score, mean over their queries.
    certain_U
        bool; every query ranks them first, without a tie, and with a genuine score above every
        impostor score of every *other* person's queries. An attacker who accepts only matches above
        the largest wrong one seen elsewhere still names them, each time.
    chance_U
        Probability of `certain_U` where scores know nobody: at most this, see `largest_chance`.
    """

    rank1_U: np.ndarray
    rank_U: np.ndarray
    margin_U: np.ndarray
    certain_U: np.ndarray
    chance_U: np.ndarray


def exposure(problem: Problem, score_QG: Scores, unit_K: np.ndarray, units: int) -> Exposure:
    """Return the exposure of each unit: a canonical person, or one local id of theirs.

    Parameters
    ----------
    unit_K
        Unit of each query, 0..units-1; each has a query.
    """
    standing, own_K, best_K = rivals(score_QG, problem)
    first_K = first_k(standing, 1)

    def mean(value_K: np.ndarray) -> np.ndarray:
        return group_means(value_K[:, None], unit_K, units)[:, 0]

    return Exposure(
        mean(first_K),
        mean(1 + standing.above_K + standing.ties_K / 2),
        mean(own_K - best_K),
        _certain(problem, own_K, best_K, unit_K, units),
        _chance(problem, unit_K, units),
    )


def _certain(
    problem: Problem, own_K: np.ndarray, best_K: np.ndarray, unit_K: np.ndarray, units: int
) -> np.ndarray:
    lowest_U, alone_U = np.full(units, np.inf), np.ones(units, dtype=bool)
    np.minimum.at(lowest_U, unit_K, own_K)
    np.logical_and.at(alone_U, unit_K, own_K > best_K + TIE)
    # The largest wrong score of anybody else: the largest of all people's, or the second largest for its owner.
    wrong_P = np.full(len(problem.person_P), -np.inf)
    np.maximum.at(wrong_P, problem.person_K, best_K)
    order = np.argsort(wrong_P)
    top, second = order[-1], wrong_P[order[-2]] if len(order) > 1 else -np.inf
    person_U = np.zeros(units, dtype=np.int64)
    person_U[unit_K] = problem.person_K
    others_U = np.where(person_U == top, second, wrong_P[top])
    return np.asarray(alone_U & (lowest_U > others_U + TIE))


def largest_chance(people: int, enrolled: int) -> float:
    """Return the largest expected share of a site's people linked with certainty by scores that know nobody.

    Such scores are a fixed table, and who is who in it a random matching of `people` with `enrolled` entries.
    Of all best scores of a person with an entry, nobody below the largest wrong one is certain; so k people
    need the k largest to be right ones, which has probability (enrolled - k)! / enrolled! at most. A table
    reaches it, so nothing smaller holds for every one. Queries alike, or a device that makes all its
    similarities high, are within.
    """
    return float(np.cumprod(1.0 / (enrolled - np.arange(people))).sum() / people)


def _chance(problem: Problem, unit_K: np.ndarray, units: int) -> np.ndarray:
    """Return `largest_chance` at each unit's own site; only there could people be mixed up without any identity."""
    sites_P2 = np.unique(np.column_stack([problem.verified_K, problem.person_K]), axis=0)
    asked_K = np.bincount(sites_P2[:, 0])[problem.verified_K]
    sizes, size_K = np.unique(np.column_stack([asked_K, 1 + problem.pairs_K]), axis=0, return_inverse=True)
    chance = np.array([largest_chance(*size) for size in sizes.tolist()])
    return group_means(chance[size_K.ravel()][:, None], unit_K, units)[:, 0]
