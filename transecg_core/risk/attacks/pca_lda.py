"""A: principal components, then linear discriminants, of the waveform.

Cross-fitted: people are dealt into folds (one fold for all ids of a person), and the
projection that scores a fold's queries is fitted on the *gallery* windows of the people of
the other folds. So neither the probe's record nor any window of the probe's person has
been seen by the fit, and members and controls are treated alike. Gallery people of the
other folds have been seen; that can only help or hurt impostors. Each site's mean window
is taken off first, so that devices are not among the directions.
"""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from transecg_core.risk.artefacts import Gallery, Given, Probes
from transecg_core.risk.attacks.attack import ANYBODY, GALLERY_WORDS, Attack
from transecg_core.risk.matching import first_of, group_means, match
from transecg_core.risk.rows import NotMeasurable

PCA_DIMENSIONS = 30
LDA_DIMENSIONS = 20
MIN_FIT_PEOPLE = 5


def _run(given: Given) -> np.ndarray:
    gallery, probes = given.gallery, given.probes
    if not (np.isfinite(gallery.x_NL).all() and np.isfinite(probes.x_NL).all()):
        raise NotMeasurable("the windows are not finite")
    gallery_x_NL, probe_x_NL = _without_site_means(gallery, probes)
    scores = np.zeros((len(probes.site_Q), len(gallery.site_G)))
    for fold in np.unique(probes.fold_Q):
        project = _fit(gallery_x_NL, gallery.entry_N, gallery.fold_G[gallery.entry_N] != fold)
        chosen = probes.fold_Q == fold
        rows = chosen[probes.query_N]
        query_N = (np.cumsum(chosen) - 1)[probes.query_N[rows]]
        part = Probes(probes.x_NL[rows], query_N, probes.site_Q[chosen], probes.fold_Q[chosen])
        scores[chosen] = match(project(gallery_x_NL), project(probe_x_NL[rows]), gallery, part)
    return scores


def _without_site_means(gallery: Gallery, probes: Probes) -> tuple[np.ndarray, np.ndarray]:
    person_x_GL = group_means(gallery.x_NL, gallery.entry_N, len(gallery.site_G))
    mean_SL = group_means(person_x_GL, gallery.site_G, int(gallery.site_G.max()) + 1)
    site_N = first_of(probes.site_Q[probes.query_N], probes.query_N, len(probes.site_Q))[probes.query_N]
    return gallery.x_NL - mean_SL[gallery.site_N], probes.x_NL - mean_SL[site_N]


class _Projection:
    def __init__(self, pca: PCA, lda: LinearDiscriminantAnalysis) -> None:
        self._pca, self._lda = pca, lda

    def __call__(self, x_NL: np.ndarray) -> np.ndarray:
        return np.asarray(self._lda.transform(self._pca.transform(x_NL)))


def _fit(x_NL: np.ndarray, entry_N: np.ndarray, use_N: np.ndarray) -> _Projection:
    # One window has no spread within a person: nothing to learn from.
    use_N = use_N & (np.bincount(entry_N[use_N], minlength=int(entry_N.max()) + 1)[entry_N] > 1)
    people = len(np.unique(entry_N[use_N]))
    dimensions = min(PCA_DIMENSIONS, int(use_N.sum()) - people)
    if people < MIN_FIT_PEOPLE or dimensions < 1:
        raise NotMeasurable(f"PCA+LDA needs {MIN_FIT_PEOPLE} people besides the probe's fold, found {people}")
    if np.ptp(x_NL[use_N], axis=0).max() < 1e-6:
        raise NotMeasurable("all gallery windows are identical")
    pca = PCA(dimensions, svd_solver="covariance_eigh", whiten=False).fit(x_NL[use_N])
    # Shrinkage keeps the within-person scatter invertible however few windows there are.
    lda = LinearDiscriminantAnalysis(
        solver="eigen", shrinkage=0.01, n_components=min(LDA_DIMENSIONS, people - 1, dimensions)
    )
    try:
        return _Projection(pca, lda.fit(pca.transform(x_NL[use_N]), entry_N[use_N]))
    except np.linalg.LinAlgError:
        raise NotMeasurable("the windows of each person are all alike") from None


PCA_LDA = Attack(
    name="pca-lda",
    kind="A",
    observer=ANYBODY,
    auxiliary_data=f"{GALLERY_WORDS}; the projection is fitted on gallery records of other people",
    artefacts=("gallery", "probes"),
    measure="linkage",
    run=_run,
)
