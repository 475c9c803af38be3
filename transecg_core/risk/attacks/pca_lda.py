"""A: principal components, then linear discriminants, of the waveform, cross-fitted (`risk.crossfit`)."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import ANYBODY, GALLERY_WORDS, Attack
from transecg_core.risk.crossfit import Projection, cross_fitted
from transecg_core.risk.rows import NotMeasurable

PCA_DIMENSIONS = 30
LDA_DIMENSIONS = 20
MIN_FIT_PEOPLE = 5


def _run(given: Given) -> np.ndarray:
    return cross_fitted(given.gallery, given.probes, given.folds, _fit)


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
    artefacts=("gallery", "probes", "folds"),
    measure="linkage",
    run=_run,
)


def fitted_once() -> Attack:
    """Return `PCA_LDA` with a memory: what was fitted on the same windows of the same people isn't fitted again.

    For asking the same gallery many times.
    """
    kept: dict[bytes, Projection] = {}

    def fit(x_NL: np.ndarray, entry_N: np.ndarray, use_N: np.ndarray) -> Projection:
        digest = hashlib.blake2b(digest_size=32)
        for array in (x_NL, entry_N, use_N):
            digest.update(np.ascontiguousarray(array).tobytes())
        key = digest.digest()
        if key not in kept:
            kept[key] = _fit(x_NL, entry_N, use_N)
        return kept[key]

    return replace(PCA_LDA, run=lambda given: cross_fitted(given.gallery, given.probes, given.folds, fit))
