"""Which query is compared with which enrolled people: one site or all, one protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from transecg_core.risk.cases import Case
from transecg_core.risk.curves import average_precision, first_among, first_k
from transecg_core.risk.matching import group_means
from transecg_core.risk.rows import POOLED
from transecg_core.risk.standing import Counted, Scores, count
from transecg_core.risk.table import CROSS_SITE
from transecg_core.risk.verification import Verification

ALL_SITES = -1


@dataclass(frozen=True)
class Problem:
    """One question: K queries against a common gallery of G enrolled people.

    Attributes
    ----------
    query_K, genuine_K
        Row of the query and column of the right person in an attack's score matrix.
    ranked_K, verified_K
        Site whose people (or `ALL_SITES`) a query competes with for rank-k, and is compared
        with for EER and TAR. The latter stay within one site, so that telling devices apart
        never looks like telling people apart. An entry of the query's own person (another id,
        another site) is an impostor in neither.
    site_G, person_G
        Site and canonical person of each entry.
    person_K, person_P
        Index of each query's person into `person_P`, the canonical people asked about.
    """

    site: str
    protocol: str
    query_K: np.ndarray
    genuine_K: np.ndarray
    ranked_K: np.ndarray
    verified_K: np.ndarray
    site_G: np.ndarray
    person_G: np.ndarray
    person_K: np.ndarray
    person_P: np.ndarray

    @property
    def gallery_size(self) -> int:
        """Typical number of people a query is ranked among, the right one included."""
        return 1 + int(np.median(self.rivals_K))

    @cached_property
    def rivals_K(self) -> np.ndarray:
        """Impostors that each query is ranked among (K,)."""
        return self._impostors(self.ranked_K)

    @cached_property
    def pairs_K(self) -> np.ndarray:
        """Impostors that each query is compared with for EER and TAR (K,)."""
        return self._impostors(self.verified_K)

    def enrolled(self, site: int) -> np.ndarray:
        """Return the entries of a site, or of `ALL_SITES`."""
        return np.flatnonzero((self.site_G == site) | (site == ALL_SITES))

    def own_entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Return every pair of a query (index into K, ascending) and an entry of its own person."""
        order = np.argsort(self.person_G, kind="stable")
        asked_K = self.person_P[self.person_K]
        first_K = np.searchsorted(self.person_G[order], asked_K, side="left")
        count_K = np.searchsorted(self.person_G[order], asked_K, side="right") - first_K
        row = np.repeat(np.arange(len(asked_K)), count_K)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(count_K) - count_K, count_K)
        return row, order[first_K[row] + nth]

    def _impostors(self, site_K: np.ndarray) -> np.ndarray:
        row, column = self.own_entries()
        inside = (site_K[row] == ALL_SITES) | (self.site_G[column] == site_K[row])
        sizes = {int(site): len(self.enrolled(int(site))) for site in np.unique(site_K)}
        pool_K = np.array([sizes[int(site)] for site in site_K])
        rivals: np.ndarray = pool_K - np.bincount(row[inside], minlength=len(site_K))
        return rivals

    def chance(self, k: int) -> np.ndarray:
        """Return each person's chance (P,) of being among the first `k` by guessing within the probe's own site.

        In one gallery of all sites a device tells the site; whoever knows it guesses among that site's people.
        """
        return self.per_person(np.minimum(1.0, k / (1 + self.pairs_K)))

    @property
    def impostor_KG(self) -> np.ndarray:
        """Whom each query is ranked among, but for the right person: bool (K, G)."""
        return self._impostors_KG(self.ranked_K)

    @property
    def verify_KG(self) -> np.ndarray:
        """Whom each query is compared with for EER and TAR, but for the right person: bool (K, G)."""
        return self._impostors_KG(self.verified_K)

    def _impostors_KG(self, site_K: np.ndarray) -> np.ndarray:
        asked_KG = (site_K[:, None] == ALL_SITES) | (self.site_G[None, :] == site_K[:, None])
        asked_KG[self.own_entries()] = False
        return asked_KG

    def per_person(self, value_K: np.ndarray) -> np.ndarray:
        """Return each person's mean (P,) over their queries."""
        return group_means(value_K[:, None], self.person_K, len(self.person_P))[:, 0]


@dataclass(frozen=True)
class Outcome:
    """Results of one attack on one problem, per query (K) and per person (P)."""

    problem: Problem
    counted: Counted

    @property
    def rates(self) -> Verification:
        """Error rates per person and threshold."""
        return self.counted.rates

    @cached_property
    def first_K(self) -> np.ndarray:
        """Chance that each query's right person comes first."""
        return first_k(self.counted.standing, 1)

    @cached_property
    def rank1_P(self) -> np.ndarray:
        """Share of each person's queries with the right person first."""
        return self.rank_P(1)

    def rank_P(self, k: int) -> np.ndarray:
        """Return the per-person share of queries with the right person among the first `k`."""
        return self.problem.per_person(first_k(self.counted.standing, k))

    @cached_property
    def precision_P(self) -> np.ndarray:
        """Average precision of each person's queries."""
        return self.problem.per_person(average_precision(self.counted.standing))

    def among_P(self, people: int) -> np.ndarray:
        """Return the per-person chance of coming first in a gallery of `people` of those enrolled."""
        return self.problem.per_person(first_among(self.counted.standing, people))

    @cached_property
    def moments_P4(self) -> np.ndarray:
        """Mean score and mean squared score, of genuine then of impostor comparisons, per person."""
        counted = self.counted
        columns = (counted.genuine_K, counted.genuine_K**2, counted.impostor_K, counted.impostor_square_K)
        return np.column_stack([self.problem.per_person(column_K) for column_K in columns])


def everybody(people: int) -> Problem:
    """Return the problem of one query and one entry per person, all of one site, in one order."""
    person_P, site_P = np.arange(people), np.zeros(people, dtype=np.int64)
    return Problem("one", "one", person_P, person_P, site_P, site_P, site_P, person_P, person_P, person_P)


def problems(case: Case) -> Iterator[Problem]:
    """Yield every question that the data can ask: protocols, each per site and pooled, then cross-site."""
    for protocol in sorted(set(case.protocol_Q.tolist()) - {CROSS_SITE}):
        asked_Q = (case.protocol_Q == protocol) & (case.entry_of_Q >= 0)
        for index, name in enumerate(case.site_names):
            query_K = np.flatnonzero(asked_Q & (case.probes.site_Q == index))
            yield from _problem(case, (name, protocol), query_K, case.entry_of_Q[query_K], False)
        query_K = np.flatnonzero(asked_Q)
        yield from _problem(case, (POOLED, protocol), query_K, case.entry_of_Q[query_K], True)
    yield from _cross_site(case)


def _cross_site(case: Case) -> Iterator[Problem]:
    """Yield the one problem of people present at two sites: enrolled at one, probed at another."""
    query, genuine = [], []
    for q in np.flatnonzero(case.protocol_Q == CROSS_SITE):
        elsewhere = (case.person_G == case.person_Q[q]) & (case.gallery.site_G != case.probes.site_Q[q])
        for g in np.flatnonzero(elsewhere):
            query.append(int(q))
            genuine.append(int(g))
    query_K, genuine_K = np.array(query, dtype=np.int64), np.array(genuine, dtype=np.int64)
    yield from _problem(case, (POOLED, CROSS_SITE), query_K, genuine_K, False)


def _problem(
    case: Case, where: tuple[str, str], query_K: np.ndarray, genuine_K: np.ndarray, everywhere: bool
) -> Iterator[Problem]:
    """Yield the problem over those queries that have somebody to be confused with, if any."""
    verified_K = case.gallery.site_G[genuine_K]
    ranked_K = np.full(len(query_K), ALL_SITES) if everywhere else verified_K
    person_P, person_K = np.unique(case.person_Q[query_K], return_inverse=True)
    site_G, person_G = case.gallery.site_G, case.person_G
    found = Problem(*where, query_K, genuine_K, ranked_K, verified_K, site_G, person_G, person_K, person_P)
    kept_K = np.flatnonzero((found.rivals_K > 0) & (found.pairs_K > 0))
    if len(kept_K) == len(query_K) and len(query_K):
        yield found
    elif len(kept_K):
        yield from _problem(case, where, query_K[kept_K], genuine_K[kept_K], everywhere)


def outcome(problem: Problem, scores: Scores) -> Outcome:
    """Return what an attack's similarities achieve on a problem."""
    return Outcome(problem, count(scores, problem))
