"""The attribution of one audit: shares, checks and verdicts of every map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from transecg_core.attribution.checks import (
    YARDSTICK,
    Figures,
    agreement,
    correlations,
    first_of,
    knocked_out,
    knockout_agreement,
    means_where_known,
)
from transecg_core.attribution.competence import Competence, class_competence, identification_competence
from transecg_core.attribution.components import left_in_favour, of_people, shown_by_few, summary
from transecg_core.attribution.gains import Gain, gains
from transecg_core.attribution.group import PERSON_TASKS, Group, explain
from transecg_core.attribution.intervals import Estimate, mean_over_people
from transecg_core.attribution.judgement import MIN_PEOPLE, judge, leader, passes
from transecg_core.attribution.knockout import FILLS
from transecg_core.attribution.methods import BY_COMPONENT, METHODS
from transecg_core.attribution.retrained import over_seeds, permuted_correlations
from transecg_core.attribution.stability import Moved, enrichments, moved, stability
from transecg_core.model.heads import CLASSES
from transecg_core.risk.context import AuditContext
from transecg_core.seeds import seed_for


@dataclass(frozen=True)
class _Evidence:
    """What is measured once per group of tasks.

    Attributes
    ----------
    gain
        Method -> task -> gain over random orders and over the map moved in time.
    randomised, permuted
        Method -> task -> correlation with the maps of a model that learned nothing, or nonsense.
    drop_BK
        Fill -> task -> drop per sample of a component replaced by that fill.
    cut
        The windows with moved boundaries.
    seeds
        Method -> task -> the report's ``seeds``.
    patch
        Samples per token.
    """

    gain: Mapping[str, Mapping[str, Gain]]
    randomised: Figures
    permuted: Figures
    drop_BK: Mapping[str, Mapping[str, np.ndarray]]
    cut: Moved
    seeds: Mapping[str, Mapping[str, Any]]
    patch: int


def attribute(
    ctx: AuditContext, groups: tuple[Group, ...] | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return task -> method -> components, checks and verdict of every map.

    Parameters
    ----------
    groups
        From `explain`, if already computed.

    Returns
    -------
    dict
        As the report's ``attribution``. ``reason`` says why a map is not shown, or, where it is,
        the evidence for it. What was not measured is None.
    """
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for group in explain(ctx) if groups is None else groups:
        silent = {task: _why_silent(group, task) for task in group.rows_B}
        out |= {task: {m: _nothing(why) for m in METHODS} for task, why in silent.items() if why}
        if all(silent.values()):
            continue
        evidence = _evidence(ctx, group)
        for task in (task for task, why in silent.items() if not why):
            competence = _competence(ctx, group, task)
            out[task] = {m: _entry(ctx, group, task, m, competence, evidence) for m in METHODS}
    return {task: out[task] for task in ctx.tasks}


def _why_silent(group: Group, task: str) -> str | None:
    if not len(group.cohort):
        return "no held-out window to explain"
    if not group.rows_B[task].any() and task in CLASSES:
        return "no held-out window has a label of this task"
    if not group.rows_B[task].any():
        return "no two people with a gallery at one site"
    return None if task in group.targets else "the model has no head of this task"


def _nothing(reason: str) -> dict[str, Any]:
    return {
        "components": {},
        "faithfulness": None,
        "faithfulness_shifted": None,
        "randomised_correlation": None,
        "permuted_correlation": None,
        "knockout_agreement": None,
        "stability": None,
        "agreement": None,
        "shown": False,
        "reason": reason,
    }


def _evidence(ctx: AuditContext, group: Group) -> _Evidence:
    cohort = group.cohort
    record_B = np.arange(len(cohort)) if cohort.record_B is None else cohort.record_B
    seed = seed_for(ctx.seed, "attribution", "boundaries")
    return _Evidence(
        gain=gains(ctx, group),
        randomised=correlations(ctx, group, ctx.random_model, group.random_targets, "re-initialised"),
        permuted=permuted_correlations(ctx, group),
        drop_BK={fill: knocked_out(ctx, group, fill) for fill in FILLS},
        cut=moved(cohort.component_BL, record_B, seed),
        seeds=over_seeds(ctx, group),
        patch=ctx.model.encoder.patch,
    )


def _competence(ctx: AuditContext, group: Group, task: str) -> Competence:
    rows_B, cohort = group.rows_B[task], group.cohort
    seed = seed_for(ctx.seed, "attribution", "competence", task)
    if group.identification is not None and task not in CLASSES:
        return identification_competence(*group.identification, cohort.person_B, ctx.bootstrap, seed)
    if task in group.too_few_controls:
        number = group.too_few_controls[task]
        return Competence(
            False, f"too few people never trained on: {number} with a label, and {MIN_PEOPLE} are needed"
        )
    labels_B = cohort.label_B[task][rows_B]
    people_B = cohort.person_B[rows_B]
    found = class_competence(ctx.model, task, cohort.x_BL[rows_B], labels_B, people_B, ctx.bootstrap, seed)
    return replace(found, sentence=f"{found.sentence}, on {_whom(ctx, task)}")


def _whom(ctx: AuditContext, task: str) -> str:
    if ctx.one_group:
        return ctx.whom
    if not ctx.membership:
        return "held-out windows of people who trained"
    return "people never trained on" if task in PERSON_TASKS else "held-out windows of everybody"


def _entry(
    ctx: AuditContext, group: Group, task: str, method: str, competence: Competence, evidence: _Evidence
) -> dict[str, Any]:
    cohort, map_BL, gain = group.cohort, group.maps[task][method], evidence.gain[method][task]
    asked_B = group.rows_B[task]
    rows_B = asked_B & np.isfinite(map_BL).all(axis=1)
    judged_B = rows_B & np.isfinite(gain.shifted_B + gain.random_B)
    if not judged_B.any():
        return _nothing("the map, or the model's answer to changed windows, is not finite")
    person_B = cohort.person_B[rows_B]
    seed = seed_for(ctx.seed, "attribution", "people", task)
    _, share_PK, duration_PK = of_people(map_BL[rows_B], cohort.component_BL[rows_B], person_B)
    components = summary(share_PK, duration_PK, ctx.bootstrap, seed)
    faithful, shifted = _gained(ctx, group, task, gain, judged_B)
    control = evidence.gain["random"][task]
    known_B = asked_B & np.isfinite(control.shifted_B + control.random_B)
    control_passes = bool(known_B.any()) and passes(*_gained(ctx, group, task, control, known_B))
    people = len(np.unique(cohort.person_B[judged_B]))
    left = left_in_favour(share_PK)
    checks = _checks(group, task, method, evidence, rows_B, leader(components))
    shown, reason = judge(method, people, competence, faithful, shifted, control_passes, checks, left)
    if not components:
        nothing = "on the whole nothing in the map speaks for the target"
        shown, reason = False, f"{nothing}; {reason}" if shown else f"{reason}; {nothing}"
    asked = int(asked_B.sum())
    if broken := asked - int(rows_B.sum()):
        reason += f"; {broken} of {asked} maps left out, not finite"
    if empty := int(rows_B.sum() - (map_BL[rows_B] != 0).any(axis=1).sum()):
        reason += f"; components without {empty} of {asked} maps, which are empty"
    return {
        "components": components,
        "faithfulness": faithful.value,
        "faithfulness_shifted": shifted.value,
        **checks,
        "shown": shown,
        "reason": reason,
    }


def _gained(
    ctx: AuditContext, group: Group, task: str, gain: Gain, rows_B: np.ndarray
) -> tuple[Estimate, Estimate]:
    """Return the gain over random orders and over the map moved in time, on these windows."""
    person_B, seed = group.cohort.person_B[rows_B], seed_for(ctx.seed, "attribution", "people", task)
    random, shifted = (
        mean_over_people(gain_B[rows_B], person_B, ctx.bootstrap, seed)
        for gain_B in (gain.random_B, gain.shifted_B)
    )
    return random, shifted


def _checks(
    group: Group, task: str, method: str, evidence: _Evidence, rows_B: np.ndarray, first: str | None
) -> dict[str, Any]:
    cohort, map_BL = group.cohort, group.maps[task][method]
    person_B, rows = cohort.person_B[rows_B], np.flatnonzero(rows_B)
    by_component = method in BY_COMPONENT
    cut = replace(evidence.cut, edge_DBM=evidence.cut.edge_DBM[:, rows], code_BM=evidence.cut.code_BM[rows])
    few_K = shown_by_few(cohort.component_BL[rows_B], person_B)
    fills = {
        fill: first_of(np.where(few_K, np.nan, means_where_known(drop_BK[task][rows_B], person_B)))
        for fill, drop_BK in evidence.drop_BK.items()
    }
    seeds = evidence.seeds.get(method, {}).get(task)
    return {
        "randomised_correlation": evidence.randomised[method][task],
        "permuted_correlation": evidence.permuted.get(method, {}).get(task),
        "knockout_agreement": knockout_agreement(
            map_BL[rows_B], evidence.drop_BK[YARDSTICK][task][rows_B], cohort.component_BL[rows_B], person_B
        ),
        "stability": stability(
            None if by_component else enrichments(map_BL[rows_B], cut, person_B, few_K),
            first,
            fills if by_component else None,
            seeds,
        ),
        "agreement": agreement(group.maps[task], rows_B, method, evidence.patch),
    }
