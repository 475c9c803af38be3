"""A: principal components of the waveform, cross-fitted (`risk.crossfit`). No label takes part in the fit."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA as Components

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import ANYBODY, GALLERY_WORDS, Attack
from transecg_core.risk.crossfit import Projection, cross_fitted
from transecg_core.risk.rows import NotMeasurable

DIMENSIONS = 30
MIN_FIT_PEOPLE = 5


def _run(given: Given) -> np.ndarray:
    return cross_fitted(given.gallery, given.probes, given.folds, _fit)


def _fit(x_NL: np.ndarray, entry_N: np.ndarray, use_N: np.ndarray) -> Projection:
    people = len(np.unique(entry_N[use_N]))
    dimensions = min(DIMENSIONS, int(use_N.sum()) - 1)
    if people < MIN_FIT_PEOPLE or dimensions < 1:
        raise NotMeasurable(f"PCA needs {MIN_FIT_PEOPLE} people besides the probe's fold, found {people}")
    if np.ptp(x_NL[use_N], axis=0).max() < 1e-6:
        raise NotMeasurable("all gallery windows are identical")
    fitted = Components(dimensions, svd_solver="covariance_eigh").fit(x_NL[use_N])
    return lambda new_NL: np.asarray(fitted.transform(new_NL))


PCA = Attack(
    name="pca",
    kind="A",
    observer=ANYBODY,
    auxiliary_data=f"{GALLERY_WORDS}; the components are fitted on gallery records of other people, without names",
    artefacts=("gallery", "probes", "folds"),
    measure="linkage",
    run=_run,
)
