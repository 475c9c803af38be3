"""C: how alike a person's own windows are in the released embedding.

Training pulls windows of its people together, so people trained on tend to be tighter.
Needs no label and no head.
"""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import RELEASED_MODEL, Attack
from transecg_core.risk.matching import group_means, unit_rows
from transecg_core.risk.rows import NotMeasurable


def _run(given: Given) -> np.ndarray:
    targets = given.targets
    z_ND = given.released_model.embed(targets.x_NL).astype(np.float64)
    if not np.isfinite(z_ND).all():
        raise NotMeasurable("the embeddings are not finite")
    people = len(targets.site_T)
    mean_TD = group_means(z_ND, targets.target_N, people)
    centre_SD = group_means(mean_TD, targets.site_T, int(targets.site_T.max()) + 1)
    unit_ND = unit_rows(z_ND - centre_SD[targets.site_T[targets.target_N]], float(np.abs(z_ND).max()))
    count_T = np.bincount(targets.target_N, minlength=people)
    sum_TD = group_means(unit_ND, targets.target_N, people) * count_T[:, None]
    own_T = np.bincount(targets.target_N, weights=(unit_ND**2).sum(axis=1), minlength=people)
    # Mean cosine over all pairs of two different windows: unbiased however many windows there are.
    pairs_T = count_T * (count_T - 1)
    return np.where(pairs_T > 0, ((sum_TD**2).sum(axis=1) - own_T) / np.maximum(pairs_T, 1), np.nan)


EMBEDDING_CONSISTENCY = Attack(
    name="embedding-consistency",
    kind="C",
    observer=RELEASED_MODEL,
    auxiliary_data=(
        "the person's own gallery windows (the split's part for training), without labels; "
        "the same of the site's other people as reference"
    ),
    artefacts=("targets", "released-model"),
    measure="membership",
    run=_run,
)
