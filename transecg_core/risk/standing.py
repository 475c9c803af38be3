"""How the right person stands among the impostors, counted in chunks.

The scores of one chunk of queries are computed, counted and forgotten: of ten thousand queries
against ten thousand people no more than a few megabytes are ever held. Small audits take the same path.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from transecg_core.risk.matching import Cosines
from transecg_core.risk.verification import TIE, Thresholds, Verification

if TYPE_CHECKING:
    from transecg_core.risk.problems import Problem

Scores = np.ndarray | Cosines
Done = TypeVar("Done")
CHUNK = 2**21
"""Scores held at a time by each thread: 16 MiB."""
MOST_PAIRS = 2_000_000
"""Of more impostor pairs than this EER, TAR and d' count every n-th. Ranks always count all.

The standard error that this adds to a false accept rate F is sqrt(F (1 - F) / `MOST_PAIRS`): .00007 at
1 %, .00035 at most. Counting all of them would take as long again as computing their scores.
"""
_ALWAYS_ALL = 200


@dataclass(frozen=True)
class Standing:
    """Where each query's right person stands (K queries).

    Attributes
    ----------
    above_K, ties_K
        Impostors with a higher score, and with the same one up to rounding.
    rivals_K
        Impostors.
    """

    above_K: np.ndarray
    ties_K: np.ndarray
    rivals_K: np.ndarray


@dataclass(frozen=True)
class Counted:
    """Everything that one pass over the scores leaves behind.

    Attributes
    ----------
    genuine_K
        Score of the right person.
    impostor_K, impostor_square_K
        Mean score, and mean squared score, of the impostors that verification compares with.
    impostor_sum_K, impostor_square_K
        Sum of the scores, and of their squares, of the impostors that verification compares with.
    """

    standing: Standing
    rates: Verification
    genuine_K: np.ndarray
    impostor_K: np.ndarray
    impostor_square_K: np.ndarray


@dataclass(frozen=True)
class _Chunk:
    """Queries of one site whose impostors are the same people, but for themselves.

    Attributes
    ----------
    query_k, index_k
        Rows in the score matrix, and in the problem.
    verify
        Columns of `scores` that verification compares with.
    start, every
        Of those, from which on every which one is counted.
    own_row_E, own_column_E
        Where in the chunk a query meets its own person: no impostor.
    """

    scores: Scores
    query_k: np.ndarray
    index_k: np.ndarray
    verify: slice | np.ndarray
    start: int
    every: int
    own_row_E: np.ndarray
    own_column_E: np.ndarray


def genuine_scores(scores: Scores, query_K: np.ndarray, genuine_K: np.ndarray) -> np.ndarray:
    """Return each query's score with the right person (K,)."""
    if isinstance(scores, Cosines):
        return np.vecdot(scores.query_QD[query_K], scores.person_GD[genuine_K])
    return scores[query_K, genuine_K].astype(np.float64)


def _bounds(scores: Scores) -> tuple[float, float]:
    return (-1.0, 1.0) if isinstance(scores, Cosines) else (float(scores.min()), float(scores.max()))


def count(scores: Scores, problem: Problem) -> Counted:
    """Count every score of a problem, once.

    Chunks are shared by as many threads as torch uses; the counts are summed in one order.
    """
    people, person_K = len(problem.person_P), problem.person_K
    genuine_K = genuine_scores(scores, problem.query_K, problem.genuine_K)
    thresholds = Thresholds.of(genuine_K, people, _bounds(scores))
    weight_K = 1.0 / np.bincount(person_K, minlength=people)[person_K]
    far_PT = np.zeros((people, len(thresholds.value_T) + 2))
    far_PT[:, 0] = 1.0
    found_K5 = np.empty((len(person_K), 5))
    room = threading.local()

    def work(chunk: _Chunk) -> tuple[_Chunk, np.ndarray, np.ndarray]:
        return chunk, *_count_chunk(_block(chunk, room), chunk, genuine_K[chunk.index_k], thresholds)

    for chunk, counts_k5, far_kT in _side_by_side(work, list(_chunks(scores, problem))):
        found_K5[chunk.index_k] = counts_k5
        _add_rows(far_PT[:, 1:-1], person_K[chunk.index_k], far_kT * weight_K[chunk.index_k, None])
    above_K, ties_K, pairs_K, mean_K, square_K = found_K5.T
    frr_PT = _refused(thresholds.passed(genuine_K) - thresholds.first, weight_K, person_K, far_PT.shape)
    pairs_P, counted_P = (
        np.bincount(person_K, weights=n_K, minlength=people) for n_K in (problem.pairs_K, pairs_K)
    )
    rates = Verification(frr_PT, far_PT, pairs_P, counted_P, thresholds.even)
    return Counted(Standing(above_K, ties_K, problem.rivals_K), rates, genuine_K, mean_K, square_K)


def rivals(scores: Scores, problem: Problem) -> tuple[Standing, np.ndarray, np.ndarray]:
    """Return each query's standing, its score of the right person and the largest of any impostor (K each).

    In chunks, as `count`.
    """
    genuine_K = genuine_scores(scores, problem.query_K, problem.genuine_K)
    found_K3, room = np.empty((len(genuine_K), 3)), threading.local()

    def work(chunk: _Chunk) -> tuple[_Chunk, np.ndarray]:
        score_kC = _block(chunk, room)
        score_kC[chunk.own_row_E, chunk.own_column_E] = -np.inf
        return chunk, np.column_stack([_higher(score_kC, genuine_K[chunk.index_k]), score_kC.max(axis=1)])

    for chunk, found_k3 in _side_by_side(work, list(_chunks(scores, problem))):
        found_K3[chunk.index_k] = found_k3
    above_K, ties_K, best_K = found_K3.T
    return Standing(above_K, ties_K, problem.rivals_K), genuine_K, best_K


def _add_rows(total_PT: np.ndarray, person_K: np.ndarray, row_KT: np.ndarray) -> None:
    """Add rows to those of their people."""
    if len(np.unique(person_K)) == len(person_K):
        total_PT[person_K] += row_KT
        return
    for person, row_T in zip(person_K, row_KT, strict=True):
        total_PT[person] += row_T


def _side_by_side(work: Callable[[_Chunk], Done], chunks: list[_Chunk]) -> Iterator[Done]:
    workers = min(torch.get_num_threads(), len(os.sched_getaffinity(0)), len(chunks))
    if workers == 1:
        yield from map(work, chunks)
        return
    # One thread per product: chunks already run side by side.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
        yield from pool.map(work, chunks)


def _count_chunk(
    score_kC: np.ndarray, chunk: _Chunk, own_k: np.ndarray, thresholds: Thresholds
) -> tuple[np.ndarray, np.ndarray]:
    """Return impostors above, ties, pairs counted, mean, mean square (k, 5); and FAR at each threshold (k, T)."""
    score_kC[chunk.own_row_E, chunk.own_column_E] = thresholds.nothing
    higher_k2 = _higher(score_kC, own_k)
    score_kV = score_kC[:, chunk.verify][:, chunk.start :: chunk.every]
    impostor_kV = score_kV > thresholds.nothing
    pairs_k = impostor_kV.sum(axis=1)
    known_kV = np.where(impostor_kV, score_kV, 0.0)
    moments_2k = known_kV.sum(axis=1) / pairs_k, np.vecdot(known_kV, known_kV) / pairs_k
    return np.column_stack([higher_k2, pairs_k, *moments_2k]), thresholds.reached(score_kV) / pairs_k[:, None]


def _higher(score_kC: np.ndarray, own_k: np.ndarray) -> np.ndarray:
    """Return how many scores of each row are higher than its own, and how many are as high (k, 2)."""
    reached_kC = score_kC >= (own_k - TIE)[:, None]
    at_least_k = _true_per_row(reached_kC)
    np.greater(score_kC, (own_k + TIE)[:, None], out=reached_kC)
    above_k = _true_per_row(reached_kC)
    return np.column_stack([above_k, at_least_k - above_k])


def _true_per_row(mask_kC: np.ndarray) -> np.ndarray:
    # Faster than a sum over an axis, which makes integers of all of them first.
    return np.array([np.count_nonzero(row_C) for row_C in mask_kC])


def _refused(
    passed_K: np.ndarray, weight_K: np.ndarray, person_K: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Return the share of each person's genuine queries that are refused at each threshold."""
    frr_PT = np.zeros(shape)
    np.add.at(frr_PT, (person_K, passed_K + 1), weight_K)
    np.cumsum(frr_PT, axis=1, out=frr_PT)
    np.clip(frr_PT, 0.0, 1.0, out=frr_PT)
    return frr_PT


def _block(chunk: _Chunk, room: threading.local) -> np.ndarray:
    """Return the scores of a chunk, in a room of the thread's own that the next chunk will take."""
    shape = len(chunk.query_k), chunk.scores.shape[1]
    if getattr(room, "size", 0) < shape[0] * shape[1]:
        room.size = shape[0] * shape[1]
        room.block = np.empty(room.size)  # asking the system for new pages takes as long as the product
    block = room.block[: shape[0] * shape[1]].reshape(shape)
    if isinstance(chunk.scores, Cosines):
        np.matmul(chunk.scores.query_QD[chunk.query_k], chunk.scores.person_GD.T, out=block)
    else:
        block[:] = chunk.scores[chunk.query_k]
    return np.asarray(block)


def _chunks(scores: Scores, problem: Problem) -> Iterator[_Chunk]:
    """Yield all queries of a problem, those verified within one site together."""
    person_row, person_column = problem.own_entries()
    own_from_K = np.searchsorted(person_row, np.arange(len(problem.query_K) + 1))
    rng = np.random.default_rng(0)
    for site in np.unique(problem.verified_K):
        index_K = np.flatnonzero(problem.verified_K == site)
        columns_C = problem.enrolled(int(problem.ranked_K[index_K[0]]))
        verify_V = np.flatnonzero(np.isin(columns_C, problem.enrolled(int(site))))
        every = min(-(-int(problem.pairs_K.sum()) // MOST_PAIRS), max(1, len(verify_V) // _ALWAYS_ALL))
        part = _only(scores, columns_C)
        place_G = np.full(len(problem.site_G), -1)
        place_G[columns_C] = np.arange(len(columns_C))
        rows = max(1, CHUNK // len(columns_C))
        for start in range(0, len(index_K), rows):
            index_k = index_K[start : start + rows]
            spans = [slice(own_from_K[k], own_from_K[k + 1]) for k in index_k]
            own_row = np.repeat(np.arange(len(index_k)), [span.stop - span.start for span in spans])
            own_column = place_G[np.concatenate([person_column[span] for span in spans])]
            own = own_row[own_column >= 0], own_column[own_column >= 0]
            first = int(rng.integers(every))
            yield _Chunk(part, problem.query_K[index_k], index_k, _span(verify_V), first, every, *own)


def _only(scores: Scores, columns_C: np.ndarray) -> Scores:
    """Return the scores with some enrolled people only; a view where they stand together."""
    span = _span(columns_C)
    if isinstance(scores, Cosines):
        return Cosines(scores.query_QD, scores.person_GD[span])
    part: np.ndarray = scores[:, span]
    return part


def _span(index: np.ndarray) -> slice | np.ndarray:
    """Return ascending indices as a slice where nothing lies between them."""
    together = len(index) and index[-1] - index[0] == len(index) - 1
    return slice(int(index[0]), int(index[-1]) + 1) if together else index
