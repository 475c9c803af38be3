"""Two halves of the people: one is enrolled, the other is not, and then the other way round."""

from __future__ import annotations

import hashlib
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from transecg_core.risk.artefacts import Gallery, Given, Recordings
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.attacks.open_world_auxiliary import RULED_OUT
from transecg_core.risk.attributes import Attributes
from transecg_core.risk.cases import Case
from transecg_core.risk.evidence import Evidence
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.verification import TIE


def deal(case: Case) -> np.ndarray:
    """Return the half (0 or 1) of each canonical person (C,).

    A fair deal, site by site, in the order of a hash of the person's name: it knows nothing of who was
    trained on, nor of the folds. All ids of a person go together.
    """
    names = case.people.names
    home_C = np.full(len(names), len(case.site_names))
    np.minimum.at(home_C, case.person_G, case.gallery.site_G)
    digest = [hashlib.sha256(f"open-world/{name}".encode()).digest() for name in names]
    half_C = np.zeros(len(names), dtype=np.int64)
    half_C[sorted(range(len(names)), key=lambda c: (home_C[c], digest[c]))] = np.arange(len(names)) % 2
    return half_C


def world(held: Mapping[str, Any], keep_G: np.ndarray) -> Mapping[str, Any]:
    """Return what an attacker may hold where only some people (bool (G,)) are enrolled."""
    gallery: Gallery = held["gallery"]
    kept_N = keep_G[gallery.entry_N]
    record_R, record_N = np.unique(gallery.record_N[kept_N], return_inverse=True)
    less: dict[str, Any] = {
        "gallery": Gallery(
            gallery.x_NL[kept_N],
            (np.cumsum(keep_G) - 1)[gallery.entry_N[kept_N]],
            record_N,
            gallery.site_N[kept_N],
            gallery.site_G[keep_G],
        )
    }
    if "folds" in held:
        less["folds"] = replace(held["folds"], fold_G=held["folds"].fold_G[keep_G])
    if "recordings" in held:
        told: Recordings = held["recordings"]
        rr_R = tuple(told.rr_R[r] for r in record_R)
        less["recordings"] = Recordings(told.scale_R[record_R], told.scale_Q, rr_R, told.rr_Q)
    if "attributes" in held:
        known: Attributes = held["attributes"]
        less["attributes"] = replace(known, sex_G=known.sex_G[keep_G], age_G=known.age_G[keep_G])
    return ChainMap(less, held)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Best:
    """The best match in one world of each query asked about (Q).

    Attributes
    ----------
    score_Q
        Highest similarity.
    right_Q
        Chance that it is the right person, ties broken at random.
    known_Q
        bool; whether the person is enrolled.
    """

    score_Q: np.ndarray
    right_Q: np.ndarray
    known_Q: np.ndarray


@dataclass(frozen=True)
class World:
    """Scores (Q, E) of every query with the E entries that are enrolled, and which those are."""

    score_QE: np.ndarray
    entry_E: np.ndarray
    known_Q: np.ndarray

    def best(self, case: Case, asked_Q: np.ndarray, site: int | None) -> Best:
        """Return the best matches of some queries, among the people of one site or of all (None).

        Raises
        ------
        NotMeasurable
            If nobody of the site is enrolled.
        """
        at_E = np.flatnonzero((case.gallery.site_G[self.entry_E] == site) | (site is None))
        if not len(at_E):
            raise NotMeasurable("nobody is left to enrol")
        score_QE = self.score_QE[np.ix_(asked_Q, at_E)]
        top_Q = score_QE.max(axis=1)
        tied_QE = score_QE >= top_Q[:, None] - TIE
        right_QE = case.person_G[self.entry_E[at_E]][None, :] == case.person_Q[asked_Q, None]
        right_Q = (tied_QE & right_QE).sum(axis=1) / tied_QE.sum(axis=1)
        return Best(top_Q, np.where(top_Q > RULED_OUT + TIE, right_Q, 0.0), self.known_Q[asked_Q])


def worlds_of(attack: Attack, evidence: Evidence, model: str) -> tuple[World, World]:
    """Return the scores in both worlds, by a model or the untrained one in its place."""
    case, half_C = evidence.case, deal(evidence.case)
    held = ChainMap({"released-model": evidence.held[model]}, evidence.held)  # type: ignore[arg-type]
    found = []
    for enrolled in (0, 1):
        keep_G = half_C[case.person_G] == enrolled
        if not keep_G.any():
            raise NotMeasurable("nobody is left to enrol")
        score_QE = np.asarray(attack.run(Given(attack.artefacts, world(held, keep_G))))
        found.append(World(score_QE, np.flatnonzero(keep_G), half_C[case.person_Q] == enrolled))
    return found[0], found[1]
