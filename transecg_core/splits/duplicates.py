"""Recordings that are one waveform: copies, excerpts, re-quantised, rescaled, inverted or resampled.

Found as music is found by its fingerprint, without comparing every recording with every other:

1. *Candidates* come from the rhythm: runs of consecutive RR intervals that agree within
   a tolerance vote for a pair of records and the time shift between them (`splits.rhythm`), which
   grows along the recording if one clock ran faster (`splits.drift`).
2. *The beats* must agree: under that shift, R peaks of both fall on each other (`MIN_SHARE`).
3. *What only that recording holds* must agree: each window minus the mean of the windows compared
   and minus slow drift and jitter is noise, tremor and artefacts. A heart repeats its beat but never those, so
   two recordings of one person, even paced at one rate, have nothing in common there
   (`MIN_CORRELATION`), while a copy has nearly everything. The same of each window minus those most
   like it (`MIN_TOLD_APART`): where beats are of two kinds, the mean is neither (`splits.likeness`).

Step 3 carries the precision: regular rhythms collide in steps 1 and 2. Windows are capped per
record, so an excerpt of seconds out of a recording of many minutes may share fewer than
`MIN_WINDOWS` of them and stay unfound. So may a copy with much noise, a short one with less of it. Another
lead of the same beats is not looked for, nor is a copy with pieces cut out, unless most of what
overlaps lies under one shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from transecg_core.signals.schema import FS_HZ, WINDOW, Windows
from transecg_core.splits.likeness import cosine, medians, told_apart, without_mean
from transecg_core.splits.rhythm import APART, TOLERANCE, Candidates, Table, candidates_of, table_of

EDGE = 75
"""Samples at the overlap's ends that don't count: filters and detectors differ there."""
MIN_BEATS = 5
MIN_SHARE = 0.8
MIN_SHAPE = 0.8
"""Least median correlation of the windows themselves."""
MIN_CORRELATION = ((3, 0.9), (6, 0.7), (12, 0.4))
"""Least correlation of what is left without the mean beat, from so many windows on.

Of 2,336 shifts at which the beats of two different recordings of the five public datasets agree, the
highest were 0.66 (3 to 5 windows), 0.37 (6 to 11) and 0.10; of 23,619 at which they don't, 0.87, 0.67
and 0.16. The copies among them reach 0.978 and more (``benchmarks/duplicates.py``).
"""
MIN_TOLD_APART = ((3, 0.5), (6, 0.35), (12, 0.25), (24, 0.15), (48, 0.1), (96, 0.075))
"""Least correlation of what tells windows from those most like them, from so many windows on.

Lower than the other, which breathing and beats of two kinds raise: no more than this is left of a quiet recording
that was copied with noise. It may be lower the more windows chance is averaged over. At the same shifts the
highest were 0.43, 0.24 and 0.18 where beats agree, 0.59, 0.28 and 0.09 where they don't; the copies reach 0.945 and
more. No two public recordings share a rhythm for 24 windows: from there on the steps rest on simulated people, paced,
with bigeminy, breathing alike (``tests/transecg_core/splits/test_duplicates_precision.py``).
"""
MIN_WINDOWS = MIN_CORRELATION[0][0]
MOST_WINDOWS = 128
"""Windows compared per pair: more would hardly change an answer."""
_CHUNK = 1024


@dataclass(frozen=True)
class DuplicatePair:
    """Two records of one waveform.

    Attributes
    ----------
    offset_s
        Time in record a of what is at time 0 in record b; negative if b begins earlier.
    beats
        R peaks of both that fall on each other.
    correlation
        Of the windows without their mean beat; 1.0 for identical windows.
    rate_ppm
        How much faster the clock of record a ran: time in a = offset + (1 + rate) * time in b.
    """

    site_a: str
    record_a: str
    participant_a: str
    site_b: str
    record_b: str
    participant_b: str
    offset_s: float
    beats: int
    correlation: float
    rate_ppm: float = 0.0

    def in_a(self, at_b: np.ndarray) -> np.ndarray:
        """Return positions (samples) in record a of positions in record b."""
        return np.rint(self.offset_s * FS_HZ + (1 + self.rate_ppm / 1e6) * np.asarray(at_b))

    def in_b(self, at_a: np.ndarray) -> np.ndarray:
        """Return positions (samples) in record b of positions in record a."""
        return np.rint((np.asarray(at_a) - self.offset_s * FS_HZ) / (1 + self.rate_ppm / 1e6))


def near_duplicates(sites: Sequence[tuple[str, Windows]]) -> tuple[DuplicatePair, ...]:
    """Find pairs of records, within and across sites, that hold the same waveform.

    Parameters
    ----------
    sites
        Names and windows.

    Returns
    -------
    tuple of DuplicatePair
        Sorted by names; the same for any order of the sites.
    """
    table = table_of(sites)
    found = _identical(table)
    candidates = candidates_of(table)
    for start in range(0, candidates.a_C.size, _CHUNK):
        for pair, hit in _verified(table, candidates[start : start + _CHUNK]):
            if pair not in found or hit.beats > found[pair].beats:
                found[pair] = hit
    return tuple(
        DuplicatePair(
            *_named(table.names[a]), *_named(table.names[b]), offset_s=hit.shift / FS_HZ, beats=hit.beats,
            correlation=hit.correlation, rate_ppm=1e6 * hit.rate,
        )
        for (a, b), hit in sorted(found.items())
    )  # fmt: skip


class _Hit(NamedTuple):
    shift: float
    rate: float
    beats: int
    correlation: float


def _named(name: tuple[str, str, str]) -> tuple[str, str, str]:
    site, participant, record = name
    return site, record, participant


def _identical(table: Table) -> dict[tuple[int, int], _Hit]:
    """Return pairs of records that share byte-identical windows: no chance of that in two measurements."""
    rng = np.random.default_rng(0)
    odd_L = rng.integers(0, 1 << 63, WINDOW, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    digest_W = np.empty(table.window_W.size, dtype=np.uint64)
    for start in range(0, digest_W.size, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, digest_W.size))
        digest_W[rows] = (table.x(rows).view(np.uint32) * odd_L).sum(axis=1, dtype=np.uint64)
    order = np.argsort(digest_W, kind="stable")
    same = np.flatnonzero(digest_W[order][1:] == digest_W[order][:-1])
    found: dict[tuple[int, int], _Hit] = {}
    for i in same:
        (a, at), (b, other) = (divmod(int(table.window_W[order[k]]), APART) for k in (i, i + 1))
        if a != b:
            beats = found[a, b].beats + 1 if (a, b) in found else 1
            found[a, b] = _Hit(at - other, 0.0, beats, 1.0)
    return found


def _aligned(key_K: np.ndarray, table: Table, c: Candidates) -> tuple[np.ndarray, ...]:
    """Return (candidate, index of a, index of b, b - a in samples) of keys that fall on each other."""
    first_C, last_C = c.overlap(table)
    begin_C = np.searchsorted(key_K, c.a_C * APART + first_C + EDGE)
    count_C = np.maximum(0, np.searchsorted(key_K, c.a_C * APART + last_C - EDGE, side="right") - begin_C)
    owner_M = np.repeat(np.arange(count_C.size), count_C)
    a_M = np.arange(owner_M.size) - np.repeat(np.cumsum(count_C) - count_C, count_C) + begin_C[owner_M]
    want_M = c.b_C[owner_M] * APART + c.in_b(key_K[a_M] - c.a_C[owner_M] * APART, owner_M)
    right_M = np.minimum(np.searchsorted(key_K, want_M), key_K.size - 1)
    left_M = np.maximum(right_M - 1, 0)
    nearer_M = np.abs(key_K[left_M] - want_M) < np.abs(key_K[right_M] - want_M)
    b_M = np.where(nearer_M, left_M, right_M)
    off_M = key_K[b_M] - want_M
    near_M = np.abs(off_M) <= TOLERANCE
    return owner_M[near_M], a_M[near_M], b_M[near_M], off_M[near_M]


def _beats(table: Table, c: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Return aligned beats and their share of the beats in the overlap."""
    owner_M, *_ = _aligned(table.peak_B, table, c)
    hits_C = np.bincount(owner_M, minlength=c.a_C.size)
    first_C, last_C = c.overlap(table)

    def inside(record_C: np.ndarray, first_C: np.ndarray, last_C: np.ndarray) -> np.ndarray:
        base_C = record_C * APART
        before_C = np.searchsorted(table.peak_B, base_C + first_C + EDGE)
        return np.asarray(np.searchsorted(table.peak_B, base_C + last_C - EDGE, side="right") - before_C)

    most_C = np.maximum(inside(c.a_C, first_C, last_C), inside(c.b_C, c.in_b(first_C), c.in_b(last_C)))
    return hits_C, hits_C / np.maximum(most_C, 1)


def _verified(table: Table, c: Candidates) -> list[tuple[tuple[int, int], _Hit]]:
    beats_C, share_C = _beats(table, c)
    held = (beats_C >= MIN_BEATS) & (share_C >= MIN_SHARE)
    c, beats_C = c[held], beats_C[held]
    count_C, shape_C, own_C = _correlations(table, c)
    alike = (
        (count_C >= MIN_WINDOWS)
        & (np.abs(shape_C) >= MIN_SHAPE)
        & (own_C >= _least(MIN_CORRELATION, count_C))
    )
    c, beats_C, count_C, own_C = c[alike], beats_C[alike], count_C[alike], own_C[alike]
    good = _told_apart(table, c) >= _least(MIN_TOLD_APART, count_C)
    return [
        (
            (int(c.a_C[i]), int(c.b_C[i])),
            _Hit(float(c.shift_C[i]), float(c.rate_C[i]), int(beats_C[i]), float(own_C[i])),
        )
        for i in np.flatnonzero(good)
    ]


def _least(steps: Sequence[tuple[int, float]], count_C: np.ndarray) -> np.ndarray:
    """Return what is needed of so many windows."""
    windows, least = zip(*steps, strict=True)
    return np.asarray(np.array(least)[np.maximum(np.searchsorted(windows, count_C, side="right") - 1, 0)])


def _correlations(table: Table, c: Candidates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per candidate: windows compared, their median correlation, and that without the mean beat.

    The last has the sign of agreement: an inverted copy also gives +1.
    """
    owner_M, x_MK, y_MK = _side_by_side(table, c)
    size = c.a_C.size
    count_C = np.bincount(owner_M, minlength=size)
    shape_C, own_C = np.zeros(size), np.zeros(size)
    if not owner_M.size:
        return count_C, shape_C, own_C
    first = np.flatnonzero(np.diff(owner_M, prepend=-1))
    who = owner_M[first]
    shape_C[who] = medians(cosine(x_MK, y_MK), first)
    x_MK, y_MK = (without_mean(z_MK, first) for z_MK in (x_MK, y_MK))
    xy, xx, yy = (
        np.add.reduceat((p * q).sum(axis=1), first) for p, q in ((x_MK, y_MK), (x_MK, x_MK), (y_MK, y_MK))
    )
    own_C[who] = np.sign(shape_C[who]) * xy / np.sqrt(np.maximum(xx * yy, 1e-12))
    return count_C, shape_C, own_C


def _told_apart(table: Table, c: Candidates) -> np.ndarray:
    """Return per candidate how well they agree on what tells windows apart; as `_correlations`, whatever the sign."""
    owner_M, x_MK, y_MK = _side_by_side(table, c)
    told_C = np.zeros(c.a_C.size)
    if owner_M.size:
        first = np.flatnonzero(np.diff(owner_M, prepend=-1))
        sign_G = np.sign(medians(cosine(x_MK, y_MK), first))
        told_C[owner_M[first]] = sign_G * told_apart(x_MK, y_MK, first)
    return told_C


def _side_by_side(table: Table, c: Candidates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (candidate, window of a, window of b), both cut where they overlap in time, whatever the R peaks' jitter."""
    owner_M, a_M, b_M, off_M = _aligned(table.window_W, table, c)
    nth_M = np.arange(owner_M.size) - np.searchsorted(owner_M, owner_M)
    kept = nth_M < MOST_WINDOWS
    owner_M, a_M, b_M, off_M = owner_M[kept], a_M[kept], b_M[kept], off_M[kept]
    at_K = np.arange(TOLERANCE, WINDOW - TOLERANCE)
    x_MK = table.x(a_M)[:, at_K].astype(np.float64)
    y_MK = np.take_along_axis(table.x(b_M), at_K - off_M[:, None], axis=1).astype(np.float64)
    return owner_M, x_MK, y_MK
