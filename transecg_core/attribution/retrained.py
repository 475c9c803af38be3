"""Maps of models that the same recipe trained again, from other seeds and on other people."""

from __future__ import annotations

from typing import Any

import numpy as np

from transecg_core.attribution.checks import Figures, correlations
from transecg_core.attribution.components import shown_by_few
from transecg_core.attribution.group import Group, maps_of, spread_rows, targets_of
from transecg_core.attribution.judgement import leader
from transecg_core.attribution.methods import CLAIM_METHODS
from transecg_core.attribution.stability import mean_enrichment, ranges, share_first
from transecg_core.cohorts.schema import COMPONENTS
from transecg_core.risk.context import AuditContext
from transecg_core.risk.rows import NotMeasurable
from transecg_core.seeds import seed_for

SEED_WINDOWS = 64
"""Windows of a group that every model's maps are made of."""


def over_seeds(ctx: AuditContext, group: Group) -> dict[str, dict[str, Any]]:
    """Return method -> task -> the report's ``seeds``: whether each audit model puts the same component first.

    The audit models have other starts, other batches and other halves of the people than the released one, so
    this is more than a change of seed. Their maps are of some windows only; what they must put first is what
    the released model's map of all windows does. Empty where the run has no audit models.
    """
    if ctx.audit_models is None or not len(group.cohort):
        return {}
    try:
        models = ctx.audit_models().models
    except NotMeasurable:
        return {}
    few = spread_rows(len(group.cohort), SEED_WINDOWS)
    seed = seed_for(ctx.seed, "attribution", "seeds")
    found: dict[str, dict[str, list[np.ndarray]]] = {m: {t: [] for t in group.rows_B} for m in CLAIM_METHODS}
    for model in models:
        targets, _ = targets_of(ctx, group.cohort, tuple(group.targets), model)
        maps = maps_of(model, group.cohort, targets, group.donors_KBL[:1], seed, CLAIM_METHODS, few)
        for task, by_method in maps.items():
            for method, map_BL in by_method.items():
                found[method][task].append(_enrichment(group, task, map_BL, few))
    return {
        method: {task: _summary(group, task, method, rows) for task, rows in by_task.items() if rows}
        for method, by_task in found.items()
    }


def _enrichment(group: Group, task: str, map_BL: np.ndarray, few: np.ndarray) -> np.ndarray:
    cohort, rows_B = group.cohort, group.rows_B[task]
    rare_K = shown_by_few(cohort.component_BL[rows_B], cohort.person_B[rows_B])
    known = rows_B[few]
    rows = few[known]
    return mean_enrichment(map_BL[known], cohort.component_BL[rows], cohort.person_B[rows], rare_K)


def _summary(group: Group, task: str, method: str, rows: list[np.ndarray]) -> dict[str, Any]:
    own_K = _enrichment(group, task, group.maps[task][method], np.arange(len(group.cohort)))
    parts = {n: {"enrichment": v if np.isfinite(v) else None} for n, v in zip(COMPONENTS, own_K, strict=True)}
    enrichment_DK = np.stack(rows)
    return {
        "models": len(rows),
        "first": share_first(enrichment_DK, leader(parts)),
        "components": ranges(enrichment_DK),
    }


def permuted_correlations(ctx: AuditContext, group: Group) -> Figures:
    """Return method -> task -> rank correlation with the maps of a model trained on permuted labels.

    Empty where the run trains no such model.
    """
    if ctx.permuted_model is None or not len(group.cohort):
        return {}
    try:
        model = ctx.permuted_model()
    except NotMeasurable:
        return {}
    targets, _ = targets_of(ctx, group.cohort, tuple(group.targets), model)
    return correlations(ctx, group, model, targets, "permuted labels")
