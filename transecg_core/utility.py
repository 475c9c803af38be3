"""What the released model is good for: its shared heads on people it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from transecg_core.model.heads import CLASSES, SiteModel
from transecg_core.risk.balanced import balanced_accuracy
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.risk.rows import NotMeasurable
from transecg_core.seeds import seed_for
from transecg_core.training.local import MISSING, task_codes

PERSON_TASKS = frozenset({"sex", "age", "diagnosis"})
"""Tasks with one answer per person: windows vote. `beat` is scored per window."""
CHUNK = 512

Scored = tuple[np.ndarray, np.ndarray, np.ndarray]
"""person (U,), truth (U,), prediction (U,), one row per scored unit."""


def predict(model: SiteModel, x_NL: np.ndarray, task: str) -> np.ndarray:
    """Return log-probabilities (N, classes) of one task."""
    model.eval()
    with torch.inference_mode():
        parts = [
            torch.log_softmax(model(torch.from_numpy(np.array(x_NL[i : i + CHUNK])))[task], dim=1).numpy()
            for i in range(0, len(x_NL), CHUNK)
        ]
    return np.concatenate(parts) if parts else np.empty((0, len(CLASSES[task])), dtype=np.float32)


def utility(ctx: AuditContext) -> dict[str, dict[str, Any]]:
    """Return the report's ``utility``: task -> site (and ``pooled``) -> score.

    Scores are balanced accuracies with an interval over participants: on people never trained on
    where the audit split made some, or where nobody here trained (a pilot's synthetic people), else
    on the probe windows of the people who trained. The notes say which.
    """
    index = {person: i for i, person in enumerate(sorted({p for s in ctx.sites for p in s.person_P}))}
    out: dict[str, dict[str, Any]] = {}
    for task in (t for t in CLASSES if t in ctx.tasks):
        scored = {
            site.name: _scored(ctx, ctx.model, site, judged_P, task, index)
            for site, judged_P in zip(ctx.sites, ctx.judged_on(), strict=True)
        }
        scored = {name: rows for name, rows in scored.items() if len(rows[0])}
        if not scored:
            continue
        out[task] = _scores(ctx, task, scored)
        if ctx.start_model is not None:
            before = {
                site.name: _scored(ctx, ctx.start_model, site, judged_P, task, index)
                for site, judged_P in zip(ctx.sites, ctx.judged_on(), strict=True)
                if site.name in scored
            }
            for place, row in _scores(ctx, task, before).items():
                out[task][place]["start"] = {key: row[key] for key in ("value", "ci95")}
    return out


def _scores(ctx: AuditContext, task: str, scored: Mapping[str, Scored]) -> dict[str, dict[str, Any]]:
    """Return every site's row, and the one of all people together."""
    rows = {name: _score(ctx, task, name, part) for name, part in scored.items()}
    person, truth, guess = (np.concatenate(column) for column in zip(*scored.values(), strict=True))
    return rows | {"pooled": _score(ctx, task, "pooled", (person, truth, guess))}


def _scored(
    ctx: AuditContext, model: SiteModel, site: AuditSite, control_P: np.ndarray, task: str,
    index: Mapping[str, int],
) -> Scored:  # fmt: skip
    """Return one site's scored units; people are numbered over all sites, so that each counts once."""
    windows = site.windows
    if ctx.membership or ctx.one_group:
        rows_N = control_P[windows.participant_N]
    else:
        rows_N = np.any([*site.split.probes.values(), np.zeros(len(windows), bool)], axis=0)
    rows = np.flatnonzero(rows_N)
    truth = task_codes(windows, rows, (task,))[task]
    rows, truth = rows[truth != MISSING], truth[truth != MISSING]
    logp = predict(model, windows.x_NL[rows], task)
    person_P = np.array([index[person] for person in site.person_P], dtype=np.int64)
    person = person_P[windows.participant_N[rows]]
    if task not in PERSON_TASKS:
        return person, truth, logp.argmax(axis=1)
    people = np.unique(person)
    votes = [logp[person == p].mean(axis=0).argmax() for p in people]
    first = [truth[person == p][0] for p in people]
    return people, np.array(first, dtype=np.int64), np.array(votes, dtype=np.int64)


def _score(ctx: AuditContext, task: str, site: str, scored: Scored) -> dict[str, Any]:
    person, truth, guess = scored
    row: dict[str, Any] = {
        "metric": "balanced accuracy", "value": None, "ci95": None, "majority": None,
        "n_participants": len(np.unique(person)), "notes": _whom(ctx), "start": None,
    }  # fmt: skip
    seed = seed_for(ctx.seed, "utility", task, site)
    try:
        found = balanced_accuracy(truth, guess, person, ctx.bootstrap, seed)
    except NotMeasurable as reason:
        return row | {"notes": f"not measurable: {reason}"}
    return row | {
        "value": found.value,
        "ci95": list(found.ci95),
        "majority": 1.0 / len(np.unique(truth)),
    }


def _whom(ctx: AuditContext) -> str:
    if ctx.one_group:
        return ctx.whom
    return "people never trained on" if ctx.membership else "held-out windows of people who trained"
