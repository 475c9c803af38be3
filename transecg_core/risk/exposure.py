"""How exposed each person is under one attack on one problem: rank, margin, certainty."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from transecg_core.risk.curves import first_k
from transecg_core.risk.matching import group_means
from transecg_core.risk.problems import Problem
from transecg_core.risk.standing import Scores, Standing

_TIE = 1e-9
"""Scores closer than this are equal, as in `standing`."""


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
        Largest probability of `certain_U` where scores know nobody.
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
    score_KG = score_QG[problem.query_K]
    rows = np.arange(len(problem.genuine_K))
    own_K = score_KG[rows, problem.genuine_K]
    best_K = np.where(problem.impostor_KG, score_KG, -np.inf).max(axis=1)
    above_K = (problem.impostor_KG & (score_KG > own_K[:, None] + _TIE)).sum(axis=1)
    tied_K = (problem.impostor_KG & (np.abs(score_KG - own_K[:, None]) <= _TIE)).sum(axis=1)
    first_K = first_k(Standing(above_K, tied_K, problem.rivals_K), 1)

    def mean(value_K: np.ndarray) -> np.ndarray:
        return group_means(value_K[:, None], unit_K, units)[:, 0]

    return Exposure(
        mean(first_K),
        mean(1 + above_K + tied_K / 2),
        mean(own_K - best_K),
        _certain(problem, own_K, best_K, unit_K, units),
        _chance(problem, unit_K, units),
    )


def _certain(
    problem: Problem, own_K: np.ndarray, best_K: np.ndarray, unit_K: np.ndarray, units: int
) -> np.ndarray:
    lowest_U, alone_U = np.full(units, np.inf), np.ones(units, dtype=bool)
    np.minimum.at(lowest_U, unit_K, own_K)
    np.logical_and.at(alone_U, unit_K, own_K > best_K + _TIE)
    # The largest wrong score of anybody else: the largest of all people's, or the second largest for its owner.
    wrong_P = np.full(len(problem.person_P), -np.inf)
    np.maximum.at(wrong_P, problem.person_K, best_K)
    order = np.argsort(wrong_P)
    top, second = order[-1], wrong_P[order[-2]] if len(order) > 1 else -np.inf
    person_U = np.zeros(units, dtype=np.int64)
    person_U[unit_K] = problem.person_K
    others_U = np.where(person_U == top, second, wrong_P[top])
    return np.asarray(alone_U & (lowest_U > others_U + _TIE))


def _chance(problem: Problem, unit_K: np.ndarray, units: int) -> np.ndarray:
    """Return 1 / C(m + q, q): the q genuine scores are the largest of q and the m impostor scores of others."""
    pairs_K = problem.impostor_KG.sum(axis=1)
    pairs_P = np.bincount(problem.person_K, weights=pairs_K, minlength=len(problem.person_P))
    person_U = np.zeros(units, dtype=np.int64)
    person_U[unit_K] = problem.person_K
    queries_U = np.bincount(unit_K, minlength=units)
    others_U = pairs_K.sum() - pairs_P[person_U]
    return np.array(
        [
            math.exp(math.lgamma(m + 1) + math.lgamma(q + 1) - math.lgamma(m + q + 1))
            for m, q in zip(others_U, queries_U, strict=True)
        ]
    )
