"""C: a person's loss under the released shared heads. People trained on tend to have less."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import RELEASED_MODEL, Attack
from transecg_core.risk.rows import NotMeasurable


def _run(given: Given) -> np.ndarray:
    targets, model = given.targets, given.released_model
    people = len(targets.site_T)
    z_ND = model.embed(targets.x_NL)
    if not np.isfinite(z_ND).all():
        raise NotMeasurable("the embeddings are not finite")
    total_T = np.zeros(people)
    scored_T = np.zeros(people, dtype=bool)
    for task in model.tasks:
        loss_T = _person_means(model.losses(task, z_ND, targets.labels[task]), targets.target_N, people)
        scored_T |= np.isfinite(loss_T)
        total_T += _filled(loss_T, targets.site_T)
    if not scored_T.any():
        raise NotMeasurable("no shared head with a known label")
    return np.where(scored_T, -total_T, np.nan)


def _person_means(loss_N: np.ndarray, target_N: np.ndarray, people: int) -> np.ndarray:
    known = np.isfinite(loss_N)
    count = np.bincount(target_N[known], minlength=people)
    total = np.bincount(target_N[known], weights=loss_N[known], minlength=people)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _filled(loss_T: np.ndarray, site_T: np.ndarray) -> np.ndarray:
    """Return losses with a missing person's set to the site's mean: that task then says nothing."""
    out = np.zeros(len(loss_T))
    for site in np.unique(site_T):
        own = site_T == site
        known = own & np.isfinite(loss_T)
        if known.any():
            out[own] = loss_T[known].mean()
            out[known] = loss_T[known]
    return out


SHARED_HEAD_LOSS = Attack(
    name="shared-head-loss",
    kind="C",
    observer=RELEASED_MODEL,
    auxiliary_data=(
        "the person's own gallery windows (the split's part for training) with their sex, age band, "
        "beat and diagnosis labels; the same of the site's other people as reference"
    ),
    artefacts=("targets", "released-model"),
    measure="membership",
    run=_run,
)
