"""Gallery-probe matching: templates and their cosine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from transecg_core.risk.artefacts import Gallery, Probes
from transecg_core.risk.rows import NotMeasurable

_TINY = 1e-6


def group_means(z_ND: np.ndarray, group_N: np.ndarray, groups: int) -> np.ndarray:
    """Return the mean row of each group (groups, D); every group must have a row."""
    total = np.zeros((groups, z_ND.shape[1]))
    np.add.at(total, group_N, z_ND.astype(np.float64))
    return total / np.bincount(group_N, minlength=groups)[:, None]


def group_medians(z_ND: np.ndarray, group_N: np.ndarray, groups: int) -> np.ndarray:
    """Return the median row of each group (groups, D)."""
    return np.stack([np.median(z_ND[group_N == group], axis=0) for group in range(groups)])


def unit_rows(z_ND: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Return rows of length one; rows that are nothing but rounding against `scale` become zero."""
    length = np.linalg.norm(z_ND, axis=1, keepdims=True)
    safe = np.where(length > _TINY * scale, length, np.inf)
    return z_ND / safe


def first_of(value_N: np.ndarray, group_N: np.ndarray, groups: int) -> np.ndarray:
    """Return each group's value, where all rows of a group share one."""
    out = np.zeros(groups, dtype=value_N.dtype)
    out[group_N] = value_N
    return out


@dataclass(frozen=True)
class Cosines:
    """Similarities of every query with every enrolled person (Q, G), not computed until asked for.

    Ten thousand queries against ten thousand people would be 800 MB.

    Attributes
    ----------
    query_QD, person_GD
        Rows of length one, or zero where there is nothing but rounding.
    """

    query_QD: np.ndarray
    person_GD: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Queries and enrolled people."""
        return len(self.query_QD), len(self.person_GD)

    def __getitem__(self, queries: np.ndarray) -> np.ndarray:
        """Return the similarities of some queries."""
        scores: np.ndarray = self.query_QD[queries] @ self.person_GD.T
        return scores

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return all of them, as numpy's functions ask for it."""
        scores: np.ndarray = self.query_QD @ self.person_GD.T
        return scores if dtype is None else scores.astype(dtype)


def match(
    gallery_z_ND: np.ndarray,
    probe_z_MD: np.ndarray,
    gallery: Gallery,
    probes: Probes,
    centre: bool = True,
    template: Callable[[np.ndarray, np.ndarray, int], np.ndarray] = group_means,
) -> np.ndarray:
    """Return what `cosines` does as an array (Q, G)."""
    return np.asarray(cosines(gallery_z_ND, probe_z_MD, gallery, probes, centre, template))


def cosines(
    gallery_z_ND: np.ndarray,
    probe_z_MD: np.ndarray,
    gallery: Gallery,
    probes: Probes,
    centre: bool = True,
    template: Callable[[np.ndarray, np.ndarray, int], np.ndarray] = group_means,
) -> Cosines:
    """Return the cosine similarity of every query with every enrolled person, (Q, G).

    A person's template is the mean of their unit-length record templates, so that many
    records don't give more chances than few. With `centre`, the mean template of the
    site's gallery is taken off everything from that site: an untrained encoder's
    embeddings are otherwise nearly parallel, and a device's offset would pass for identity.

    Raises
    ------
    NotMeasurable
        If an embedding is not finite.
    """
    if not (np.isfinite(gallery_z_ND).all() and np.isfinite(probe_z_MD).all()):
        raise NotMeasurable("the embeddings are not finite")
    records = int(gallery.record_N.max()) + 1
    record_z_RD = template(gallery_z_ND, gallery.record_N, records)
    query_z_QD = template(probe_z_MD, probes.query_N, len(probes.site_Q))
    entry_R = first_of(gallery.entry_N, gallery.record_N, records)
    people = len(gallery.site_G)
    scale = float(np.abs(record_z_RD).max())
    if centre:
        person_z_GD = group_means(record_z_RD, entry_R, people)
        sites = int(max(gallery.site_G.max(), probes.site_Q.max(initial=0))) + 1
        centre_SD = np.zeros((sites, person_z_GD.shape[1]))
        for site in np.unique(gallery.site_G):
            centre_SD[site] = person_z_GD[gallery.site_G == site].mean(axis=0)
        record_z_RD = record_z_RD - centre_SD[gallery.site_G[entry_R]]
        query_z_QD = query_z_QD - centre_SD[probes.site_Q]
    person_GD = unit_rows(group_means(unit_rows(record_z_RD, scale), entry_R, people))
    return Cosines(unit_rows(query_z_QD, scale), person_GD)
