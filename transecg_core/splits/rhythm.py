"""Candidates for being one waveform: records whose rhythms agree under one time shift, or one that grows.

Recordings are compared as music is by its fingerprint: runs of consecutive RR intervals that agree
vote for a pair of records and a shift, or for a shift and a rate (`splits.drift`). The cost follows
the number of beats and of chance agreements, not of pairs of records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from transecg_core.signals.schema import FS_HZ, WINDOW, Windows
from transecg_core.splits.drift import MIN_RUNS, RATE, VISIBLE, line, widest

RHYTHM = 2.5
"""Greatest difference (samples) between two RR intervals that count as one."""
SHORT, LONG = 4, 16
"""RR intervals per run: between any two records, and between two long ones."""
LONG_BEATS = 64
"""Records of more beats are long. Of each record about this many runs are looked up, evenly spread."""
NEIGHBOURS = 256
"""Most look-alikes considered per run: more say only that the rhythm is common."""
MIN_VOTES = 0.3
"""Share of the runs in the overlap that must vote for the shift: missed beats break runs."""
SHIFTS = 3
"""Shifts examined per pair of records."""
TOLERANCE = 3
"""R peaks this near (samples) are one beat: 12 ms, more than resampling and noise move them."""
APART = 1 << 40
"""More than any position in a record: ``record * APART + position`` sorts by both."""


@dataclass(frozen=True)
class Table:
    """All records (R, sorted by name, so that the order of sites changes nothing) and what is in them.

    Attributes
    ----------
    peak_B, window_W
        Sorted keys ``record * APART + position`` of R peaks and windows.
    site_W, row_W
        Where the windows are.
    """

    sites: tuple[Windows, ...]
    names: tuple[tuple[str, str, str], ...]
    end_R: np.ndarray
    peak_B: np.ndarray
    window_W: np.ndarray
    site_W: np.ndarray
    row_W: np.ndarray

    def x(self, index_M: np.ndarray) -> np.ndarray:
        """Return the windows (M, L) behind indices into `window_W`."""
        x_ML = np.empty((index_M.size, WINDOW), dtype=np.float32)
        for site, windows in enumerate(self.sites):
            here_M = self.site_W[index_M] == site
            x_ML[here_M] = windows.x_NL[self.row_W[index_M[here_M]]]
        return x_ML


_FIELDS = ("a_C", "b_C", "shift_C", "rate_C")


@dataclass(frozen=True)
class Candidates:
    """Pairs of records (C), shift and rate: position in `a` = (1 + rate) * position in `b` + shift."""

    a_C: np.ndarray
    b_C: np.ndarray
    shift_C: np.ndarray
    rate_C: np.ndarray

    def __getitem__(self, chosen: np.ndarray | slice) -> Candidates:
        return Candidates(self.a_C[chosen], self.b_C[chosen], self.shift_C[chosen], self.rate_C[chosen])

    def and_also(self, other: Candidates) -> Candidates:
        """Return these and others."""
        return Candidates(*(np.concatenate([getattr(self, f), getattr(other, f)]) for f in _FIELDS))

    def in_b(self, position_M: np.ndarray, of_M: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return where positions in `a` (M,) are in `b`, of candidates (M,); of all by default."""
        at_M = (position_M - self.shift_C[of_M]) / (1 + self.rate_C[of_M])
        return np.asarray(np.rint(at_M).astype(np.int64))

    def overlap(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """Return first and last position of the overlap, in `a`."""
        end_C = np.rint((1 + self.rate_C) * table.end_R[self.b_C] + self.shift_C).astype(np.int64)
        first_C = np.rint(np.maximum(0, self.shift_C)).astype(np.int64)
        return first_C, np.minimum(table.end_R[self.a_C], end_C)


def table_of(sites: Sequence[tuple[str, Windows]]) -> Table:
    """Return all records of all sites, in the order of their names."""
    all_names = [
        (site, info.participant, info.record, place, index)
        for place, (site, windows) in enumerate(sites)
        for index, info in enumerate(windows.records)
    ]
    order = sorted(range(len(all_names)), key=lambda i: all_names[i][:3])
    rank_I = np.empty(len(order), dtype=np.int64)
    rank_I[order] = np.arange(len(order))
    first = np.cumsum([0, *(len(windows.records) for _, windows in sites)])
    peaks, keys, places, rows = [], [], [], []
    for place, (_, windows) in enumerate(sites):
        rank = rank_I[first[place] : first[place + 1]]
        peaks.append(rank[windows.rpeak_record_B] * APART + windows.rpeak_B)
        keys.append(rank[windows.record_N] * APART + windows.r_sample_N)
        places.append(np.full(len(windows), place))
        rows.append(np.arange(len(windows)))
    empty = np.empty(0, dtype=np.int64)
    key_W = np.concatenate([empty, *keys])
    by_key = np.argsort(key_W, kind="stable")
    end_R = [round(sites[all_names[i][3]][1].records[all_names[i][4]].duration_s * FS_HZ) for i in order]
    return Table(
        tuple(windows for _, windows in sites), tuple(all_names[i][:3] for i in order),
        np.array(end_R, dtype=np.int64), np.sort(np.concatenate([empty, *peaks])), key_W[by_key],
        np.concatenate([empty, *places])[by_key], np.concatenate([empty, *rows])[by_key],
    )  # fmt: skip


@dataclass(frozen=True)
class _Runs:
    """Runs of RR intervals: lengths (G, n), record, start and end."""

    rr_Gn: np.ndarray
    record_G: np.ndarray
    start_G: np.ndarray
    end_G: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> _Runs:
        return _Runs(self.rr_Gn[chosen], self.record_G[chosen], self.start_G[chosen], self.end_G[chosen])


def _runs(table: Table, length: int) -> _Runs:
    record_B, at_B = np.divmod(table.peak_B, APART)
    if at_B.size <= length:
        none = np.empty(0, dtype=np.int64)
        return _Runs(np.empty((0, length)), none, none, none)
    rr_Gn = np.lib.stride_tricks.sliding_window_view(np.diff(at_B), length)
    whole = np.flatnonzero(record_B[length:] == record_B[:-length])
    return _Runs(rr_Gn[whole].astype(np.float64), record_B[whole], at_B[whole], at_B[whole + length])


def candidates_of(table: Table) -> Candidates:
    """Return pairs of records whose rhythms agree, with at most `SHIFTS` shifts each and one that grows."""
    beats_R = np.bincount(table.peak_B // APART, minlength=len(table.names))
    long_R = beats_R > LONG_BEATS
    every, most = _runs(table, SHORT), _runs(table, LONG)
    most = most[long_R[most.record_G]]
    asked = every[~long_R[every.record_G]], most[_spread(most.record_G, beats_R)]
    matches = [_matches(queries, index) for queries, index in zip(asked, (every, most), strict=True)]
    a_M, b_M, shift_M, at_M = (np.concatenate(parts) for parts in zip(*matches, strict=True))

    def voted(votes_C: np.ndarray, candidates: Candidates) -> np.ndarray:
        both_C = long_R[candidates.a_C] & long_R[candidates.b_C]
        possible_C = _possible(table, candidates, asked[0]) + both_C * _possible(table, candidates, asked[1])
        return np.asarray(votes_C >= np.maximum(1, MIN_VOTES * possible_C))

    votes_C, steady = _votes(a_M, b_M, shift_M, len(table.names))
    return steady[voted(votes_C, steady)].and_also(_drifting(table, (a_M, b_M, shift_M, at_M), voted))


def _drifting(
    table: Table, matches: tuple[np.ndarray, ...], voted: Callable[[np.ndarray, Candidates], np.ndarray]
) -> Candidates:
    """Return pairs whose shift grows along the overlap: the best line of each pair that has the votes."""
    a_M, b_M, _, _ = matches
    width_M = RATE * np.minimum(table.end_R[a_M], table.end_R[b_M])
    grows = np.flatnonzero(width_M > TOLERANCE)  # less never leaves the tolerance of one shift
    grows = grows[np.lexsort((matches[2][grows], b_M[grows], a_M[grows]))]
    a_M, b_M, shift_M, at_M = (column[grows] for column in matches)
    start_C, count_C = widest(a_M * len(table.names) + b_M, shift_M, width_M[grows] + 2 * TOLERANCE)
    rough = Candidates(a_M[start_C], b_M[start_C], shift_M[start_C + count_C // 2], np.zeros(start_C.size))
    likely_C = np.flatnonzero((count_C >= MIN_RUNS) & voted(count_C, rough))
    found = np.empty((likely_C.size, 3))
    for row, c in zip(found, likely_C, strict=True):
        own = slice(start_C[c], start_C[c] + count_C[c])
        row[:] = line(at_M[own], shift_M[own], TOLERANCE)
    rate_C, shift_C, votes_C = found.T
    fitted = Candidates(rough.a_C[likely_C], rough.b_C[likely_C], shift_C, rate_C)
    first_C, last_C = fitted.overlap(table)
    seen_C = (np.abs(rate_C) * (last_C - first_C) >= VISIBLE) & (np.abs(rate_C) <= RATE)
    return fitted[(votes_C >= MIN_RUNS) & seen_C & voted(votes_C, fitted)]


def _spread(record_G: np.ndarray, beats_R: np.ndarray) -> np.ndarray:
    """Choose about `LONG_BEATS` runs per record."""
    nth_G = np.arange(record_G.size) - np.searchsorted(record_G, record_G)
    return np.asarray(nth_G % np.maximum(1, beats_R[record_G] // LONG_BEATS) == 0)


def _matches(queries: _Runs, index: _Runs) -> tuple[np.ndarray, ...]:
    """Return pairs of records, the earlier first, and shifts of runs that agree, and where in the later record."""
    if not queries.record_G.size or not index.record_G.size:
        none = np.empty(0, dtype=np.int64)
        return none, none, none, none
    tree = cKDTree(index.rr_Gn)
    k = min(NEIGHBOURS, index.record_G.size)
    _, near_GK = tree.query(queries.rr_Gn, k=range(1, k + 1), p=np.inf, distance_upper_bound=RHYTHM)
    query_M, nth_M = np.nonzero(near_GK < index.record_G.size)
    hit_M = near_GK[query_M, nth_M]
    a_M, b_M = queries.record_G[query_M], index.record_G[hit_M]
    other_M = a_M != b_M
    a_M, b_M, query_M, hit_M = a_M[other_M], b_M[other_M], query_M[other_M], hit_M[other_M]
    at_a_M, at_b_M = queries.start_G[query_M], index.start_G[hit_M]
    swap_M = a_M > b_M
    at_M = np.where(swap_M, at_a_M, at_b_M)
    shift_M = np.where(swap_M, at_b_M, at_a_M) - at_M
    return np.where(swap_M, b_M, a_M), np.where(swap_M, a_M, b_M), shift_M, at_M


def _votes(
    a_M: np.ndarray, b_M: np.ndarray, shift_M: np.ndarray, records: int
) -> tuple[np.ndarray, Candidates]:
    """Return the most voted shifts of each pair, and their votes."""
    pair_M = a_M * records + b_M
    order = np.lexsort((shift_M, pair_M))
    pair_M, shift_M = pair_M[order], shift_M[order]
    _, pair_M = np.unique(pair_M, return_inverse=True) if pair_M.size else (None, pair_M)
    key_M = pair_M * APART + shift_M  # shifts are far below half of APART either way
    votes_M = np.searchsorted(key_M, key_M + 2 * TOLERANCE, side="right") - np.arange(key_M.size)
    middle_M = shift_M[np.arange(key_M.size) + votes_M // 2]
    # The best of each neighbourhood of shifts, then the best neighbourhoods of each pair.
    place_M = shift_M // (4 * TOLERANCE)
    by = np.lexsort((shift_M, -votes_M, place_M, pair_M))
    first = np.ones(by.size, dtype=bool)
    first[1:] = (np.diff(pair_M[by]) != 0) | (np.diff(place_M[by]) != 0)
    best = by[first]
    best = best[np.lexsort((shift_M[best], -votes_M[best], pair_M[best]))]
    nth = np.arange(best.size) - np.searchsorted(pair_M[best], pair_M[best])
    best = best[nth < SHIFTS]
    return votes_M[best], Candidates(a_M[order][best], b_M[order][best], middle_M[best], np.zeros(best.size))


def _possible(table: Table, candidates: Candidates, asked: _Runs) -> np.ndarray:
    """Return how many runs were looked up inside each overlap, from either record."""
    first_C, last_C = candidates.overlap(table)
    start_G = asked.record_G * APART + asked.start_G
    end_G = asked.record_G * APART + asked.end_G

    def inside(record_C: np.ndarray, first_C: np.ndarray, last_C: np.ndarray) -> np.ndarray:
        before_C = np.searchsorted(start_G, record_C * APART + first_C)
        return np.asarray(np.maximum(0, np.searchsorted(end_G, record_C * APART + last_C) - before_C))

    of_b = inside(candidates.b_C, candidates.in_b(first_C), candidates.in_b(last_C))
    return np.asarray(inside(candidates.a_C, first_C, last_C) + of_b)
