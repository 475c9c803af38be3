"""What else speaks for or against a map: other methods, knock-out, models that learned nothing or nonsense."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from transecg_core.attribution.components import durations, of_people
from transecg_core.attribution.faithfulness import rank_correlation
from transecg_core.attribution.group import Group, Targets, maps_of, spread_rows
from transecg_core.attribution.intervals import person_means
from transecg_core.attribution.knockout import drops
from transecg_core.attribution.methods import METHODS, TASK_BLIND
from transecg_core.attribution.relevance import per_token
from transecg_core.cohorts.schema import COMPONENTS
from transecg_core.model.heads import SiteModel
from transecg_core.risk.context import AuditContext
from transecg_core.seeds import seed_for

CORRELATED_WINDOWS = 48
"""Windows behind the correlation with another model's maps; it has no interval and needs no more."""

YARDSTICK = "mean"
"""Fill of the knock-out that maps are compared with: no method fills with it."""

LEAST_COMPONENTS = 3
"""Fewer components of a person have no rank correlation worth the name."""

Figures = dict[str, dict[str, float | None]]
"""Method -> task -> figure."""


def correlations(ctx: AuditContext, group: Group, model: SiteModel, targets: Targets, name: str) -> Figures:
    """Return the rank correlation of every map with that of another model, over the tokens of a window.

    Near 1 means that the map shows the input and not what the model has learned. The other model's maps use
    one fill where the trained one's use several.

    Parameters
    ----------
    model, targets
        The other model, and what is explained of it on the group's windows.
    name
        Of the comparison, for the seed of its random scores.
    """
    patch = ctx.model.encoder.patch
    few = spread_rows(len(group.cohort), CORRELATED_WINDOWS)
    seed = seed_for(ctx.seed, "attribution", "random-scores", name)
    maps = maps_of(model, group.cohort, targets, group.donors_KBL[:1], seed, rows=few)
    out: Figures = {method: {task: None for task in group.rows_B} for method in METHODS}
    for task, others in maps.items():
        known = group.rows_B[task][few]
        for method, other_BL in others.items():
            own_BT = per_token(group.maps[task][method][few][known], patch)
            out[method][task] = rank_correlation(own_BT, per_token(other_BL[known], patch))
    return out


def agreement(
    maps: Mapping[str, np.ndarray], rows_B: np.ndarray, method: str, patch: int
) -> dict[str, float | None]:
    """Return other class-specific method -> rank correlation of the two maps, over the tokens of a window."""
    own_BT = per_token(maps[method][rows_B], patch)
    return {
        other: rank_correlation(own_BT, per_token(map_BL[rows_B], patch))
        for other, map_BL in maps.items()
        if other != method and other not in TASK_BLIND
    }


def knocked_out(ctx: AuditContext, group: Group, fill: str) -> dict[str, np.ndarray]:
    """Return task -> what the score loses per sample of a component that is replaced, (B, K).

    NaN where the window doesn't have the component.
    """
    fill_KBL = group.cohort.fill_BL[None] if fill == "mean" else group.donors_KBL
    cohort = group.cohort
    found = drops(ctx.model.encoder, cohort.x_BL, cohort.component_BL, group.targets, fill, fill_KBL)
    samples_BK = durations(cohort.component_BL) * cohort.component_BL.shape[1]
    return {task: drop_BK / np.maximum(samples_BK, 1) for task, drop_BK in found.items()}


def knockout_agreement(
    map_BL: np.ndarray, drop_BK: np.ndarray, component_BL: np.ndarray, person_B: np.ndarray
) -> float | None:
    """Return Spearman's correlation over components of net relevance and drop, both per sample, mean over people.

    None where nobody has `LEAST_COMPONENTS` components with both.

    Parameters
    ----------
    drop_BK
        From `knocked_out`.
    """
    usable_B, share_PK, duration_PK = of_people(map_BL, component_BL, person_B)
    if not len(share_PK):
        return None
    drop_PK = means_where_known(drop_BK[usable_B], person_B[usable_B])
    with np.errstate(invalid="ignore", divide="ignore"):
        density_PK = np.where(duration_PK > 0, share_PK / duration_PK, np.nan)
    both_PK = np.isfinite(density_PK) & np.isfinite(drop_PK)
    found = [_spearman(e[ok], d[ok]) for e, d, ok in zip(density_PK, drop_PK, both_PK, strict=True)]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def means_where_known(value_BK: np.ndarray, person_B: np.ndarray) -> np.ndarray:
    """Return every person's mean of what is finite, (P, K); NaN where nothing is."""
    known_BK = np.isfinite(value_BK)
    total_PK = person_means(np.where(known_BK, value_BK, 0.0), person_B)
    share_PK = person_means(known_BK.astype(np.float64), person_B)
    return np.where(share_PK > 0, total_PK / np.where(share_PK > 0, share_PK, 1.0), np.nan)


def first_of(value_PK: np.ndarray) -> str | None:
    """Return the component with the largest mean over people, None where no mean is above 0."""
    known_PK = np.isfinite(value_PK)
    count_K = known_PK.sum(axis=0)
    mean_K = np.where(known_PK, value_PK, 0.0).sum(axis=0) / np.maximum(count_K, 1)
    mean_K = np.where(count_K > 0, mean_K, -np.inf)
    best = int(mean_K.argmax())
    return COMPONENTS[best] if mean_K[best] > 0 else None


def _spearman(one_K: np.ndarray, other_K: np.ndarray) -> float | None:
    if len(one_K) < LEAST_COMPONENTS:
        return None
    return rank_correlation(one_K[None], other_K[None])
