"""Federated mode: a site explains the final model on its own held-out probes, and only sums over people leave.

The shared heads are explained on people never trained on (where the audit holds some out), the site's own
participant head on the people it tells apart. Nothing here is about one person or one window: a figure rests
on `MIN_PEOPLE` people at least, each of the same weight, or is left out with its reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transecg_core.attribution.cohort import AuditCohort, donors, drawn, ectopic, mean_training_beat
from transecg_core.attribution.components import shares, summarise
from transecg_core.attribution.embedding import embed
from transecg_core.attribution.intervals import mean_over_people
from transecg_core.attribution.judgement import MIN_PEOPLE
from transecg_core.attribution.relevance import relevances
from transecg_core.attribution.site_rows import (
    DIGITS,
    METHODS_AT_SITE,
    NEAR_CHANCE,
    NO_HEAD,
    NO_LABELS,
    NO_RELEVANCE,
    NOT_MEASURABLE,
    TOO_FEW,
    Question,
    Row,
    questions,
    row,
)
from transecg_core.attribution.targets import ClassTarget
from transecg_core.cohorts.schema import UNKNOWN
from transecg_core.config import RunConfig
from transecg_core.model.heads import LOCAL_TASKS, SiteModel, load_shared, new_site_model
from transecg_core.risk.balanced import balanced_accuracy
from transecg_core.risk.rows import NotMeasurable
from transecg_core.seeds import seed_for
from transecg_core.sites import Site, head_classes
from transecg_core.training.local import MISSING, task_codes
from transecg_core.utility import PERSON_TASKS

SHARE_OF_WINDOWS = 0.5
"""Windows per group of tasks, of the profile's attribution windows."""

LEAST_WINDOWS = 30
"""Never fewer, so that ten people have three each."""


@dataclass(frozen=True)
class _Judged:
    """How a head does on the people whose windows are explained; `reason` where it has learned too little."""

    people: int
    accuracy: float
    reason: str | None


def explain_at_site(
    cfg: RunConfig, site: Site, weights: Mapping[str, Tensor], local: Mapping[str, Tensor]
) -> list[Row]:
    """Return one row per question of the run (see `site_rows`), sorted; what can't be said has its reason.

    Parameters
    ----------
    cfg
        As the site applies it (`transecg_core.sites.applied`).
    weights
        The final shared weights, as the server sent them.
    local
        The site's own participant head; empty where it trained none.

    Raises
    ------
    ValueError
        If the weights don't fit the model.
    """
    classes_P = head_classes(cfg, site)
    model = _model(cfg, classes_P, weights, local, site)
    why_not = {question: _why_not(question, site, local) for question in questions(cfg.task_names)}
    asked = {question.task for question, reason in why_not.items() if reason is None}
    found: dict[Question, Row] = {}
    for tasks, eligible_N in _groups(cfg, site, asked, classes_P):
        cohort = _cohort(cfg, site, tasks, eligible_N, classes_P)
        found |= _explained(cfg, site, model, cohort)
    return [found[one] if reason is None else row(one, None, reason) for one, reason in why_not.items()]


def _why_not(question: Question, site: Site, local: Mapping[str, Tensor]) -> str | None:
    """Return why a question can't be asked here whatever the data are; None where it can."""
    if question.head == "own":
        return None if local else NO_HEAD
    return None if question.task in site.tasks else NO_LABELS


def _model(
    cfg: RunConfig, classes_P: np.ndarray, weights: Mapping[str, Tensor], local: Mapping[str, Tensor], site: Site
) -> SiteModel:  # fmt: skip
    own = local.get("heads.participant.bias")
    heads = 1 if own is None else len(own)
    if local and heads <= classes_P.max():
        raise ValueError("the participant head is of other people than the site has now")
    model = new_site_model(cfg.patch, cfg.task_names, seed_for(cfg.seed, "init", site.data.name), heads)
    load_shared(model, weights)
    if local:
        model.load_state_dict({**model.state_dict(), **local})
    return model.eval()


def _groups(
    cfg: RunConfig, site: Site, asked: Collection[str], classes_P: np.ndarray
) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """Yield the tasks, of those asked for, that are explained on the same windows, and which windows may be (N,)."""
    windows, probes = site.data.windows, site.data.split.probes
    probe_N = np.any([*probes.values(), np.zeros(len(windows), bool)], axis=0)
    plain_N = probe_N & ~ectopic(windows)
    judged_P = ~site.data.member_P if cfg.audit_split == "halves" else np.ones_like(site.data.member_P)
    eligible = {
        "participant": plain_N & (classes_P != MISSING)[windows.participant_N],
        "beat": probe_N & (windows.beat_N != UNKNOWN),
    }
    yield from (((task,), eligible[task]) for task in sorted(eligible) if task in asked)
    if persons := tuple(sorted(PERSON_TASKS & set(asked))):
        yield persons, plain_N & judged_P[windows.participant_N]


def _cohort(
    cfg: RunConfig, site: Site, tasks: tuple[str, ...], eligible_N: np.ndarray, classes_P: np.ndarray
) -> AuditCohort:
    data, windows = site.data, site.data.windows
    count = max(LEAST_WINDOWS, round(SHARE_OF_WINDOWS * cfg.settings.attribution_windows))
    rows = drawn(data, eligible_N, count, _seed(cfg, site, "windows", *tasks))
    _, person_P = np.unique(data.person_P, return_inverse=True)
    labels = task_codes(windows, rows, tasks)
    if LOCAL_TASKS & set(tasks):
        labels["participant"] = classes_P[windows.participant_N[rows]]
    return AuditCohort(
        x_BL=np.asarray(windows.x_NL[rows], dtype=np.float32),
        component_BL=np.asarray(windows.component_NL[rows]),
        fill_BL=np.tile(mean_training_beat(data), (len(rows), 1)),
        site_B=np.zeros(len(rows), dtype=np.int64),
        person_B=person_P[windows.participant_N[rows]],
        label_B=labels,
    )


def _seed(cfg: RunConfig, site: Site, *labels: str) -> int:
    return seed_for(cfg.seed, "attribution at a site", site.data.name, *labels)


def _explained(cfg: RunConfig, site: Site, model: SiteModel, cohort: AuditCohort) -> dict[Question, Row]:
    """Return the rows of one group's tasks; maps are made only for heads that they may be shown of."""
    judged = {task: _judged(cfg, site, model, cohort, task) for task in cohort.label_B}
    targets = {
        task: ClassTarget(model.heads[task], cohort.label_B[task])
        for task, found in judged.items()
        if found is not None and found.reason is None
    }
    maps = _maps(cfg, site, model, cohort, targets) if targets else {}
    rows = {}
    for question in questions(judged):
        found = judged[question.task]
        if found is None:
            rows[question] = row(question, None, TOO_FEW)
        elif found.reason is not None:
            rows[question] = row(question, None, found.reason, found.people, found.accuracy)
        else:
            rows[question] = _mapped(cfg, site, cohort, question, maps[question.method][question.task], found)
    return rows


def _maps(
    cfg: RunConfig, site: Site, model: SiteModel, cohort: AuditCohort, targets: Mapping[str, ClassTarget]
) -> dict[str, dict[str, np.ndarray]]:
    """Return method -> task -> relevance (B, L)."""
    fill_KBL = donors(cohort, _seed(cfg, site, "donors"))
    return {
        method: relevances(
            model, cohort.x_BL, targets, method, fill_KBL=fill_KBL, component_BL=cohort.component_BL
        )
        for method in METHODS_AT_SITE
    }


def _judged(cfg: RunConfig, site: Site, model: SiteModel, cohort: AuditCohort, task: str) -> _Judged | None:
    """Return how the head of `task` does; None where fewer than `MIN_PEOPLE` people have a label.

    The accuracy that leaves is the mean over people of their share of right windows: a mean over classes
    would rest on the few people of the rarest one.
    """
    known_B = cohort.label_B[task] != MISSING
    person_B, class_B = cohort.person_B[known_B], cohort.label_B[task][known_B]
    people = len(np.unique(person_B))
    if people < MIN_PEOPLE:
        return None
    with torch.no_grad():
        guess_B = model.heads[task](embed(model.encoder, cohort.x_BL[known_B])).argmax(dim=1).numpy()
    seed = _seed(cfg, site, "accuracy", task)
    right = mean_over_people((guess_B == class_B).astype(np.float64), person_B, cfg.settings.bootstrap, seed)
    chance, low = 1.0 / len(np.unique(class_B)), right.low
    if task not in LOCAL_TASKS:  # whose classes are the people, so that this is their mean already
        try:
            low = balanced_accuracy(class_B, guess_B, person_B, cfg.settings.bootstrap, seed).ci95[0]
        except NotMeasurable:
            return _Judged(people, _rounded(right.value), NOT_MEASURABLE)
    return _Judged(people, _rounded(right.value), None if low > chance else NEAR_CHANCE)


def _mapped(
    cfg: RunConfig, site: Site, cohort: AuditCohort, question: Question, map_BL: np.ndarray, judged: _Judged
) -> Row:
    known_B = cohort.label_B[question.task] != MISSING
    # Whoever chose the weights could make a map empty for all but a few: they count who are left.
    used_B = known_B & np.isfinite(shares(map_BL, cohort.component_BL)).all(axis=1)
    people = len(np.unique(cohort.person_B[used_B]))
    if people < MIN_PEOPLE:
        return row(question, None, NO_RELEVANCE, judged.people, judged.accuracy)
    seed = _seed(cfg, site, "people", question.task)
    found = summarise(
        map_BL[used_B], cohort.component_BL[used_B], cohort.person_B[used_B], cfg.settings.bootstrap, seed
    )
    components = {name: _component(one) for name, one in found.items()}
    return row(question, components, None, people, judged.accuracy)


def _component(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a component's figures as they leave: rounded, undefined where its duration rounds to nothing."""
    share, duration = _rounded(one["share"]), _rounded(one["duration"])
    defined = duration > 0 and all(map(isfinite, one["ci95"] or ()))
    return {
        "share": share,
        "duration": duration,
        "enrichment": _rounded(one["enrichment"]) if defined else None,
        "ci95": [_rounded(limit) for limit in one["ci95"]] if defined else None,
    }


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
