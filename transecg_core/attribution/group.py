"""Tasks explained together on one audit cohort: what is explained, on which windows, and the maps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from transecg_core.attribution.cohort import AuditCohort, donors, draw_cohort, labelled_controls
from transecg_core.attribution.judgement import MIN_PEOPLE
from transecg_core.attribution.methods import METHODS
from transecg_core.attribution.relevance import relevances
from transecg_core.attribution.similarity import Identification, identify
from transecg_core.attribution.targets import ClassTarget, RowsOf, Target
from transecg_core.model.heads import CLASSES, SiteModel
from transecg_core.risk.context import AuditContext
from transecg_core.seeds import seed_for

PERSON_TASKS = frozenset({"sex", "age", "diagnosis"})
"""Tasks with one answer per person, which a model may have learned by heart for those it trained on."""

Targets = Mapping[str, Target]
Maps = dict[str, dict[str, np.ndarray]]
"""Task -> method -> relevance (B, L)."""


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
        Of the trained model.
    too_few_controls
        Task -> labelled people never trained on, where they are too few to judge the task on.
    """

    cohort: AuditCohort
    rows_B: Mapping[str, np.ndarray]
    targets: Targets
    random_targets: Targets
    identification: tuple[Identification, Identification] | None
    donors_KBL: np.ndarray
    maps: Maps
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
    targets, trained = targets_of(ctx, cohort, tasks, ctx.model)
    random_targets, untrained = targets_of(ctx, cohort, tasks, ctx.random_model)
    identification = (trained, untrained) if trained is not None and untrained is not None else None
    rows = {task: cohort.label_B[task] >= 0 for task in tasks if task in CLASSES}
    if trained is not None:
        rows |= {task: trained.usable_B for task in tasks if task not in CLASSES}
    fill_KBL = donors(cohort, seed_for(ctx.seed, "attribution", "donors"))
    maps: Maps = {task: {} for task in tasks}
    if len(cohort):
        seed = seed_for(ctx.seed, "attribution", "random-scores")
        maps = maps_of(ctx.model, cohort, targets, fill_KBL, seed)
    few = {task: number for task, number in few.items() if task in tasks}
    return Group(cohort, rows, targets, random_targets, identification, fill_KBL, maps, few)


def targets_of(
    ctx: AuditContext, cohort: AuditCohort, tasks: Collection[str], model: SiteModel
) -> tuple[dict[str, Target], Identification | None]:
    """Return what is explained of a model, and its identification if that is among the tasks.

    A task that no window has a label of, or whose head the model doesn't have, is left out.
    """
    targets: dict[str, Target] = {}
    identification = None
    for task in tasks:
        if task not in CLASSES:
            identification = identify(ctx, cohort, model.encoder)
            targets[task] = identification.target
        elif task in model.heads and (cohort.label_B[task] >= 0).any():
            targets[task] = ClassTarget(model.heads[task], cohort.label_B[task])
    return targets, identification


def maps_of(
    model: SiteModel,
    cohort: AuditCohort,
    targets: Targets,
    donors_KBL: np.ndarray,
    seed: int,
    methods: Collection[str] = METHODS,
    rows: np.ndarray | None = None,
) -> Maps:
    """Return the maps of a model on the audit cohort.

    Parameters
    ----------
    targets
        Made for all windows of the cohort.
    seed
        Of the random scores.
    rows
        Explain these windows only (indices); None: all.
    """
    if rows is None:
        rows = np.arange(len(cohort))
    chosen = {task: RowsOf(target, rows) for task, target in targets.items()}
    maps: Maps = {task: {} for task in targets}
    for method in methods:
        found = relevances(
            model, cohort.x_BL[rows], chosen, method,
            fill_KBL=donors_KBL[:, rows], component_BL=cohort.component_BL[rows], seed=seed,
        )  # fmt: skip
        for task, map_RL in found.items():
            maps[task][method] = map_RL
    return maps


def spread_rows(count: int, most: int) -> np.ndarray:
    """Return at most `most` of `count` rows, evenly spread."""
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64)) if count else np.arange(0)
