"""The attribution of one audit: maps, shares and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from transecg_core.attribution.cohort import AuditCohort, donors, draw_cohort, labelled_controls
from transecg_core.attribution.components import summarise
from transecg_core.attribution.faithfulness import insertion_minus_deletion, rank_correlation, relevance_order
from transecg_core.attribution.intervals import mean_over_people
from transecg_core.attribution.judgement import (
    MIN_PEOPLE,
    Competence,
    class_competence,
    identification_competence,
    judge,
)
from transecg_core.attribution.relevance import METHODS, TASK_BLIND, per_token, relevances
from transecg_core.attribution.similarity import Identification, identify
from transecg_core.attribution.targets import ClassTarget, RowsOf, Target
from transecg_core.model.heads import CLASSES
from transecg_core.risk.context import AuditContext
from transecg_core.seeds import seed_for

PERSON_TASKS = frozenset({"sex", "age", "diagnosis"})
"""Tasks with one answer per person, which a model may have learned by heart for those it trained on."""

RANDOM_ORDERS = 2
"""Random orders that every map is compared with."""

RANDOMISED_WINDOWS = 64
"""Windows behind the correlation with a re-initialised model; it has no interval and needs no more."""

Targets = Mapping[str, Target]


@dataclass(frozen=True)
class Group:
    """Tasks explained on one audit cohort, and their maps.

    Attributes
    ----------
    rows_B
        Task -> bool (B,): windows with a known label (or a person to be found).
    targets, random_targets
        Task -> what is explained, of the trained and of the re-initialised model.
    identification
        Of the trained and the re-initialised encoder, where ``participant`` is in the group.
    donors_KBL
        What occlusion fills with.
    maps
        Task -> method -> relevance (B, L) of the trained model.
    too_few_controls
        Task -> labelled people never trained on, where they are too few to judge the task on.
    """

    cohort: AuditCohort
    rows_B: Mapping[str, np.ndarray]
    targets: Targets
    random_targets: Targets
    identification: tuple[Identification, Identification] | None
    donors_KBL: np.ndarray
    maps: Mapping[str, Mapping[str, np.ndarray]]
    too_few_controls: Mapping[str, int]


def explain(ctx: AuditContext) -> tuple[Group, ...]:
    """Draw the audit cohorts and compute the trained model's maps, for `attribute` and `example_beat`.

    With people held out of training, the tasks with one answer per person are explained on those
    alone, where at least `MIN_PEOPLE` of them have a label; the rest is explained on everybody.
    """
    beat = tuple(task for task in ctx.tasks if task == "beat")
    persons = tuple(task for task in ctx.tasks if task in PERSON_TASKS and ctx.membership)
    count = {task: labelled_controls(ctx, task) for task in persons}
    judged = tuple(task for task in persons if count[task] >= MIN_PEOPLE)
    others = tuple(task for task in ctx.tasks if task not in (*beat, *judged))
    few = {task: count[task] for task in persons if task not in judged}
    plan = ((others, False), (judged, True), (beat, False))
    return tuple(_group(ctx, tasks, controls, few) for tasks, controls in plan if tasks)


def _group(ctx: AuditContext, tasks: tuple[str, ...], controls: bool, few: Mapping[str, int]) -> Group:
    cohort = draw_cohort(ctx, tasks[0], controls)
    targets, random_targets, rows, identification = _targets(ctx, tasks, cohort)
    fill_KBL = donors(cohort, seed_for(ctx.seed, "attribution", "donors"))
    maps: dict[str, dict[str, np.ndarray]] = {task: {} for task in tasks}
    seed = seed_for(ctx.seed, "attribution", "random-scores")
    for method in METHODS if len(cohort) else ():
        found = relevances(ctx.model, cohort.x_BL, targets, method, fill_KBL=fill_KBL, seed=seed)
        for task, map_BL in found.items():
            maps[task][method] = map_BL
    few = {task: number for task, number in few.items() if task in tasks}
    return Group(cohort, rows, targets, random_targets, identification, fill_KBL, maps, few)


def _targets(
    ctx: AuditContext, tasks: tuple[str, ...], cohort: AuditCohort
) -> tuple[Targets, Targets, dict[str, np.ndarray], tuple[Identification, Identification] | None]:
    """Return what is explained of either model, on which windows, and the identification if any."""
    targets: dict[str, Target] = {}
    random_targets: dict[str, Target] = {}
    rows: dict[str, np.ndarray] = {}
    identification = None
    for task in tasks:
        if task in CLASSES:
            rows[task] = cohort.label_B[task] >= 0
            targets[task] = ClassTarget(ctx.model.heads[task], cohort.label_B[task])
            random_targets[task] = ClassTarget(ctx.random_model.heads[task], cohort.label_B[task])
        else:
            trained = identify(ctx, cohort, ctx.model.encoder)
            untrained = identify(ctx, cohort, ctx.random_model.encoder)
            identification = (trained, untrained)
            rows[task] = trained.usable_B
            targets[task], random_targets[task] = trained.target, untrained.target
    return targets, random_targets, rows, identification


def attribute(
    ctx: AuditContext, groups: tuple[Group, ...] | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return task -> method -> components, faithfulness, randomised correlation, verdict.

    Parameters
    ----------
    groups
        From `explain`, if already computed.

    Returns
    -------
    dict
        As the report's ``attribution``. ``reason`` says why a map is not shown, or, where it is,
        the evidence for it.
    """
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for group in explain(ctx) if groups is None else groups:
        if not len(group.cohort):
            out.update(
                {
                    task: {m: _nothing("no held-out window to explain") for m in METHODS}
                    for task in group.rows_B
                }
            )
            continue
        gains = _gains(ctx, group)
        correlations = _randomised(ctx, group)
        for task, rows_B in group.rows_B.items():
            if not rows_B.any():
                out[task] = {method: _nothing(_why_no_rows(task)) for method in METHODS}
                continue
            competence = _competence(ctx, group, task)
            out[task] = {
                method: _verdict(ctx, group, task, method, competence, gains[method][task])
                | {"randomised_correlation": correlations[method][task]}
                for method in METHODS
            }
    return {task: out[task] for task in ctx.tasks}


def _why_no_rows(task: str) -> str:
    if task not in CLASSES:
        return "no two people with a gallery at one site"
    return "no held-out window has a label of this task"


def _nothing(reason: str) -> dict[str, Any]:
    return {
        "components": {},
        "faithfulness": None,
        "randomised_correlation": None,
        "shown": False,
        "reason": reason,
    }


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


def _verdict(
    ctx: AuditContext, group: Group, task: str, method: str, competence: Competence, gain_B: np.ndarray
) -> dict[str, Any]:
    rows_B, cohort = group.rows_B[task], group.cohort
    person_B = cohort.person_B[rows_B]
    seed = seed_for(ctx.seed, "attribution", "people", task)
    components = summarise(
        group.maps[task][method][rows_B], cohort.component_BL[rows_B], person_B, ctx.bootstrap, seed
    )
    faithful = mean_over_people(gain_B[rows_B], person_B, ctx.bootstrap, seed)
    shown, reason = judge(method, len(np.unique(person_B)), competence, faithful)
    if not components:
        shown, reason = False, "the map has no relevance in favour of the target"
    return {"components": components, "faithfulness": faithful.value, "shown": shown, "reason": reason}


def _gains(ctx: AuditContext, group: Group) -> dict[str, dict[str, np.ndarray]]:
    """Return method -> task -> insertion minus deletion less that of random orders, per window (B,).

    Windows that a task has no label for are NaN.
    """
    everybody = np.arange(len(group.cohort))
    tokens = group.cohort.x_BL.shape[1] // ctx.model.encoder.patch
    level_BT = np.zeros((len(group.cohort), tokens))
    chance = {task: np.zeros(len(group.cohort)) for task in group.targets}
    for number in range(RANDOM_ORDERS):
        seed = seed_for(ctx.seed, "attribution", "random-order", number)
        for task, area_B in _areas(ctx, group, level_BT, everybody, tuple(group.targets), seed).items():
            chance[task] += area_B / RANDOM_ORDERS
    ties = seed_for(ctx.seed, "attribution", "ties")
    gains: dict[str, dict[str, np.ndarray]] = {method: {} for method in METHODS}
    for method in METHODS:
        if method in TASK_BLIND:
            # A map that never saw its target has one order for all tasks: the passes are shared.
            batches = [(tuple(group.targets), everybody)]
        else:
            batches = [((task,), np.flatnonzero(group.rows_B[task])) for task in group.targets]
        for tasks, rows in batches:
            token_BT = per_token(group.maps[tasks[0]][method], ctx.model.encoder.patch)
            for task, area_B in _areas(ctx, group, token_BT, rows, tasks, ties).items():
                gains[method][task] = area_B - chance[task]
    return gains


def _areas(
    ctx: AuditContext, group: Group, token_BT: np.ndarray, rows: np.ndarray, tasks: tuple[str, ...], seed: int
) -> dict[str, np.ndarray]:
    """Return task -> insertion minus deletion of the chosen rows, (B,), NaN elsewhere."""
    out = {task: np.full(len(group.cohort), np.nan) for task in tasks}
    if len(rows):
        targets = {task: RowsOf(group.targets[task], rows) for task in tasks}
        place_BT = relevance_order(token_BT[rows], seed)
        x_BL, fill_BL = group.cohort.x_BL[rows], group.cohort.fill_BL[rows]
        for task, area_R in insertion_minus_deletion(
            ctx.model.encoder, x_BL, fill_BL, place_BT, targets
        ).items():
            out[task][rows] = area_R
    return out


def _randomised(ctx: AuditContext, group: Group) -> dict[str, dict[str, float | None]]:
    """Return method -> task -> rank correlation with the maps of the re-initialised model."""
    cohort, patch = group.cohort, ctx.model.encoder.patch
    few = np.unique(np.linspace(0, len(cohort) - 1, RANDOMISED_WINDOWS).round().astype(np.int64))
    targets = {task: RowsOf(target, few) for task, target in group.random_targets.items()}
    seed = seed_for(ctx.seed, "attribution", "random-scores", "re-initialised")
    out: dict[str, dict[str, float | None]] = {}
    for method in METHODS:
        others = relevances(
            ctx.random_model, cohort.x_BL[few], targets, method, fill_KBL=group.donors_KBL[:, few], seed=seed
        )
        out[method] = {}
        for task, other_BL in others.items():
            known = group.rows_B[task][few]
            own_BT = per_token(group.maps[task][method][few][known], patch)
            out[method][task] = rank_correlation(own_BT, per_token(other_BL[known], patch))
    return out
