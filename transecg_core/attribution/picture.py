"""The coloured beat: a cohort's median beat with the mean relevance per task and method."""

from __future__ import annotations

from typing import Any

import numpy as np

from transecg_core.attribution.group import Group, explain
from transecg_core.attribution.intervals import person_means
from transecg_core.attribution.judgement import MIN_PEOPLE
from transecg_core.cohorts.schema import COMPONENTS
from transecg_core.risk.context import AuditContext


def example_beat(ctx: AuditContext, groups: tuple[Group, ...] | None = None) -> dict[str, Any] | None:
    """Return the cohort's median beat with its components and the mean relevance per task and method.

    The beat is the median over people of their mean windows, never one person's signal; None with
    fewer than `MIN_PEOPLE` people. Every window's map has the same weight, is averaged over windows per person
    and over people, and what then speaks for the target is scaled to mean 1 (1: as much as the average
    sample). A window whose map is not finite is left out.

    Parameters
    ----------
    groups
        From `explain`, if already computed.
    """
    groups = explain(ctx) if groups is None else groups
    if not groups:
        return None
    cohort = groups[0].cohort
    if len(np.unique(cohort.person_B)) < MIN_PEOPLE:
        return None
    beat_L = np.median(person_means(cohort.x_BL, cohort.person_B), axis=0)
    votes_KL = np.stack([(cohort.component_BL == code).sum(axis=0) for code in range(len(COMPONENTS))])
    picture: dict[str, dict[str, list[float]]] = {}
    for group in groups:
        for task, rows_B in group.rows_B.items():
            if len(np.unique(group.cohort.person_B[rows_B])) >= MIN_PEOPLE:
                picture[task] = {
                    method: _mean_map(map_BL[used_B], group.cohort.person_B[used_B])
                    for method, map_BL in group.maps.get(task, {}).items()
                    if (used_B := rows_B & np.isfinite(map_BL).all(axis=1)).any()
                }
    return {
        "x": [float(v) for v in beat_L],
        "component": [int(v) for v in votes_KL.argmax(axis=0)],
        "relevance": {task: picture[task] for task in ctx.tasks if task in picture},
    }


def _mean_map(map_BL: np.ndarray, person_B: np.ndarray) -> list[float]:
    size_B1 = np.abs(map_BL.astype(np.float64)).mean(axis=1, keepdims=True)
    mean_L = person_means(map_BL / np.where(size_B1 > 0, size_B1, 1.0), person_B).mean(axis=0)
    positive_L = np.clip(mean_L, 0, None)
    return [float(v) for v in positive_L / (positive_L.mean() or 1.0)]
