"""Which query is compared with which enrolled people: one site or all, one protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from transecg_core.risk.cases import Case
from transecg_core.risk.matching import Verification, group_means, rank_credit, verification
from transecg_core.risk.rows import POOLED
from transecg_core.risk.table import CROSS_SITE


@dataclass(frozen=True)
class Problem:
    """One question: K queries against a common gallery.

    Attributes
    ----------
    query_K, genuine_K
        Row of the query and column of the right person in an attack's score matrix.
    impostor_KG, verify_KG
        bool; whom a query competes with for rank-k, and whom it is compared with for
        EER and TAR. The latter stay within the gallery's site, so that telling devices
        apart never looks like telling people apart. A second copy of the query's person
        (another id, another site) is in neither.
    person_K, person_P
        Index of each query's person into `person_P`, the canonical people asked about.
    """

    site: str
    protocol: str
    query_K: np.ndarray
    genuine_K: np.ndarray
    impostor_KG: np.ndarray
    verify_KG: np.ndarray
    person_K: np.ndarray
    person_P: np.ndarray

    @property
    def gallery_size(self) -> int:
        """Typical number of people a query is ranked among, the right one included."""
        return 1 + int(np.median(self.impostor_KG.sum(axis=1)))

    def chance(self, k: int) -> np.ndarray:
        """Return each person's chance (P,) of being among the first `k` by guessing within the probe's own site.

        In one gallery of all sites a device tells the site; whoever knows it guesses among that site's people.
        """
        size_K = 1 + self.verify_KG.sum(axis=1)
        return group_means(np.minimum(1.0, k / size_K)[:, None], self.person_K, len(self.person_P))[:, 0]


@dataclass(frozen=True)
class Outcome:
    """Per-person results (P) of one attack on one problem."""

    rank1_P: np.ndarray
    rank5_P: np.ndarray
    rates: Verification

    def rank_P(self, k: int) -> np.ndarray:
        """Return the per-person share of queries with the right person among the first `k` (1 or 5)."""
        return {1: self.rank1_P, 5: self.rank5_P}[k]


def problems(case: Case) -> Iterator[Problem]:
    """Yield every question that the data can ask: protocols, each per site and pooled, then cross-site."""
    for protocol in sorted(set(case.protocol_Q.tolist()) - {CROSS_SITE}):
        asked_Q = (case.protocol_Q == protocol) & (case.entry_of_Q >= 0)
        for index, name in enumerate(case.site_names):
            query_K = np.flatnonzero(asked_Q & (case.probes.site_Q == index))
            yield from _within(case, name, protocol, query_K, case.gallery.site_G == index)
        yield from _within(case, POOLED, protocol, np.flatnonzero(asked_Q), case.gallery.site_G >= 0)
    yield from _cross_site(case)


def _within(
    case: Case, site: str, protocol: str, query_K: np.ndarray, enrolled_G: np.ndarray
) -> Iterator[Problem]:
    genuine_K = case.entry_of_Q[query_K]
    other_KG = case.person_G[None, :] != case.person_Q[query_K][:, None]
    impostor_KG = other_KG & enrolled_G[None, :]
    same_site_KG = case.gallery.site_G[None, :] == case.probes.site_Q[query_K][:, None]
    yield from _problem(case, site, protocol, query_K, genuine_K, impostor_KG, impostor_KG & same_site_KG)


def _cross_site(case: Case) -> Iterator[Problem]:
    """Yield the one problem of people present at two sites: enrolled at one, probed at another."""
    query, genuine = [], []
    for q in np.flatnonzero(case.protocol_Q == CROSS_SITE):
        elsewhere = (case.person_G == case.person_Q[q]) & (case.gallery.site_G != case.probes.site_Q[q])
        for g in np.flatnonzero(elsewhere):
            query.append(int(q))
            genuine.append(int(g))
    query_K, genuine_K = np.array(query, dtype=np.int64), np.array(genuine, dtype=np.int64)
    other_KG = case.person_G[None, :] != case.person_Q[query_K][:, None]
    impostor_KG = other_KG & (case.gallery.site_G[None, :] == case.gallery.site_G[genuine_K][:, None])
    yield from _problem(case, POOLED, CROSS_SITE, query_K, genuine_K, impostor_KG, impostor_KG)


def _problem(
    case: Case,
    site: str,
    protocol: str,
    query_K: np.ndarray,
    genuine_K: np.ndarray,
    impostor_KG: np.ndarray,
    verify_KG: np.ndarray,
) -> Iterator[Problem]:
    """Yield the problem over those queries that have somebody to be confused with, if any."""
    kept = verify_KG.any(axis=1) & impostor_KG.any(axis=1)
    if not kept.any():
        return
    person_P, person_K = np.unique(case.person_Q[query_K[kept]], return_inverse=True)
    yield Problem(
        site, protocol, query_K[kept], genuine_K[kept], impostor_KG[kept], verify_KG[kept], person_K, person_P
    )


def outcome(problem: Problem, score_QG: np.ndarray) -> Outcome:
    """Return what an attack's similarities achieve on a problem, per person."""
    score_KG = score_QG[problem.query_K]
    people = len(problem.person_P)

    def per_person(k: int) -> np.ndarray:
        credit_K = rank_credit(score_KG, problem.genuine_K, problem.impostor_KG, k)
        return group_means(credit_K[:, None], problem.person_K, people)[:, 0]

    rates = verification(score_KG, problem.genuine_K, problem.verify_KG, problem.person_K, people)
    return Outcome(per_person(1), per_person(5), rates)
