"""Projections fitted on other people: shared by the attacks that fit one to the waveform.

People are dealt into folds (one fold for all ids of a person), and the projection that scores a
fold's queries is fitted on the *gallery* windows of the people of the other folds. So neither the
probe's record nor any window of the probe's person has been seen by the fit, and members and
controls are treated alike. Gallery people of the other folds have been seen; that can only help or
hurt impostors. Each site's mean window is taken off first, so that devices are not among the directions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transecg_core.risk.artefacts import Gallery, Probes
from transecg_core.risk.matching import first_of, group_means, match
from transecg_core.risk.rows import NotMeasurable

Projection = Callable[[np.ndarray], np.ndarray]
"""Windows (N, L) to features (N, D)."""
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], Projection]
"""From gallery windows (N, L), their enrolled person (N,) and which of them to use (N,)."""


@dataclass(frozen=True)
class Folds:
    """Cross-fitting fold of each enrolled person (G), and of whoever each query is of (Q).

    Only for attacks that fit something to the gallery: whatever scores a query must have been fitted
    without its fold, so on other people. To match on folds would be to be told who it is not.
    """

    fold_G: np.ndarray
    fold_Q: np.ndarray


def cross_fitted(gallery: Gallery, probes: Probes, folds: Folds, fit: Fit) -> np.ndarray:
    """Return the similarity of every query with every enrolled person (Q, G), by cross-fitted projections.

    Raises
    ------
    NotMeasurable
        If a window is not finite, or from `fit`.
    """
    if not (np.isfinite(gallery.x_NL).all() and np.isfinite(probes.x_NL).all()):
        raise NotMeasurable("the windows are not finite")
    gallery_x_NL, probe_x_NL = without_site_means(gallery, probes)
    scores = np.zeros((len(probes.site_Q), len(gallery.site_G)))
    for fold in np.unique(folds.fold_Q):
        project = fit(gallery_x_NL, gallery.entry_N, folds.fold_G[gallery.entry_N] != fold)
        chosen = folds.fold_Q == fold
        rows = chosen[probes.query_N]
        query_N = (np.cumsum(chosen) - 1)[probes.query_N[rows]]
        part = Probes(probes.x_NL[rows], query_N, probes.site_Q[chosen])
        scores[chosen] = match(project(gallery_x_NL), project(probe_x_NL[rows]), gallery, part)
    return scores


def without_site_means(gallery: Gallery, probes: Probes) -> tuple[np.ndarray, np.ndarray]:
    """Return gallery and probe windows less the mean window of their site's enrolled people."""
    person_x_GL = group_means(gallery.x_NL, gallery.entry_N, len(gallery.site_G))
    mean_SL = group_means(person_x_GL, gallery.site_G, int(gallery.site_G.max()) + 1)
    site_N = first_of(probes.site_Q[probes.query_N], probes.query_N, len(probes.site_Q))[probes.query_N]
    return gallery.x_NL - mean_SL[gallery.site_N], probes.x_NL - mean_SL[site_N]
