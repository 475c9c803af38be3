"""Oracles that admit a planted federation: identity is in the component, and nowhere else.

They see what a model sees (preprocessed, z-normed, R-aligned windows of gallery and probes), cut into
components by the delineation in use, and know what no attacker knows: where to look. A federation whose
oracle fails is no truth to judge a map by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.covariance import ledoit_wolf

from transecg_core.attribution.intervals import Estimate, mean_over_people
from transecg_core.cohorts.schema import COMPONENT_CODE
from transecg_core.risk.context import AuditSite

MIN_FOUND = 0.9
"""An oracle on the component identifies people if the interval of its mean `Scores` lies above this."""
CHANCE = 0.5
"""An oracle on the rest must not be distinguishable from this: its interval covers it."""
RESAMPLES = 2000
POWER_Z = 1.96 + 0.84
"""Standard errors between chance and a truth that a two-sided 95 % interval misses one time in five."""


@dataclass(frozen=True)
class Scores:
    """What an oracle says of each person at each site.

    Attributes
    ----------
    above_Q
        Share of the site's other people whose gallery is less similar to the person's probes than
        their own is (ties count half); chance .5.
    person_Q
        Canonical person; somebody at two sites is one person.
    """

    above_Q: np.ndarray
    person_Q: tuple[str, ...]


@dataclass(frozen=True)
class Admission:
    """What both oracles found, over people, and whether the federation may be used as truth.

    Attributes
    ----------
    inside, rest
        Mean of `Scores.above_Q` over people: samples of the component, and all others.
    detectable
        The smallest truth above chance that an oracle on so many people finds four times out of five.
    """

    inside: Estimate
    rest: Estimate
    detectable: float
    people: int

    @property
    def refused(self) -> str:
        """Why the federation is not admitted; empty if it is."""
        if not self.inside.low > MIN_FOUND:
            return "the component's oracle does not identify people well enough"
        if not self.rest.low <= CHANCE <= self.rest.high:
            return "the rest of the window identifies people too"
        return ""


def oracle(site: AuditSite, inside: bool, carrier: str) -> Scores:
    """Identify a site's people by the samples of component `carrier`, or by all others.

    Samples that don't count are set to the site's mean, window by window, as delineated. Similarity
    is the cosine after whitening by the gallery's covariance within people (Ledoit and Wolf's shrinkage),
    which is linear discriminant analysis with a person's mean gallery window as a template.
    """
    windows = site.windows
    counts_NL = (windows.component_NL == COMPONENT_CODE[carrier]) == inside
    gallery_N = site.split.gallery_N
    probe_N = np.any(list(site.split.probes.values()), axis=0)
    sums_L = np.where(counts_NL[gallery_N], windows.x_NL[gallery_N], 0.0).sum(axis=0)
    mean_L = sums_L / np.maximum(counts_NL[gallery_N].sum(axis=0), 1)
    x_NL = np.where(counts_NL, windows.x_NL - mean_L, 0.0)
    people = [
        p
        for p in range(len(windows.participants))
        if (gallery_N & (windows.participant_N == p)).any() and (probe_N & (windows.participant_N == p)).any()
    ]
    template_PL = _means(x_NL, gallery_N, windows.participant_N, people)
    probe_PL = _means(x_NL, probe_N, windows.participant_N, people)
    within = [
        x_NL[gallery_N & (windows.participant_N == p)] - t for p, t in zip(people, template_PL, strict=True)
    ]
    whiten_LL = _whitening(np.concatenate(within))
    centre_L = template_PL.mean(axis=0)
    a_PL, b_PL = (probe_PL - centre_L) @ whiten_LL, (template_PL - centre_L) @ whiten_LL
    cosine_PP = _unit(a_PL) @ _unit(b_PL).T
    return Scores(_above(cosine_PP), tuple(site.person_P[p] for p in people))


def admission(
    inside: Sequence[Scores], rest: Sequence[Scores], seed: int = 0, worlds: Sequence[int] | None = None
) -> Admission:
    """Pool the oracles of sites, and of seeds, over people.

    Parameters
    ----------
    worlds
        The seed behind each entry: people of two seeds are never one person. Default: all of one.
    """
    worlds = [0] * len(inside) if worlds is None else worlds
    found, silent = (_over_people(scores, worlds, seed) for scores in (inside, rest))
    value_P = _per_person(rest, worlds)
    spread = float(value_P.std(ddof=1)) / math.sqrt(len(value_P)) if len(value_P) > 1 else math.inf
    return Admission(found, silent, CHANCE + POWER_Z * spread, len(value_P))


def _keys(scores: Sequence[Scores], worlds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    names = [
        f"{world}\0{person}" for one, world in zip(scores, worlds, strict=True) for person in one.person_Q
    ]
    index_Q = np.unique(np.array(names), return_inverse=True)[1]
    return np.concatenate([one.above_Q for one in scores]), index_Q


def _over_people(scores: Sequence[Scores], worlds: Sequence[int], seed: int) -> Estimate:
    return mean_over_people(*_keys(scores, worlds), RESAMPLES, seed)


def _per_person(scores: Sequence[Scores], worlds: Sequence[int]) -> np.ndarray:
    value_Q, index_Q = _keys(scores, worlds)
    mean_P: np.ndarray = np.bincount(index_Q, weights=value_Q) / np.bincount(index_Q)
    return mean_P


def _means(x_NL: np.ndarray, chosen_N: np.ndarray, owner_N: np.ndarray, people: list[int]) -> np.ndarray:
    return np.stack([x_NL[chosen_N & (owner_N == p)].mean(axis=0) for p in people])


def _whitening(x_NL: np.ndarray) -> np.ndarray:
    """Return the inverse square root (L, L) of the shrunk covariance of centred rows."""
    covariance_LL = ledoit_wolf(x_NL, assume_centered=True)[0]
    value_L, vector_LL = np.linalg.eigh(covariance_LL)
    inverse_LL: np.ndarray = (vector_LL / np.sqrt(value_L)) @ vector_LL.T
    return inverse_LL


def _unit(x_PL: np.ndarray) -> np.ndarray:
    unit_PL: np.ndarray = x_PL / np.maximum(np.linalg.norm(x_PL, axis=1, keepdims=True), 1e-12)
    return unit_PL


def _above(cosine_PP: np.ndarray) -> np.ndarray:
    own_P1 = np.diag(cosine_PP)[:, None]
    below_P = (cosine_PP < own_P1).sum(axis=1) + 0.5 * ((cosine_PP == own_P1).sum(axis=1) - 1)
    share_P: np.ndarray = below_P / (len(cosine_PP) - 1)
    return share_P
