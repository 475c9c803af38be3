"""Federated mode: a site explains the final model on its own held-out probes, and only sums over people leave.

The shared heads are explained on people never trained on (where the audit holds some out), the site's own
participant head on the people it tells apart. Nothing here is about one person or one window: a figure, and
any difference of figures, rests on `MIN_PEOPLE` people at least, each of the same weight, or is left out with
its reason.
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
from transecg_core.attribution.components import durations, shares, summary
from transecg_core.attribution.embedding import embed
from transecg_core.attribution.intervals import mean_over_people, person_means
from transecg_core.attribution.judgement import MIN_PEOPLE
from transecg_core.attribution.relevance import relevances
from transecg_core.attribution.site_people import profiles, settled
from transecg_core.attribution.site_rows import (
    DIFFERS,
    DIGITS,
    FIGURES,
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
    row_without,
    ruled_out,
)
from transecg_core.attribution.targets import ClassTarget
from transecg_core.cohorts.schema import COMPONENT_CODE, UNKNOWN
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
class _Measured:
    """What a row can be made of: N labelled windows, and who of their people have a share of relevance.

    Attributes
    ----------
    person_N, right_N
        Index of the person, and whether the head is right.
    share_NK, duration_NK
        The person's share of the relevance per component, NaN where they have none in favour, and of the time.
    """

    person_N: np.ndarray
    right_N: np.ndarray
    share_NK: np.ndarray
    duration_NK: np.ndarray

    @property
    def people(self) -> frozenset[int]:
        """Everybody with a window that has a share of relevance."""
        return frozenset(self.person_N[np.isfinite(self.share_NK).all(axis=1)].tolist())


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
    found: dict[Question, _Measured | str | None] = {
        question: _why_not(cfg, question, site, local) for question in questions(cfg.task_names)
    }
    asked = {question.task for question, reason in found.items() if reason is None}
    for tasks, eligible_N in _groups(cfg, site, asked, classes_P):
        cohort = _cohort(cfg, site, tasks, eligible_N, classes_P)
        found |= _explained(cfg, site, model, cohort)
    # Over the rows of all tasks, heads and methods at once: whoever reads one reads all.
    people = settled({one: what.people for one, what in found.items() if isinstance(what, _Measured)})
    return [_told(cfg, site, question, what, people) for question, what in found.items()]


def _why_not(cfg: RunConfig, question: Question, site: Site, local: Mapping[str, Tensor]) -> str | None:
    """Return why a question can't be asked here whatever the data are; None where it can."""
    if reason := ruled_out(question, cfg.patch, cfg.audit_split == "halves"):
        return reason
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
    eligible = {
        "participant": plain_N & (classes_P != MISSING)[windows.participant_N],
        "beat": probe_N & (windows.beat_N != UNKNOWN),
    }
    yield from (((task,), eligible[task]) for task in sorted(eligible) if task in asked)
    if persons := tuple(sorted(PERSON_TASKS & set(asked))):
        yield persons, plain_N & ~site.data.member_P[windows.participant_N]


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


def _explained(
    cfg: RunConfig, site: Site, model: SiteModel, cohort: AuditCohort
) -> dict[Question, _Measured | str | None]:
    """Return what one group's rows can be made of, or why they can't; maps are made only where they can."""
    guess_B = {task: _guesses(model, cohort, task) for task in cohort.label_B}
    why = {task: _unlearned(cfg, site, cohort, task, guess_B[task]) for task in guess_B}
    targets = {
        task: ClassTarget(model.heads[task], cohort.label_B[task])
        for task, reason in why.items()
        if reason is None
    }
    maps = _maps(cfg, site, model, cohort, targets) if targets else {}
    return {
        question: why[question.task]
        or _measured(cohort, question.task, guess_B[question.task], maps[question.method][question.task])
        for question in questions(why)
    }


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


def _guesses(model: SiteModel, cohort: AuditCohort, task: str) -> np.ndarray:
    """Return the class that the head of `task` names per window, (B,)."""
    with torch.no_grad():
        guess_B: np.ndarray = model.heads[task](embed(model.encoder, cohort.x_BL)).argmax(dim=1).numpy()
    return guess_B


def _unlearned(cfg: RunConfig, site: Site, cohort: AuditCohort, task: str, guess_B: np.ndarray) -> str | None:
    """Return why there is nothing to explain; None where `MIN_PEOPLE` people show that the head has learned."""
    known_B = cohort.label_B[task] != MISSING
    person_B, class_B, guess_B = cohort.person_B[known_B], cohort.label_B[task][known_B], guess_B[known_B]
    if len(np.unique(person_B)) < MIN_PEOPLE:
        return TOO_FEW
    seed = _seed(cfg, site, "accuracy", task)
    if task in LOCAL_TASKS:  # whose classes are the people, so that their mean is balanced already
        right_B = (guess_B == class_B).astype(np.float64)
        low = mean_over_people(right_B, person_B, cfg.settings.bootstrap, seed).low
    else:
        try:
            low = balanced_accuracy(class_B, guess_B, person_B, cfg.settings.bootstrap, seed).ci95[0]
        except NotMeasurable:
            return NOT_MEASURABLE
    return None if low > 1.0 / len(np.unique(class_B)) else NEAR_CHANCE


def _measured(cohort: AuditCohort, task: str, guess_B: np.ndarray, map_BL: np.ndarray) -> _Measured | str:
    """Return what a row can be made of; a reason where too few people have any relevance.

    A window that is all `undefined` has all its relevance there, whatever the map: a method that knocks
    components out finds none to knock out, and its people must not vanish from the figures.
    """
    known_B = cohort.label_B[task] != MISSING
    component_NL = cohort.component_BL[known_B]
    code = COMPONENT_CODE["undefined"]
    share_NK, duration_NK = shares(map_BL[known_B], component_NL), durations(component_NL)
    share_NK[(component_NL == code).all(axis=1)] = np.eye(share_NK.shape[1])[code]
    share_NK = profiles(share_NK, cohort.person_B[known_B])
    right_N = (guess_B == cohort.label_B[task])[known_B].astype(np.float64)
    found = _Measured(cohort.person_B[known_B], right_N, share_NK, duration_NK)
    # Whoever chose the weights could make a map empty for all but a few: they count who are left.
    return found if len(found.people) >= MIN_PEOPLE else NO_RELEVANCE


def _told(
    cfg: RunConfig, site: Site, question: Question, what: _Measured | str | None,
    people: Mapping[Question, frozenset[int]],
) -> Row:  # fmt: skip
    """Return a row as it leaves: figures of the people that all of the answer's rows can be told of together."""
    if not isinstance(what, _Measured):
        return row_without(question, what or TOO_FEW)
    if question not in people:
        return row_without(question, DIFFERS)
    of_N = np.isin(what.person_N, sorted(people[question]))
    used_N = of_N & np.isfinite(what.share_NK).all(axis=1)
    # The time is that of all their windows: those without relevance are no reason to forget what they lack.
    found = summary(
        person_means(what.share_NK[used_N], what.person_N[used_N]),
        person_means(what.duration_NK[of_N], what.person_N[of_N]),
        cfg.settings.bootstrap,
        _seed(cfg, site, "people", question.task),
    )
    accuracy = person_means(what.right_N[of_N, None], what.person_N[of_N]).mean()
    components = {name: _component(one) for name, one in found.items()}
    return row(question, components, len(people[question]), _rounded(accuracy))


def _component(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a component's figures as they leave: rounded, undefined where its duration rounds to nothing."""
    if one["share"] is None:  # that of a few people, counted as ``undefined``
        return dict.fromkeys(FIGURES)
    share, duration = _rounded(one["share"]), _rounded(one["duration"])
    defined = duration > 0 and one["ci95"] is not None and all(map(isfinite, one["ci95"]))
    return {
        "share": share,
        "duration": duration,
        "enrichment": _rounded(one["enrichment"]) if defined else None,
        "ci95": [_rounded(limit) for limit in one["ci95"]] if defined else None,
    }


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
