"""Two halves of the people: one is enrolled, the other is not, and then the other way round."""

from __future__ import annotations

import hashlib
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from transecg_core.risk.artefacts import Gallery, Recordings
from transecg_core.risk.attributes import Attributes
from transecg_core.risk.cases import Case


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
