"""What the released model is good for: its shared heads on people it was not trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from transecg_core.model.heads import CLASSES, SiteModel
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.seeds import seed_for
from transecg_core.training.local import MISSING, task_codes

MIN_PEOPLE = 5
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

    Scores are balanced accuracies with an interval over participants, on controls where the
    audit split made some, else on the probe windows of the people who trained (said in the notes).
    """
    out: dict[str, dict[str, Any]] = {}
    for task in (t for t in CLASSES if t in ctx.tasks):
        scored = {site.name: _scored(ctx, site, task) for site in ctx.sites}
        scored = {name: rows for name, rows in scored.items() if len(rows[0])}
        if not scored:
            continue
        rows = {name: _score(ctx, task, name, part) for name, part in scored.items()}
        pooled = tuple(np.concatenate(column) for column in zip(*_distinct(scored), strict=True))
        rows["pooled"] = _score(ctx, task, "pooled", pooled)  # type: ignore[arg-type]
        out[task] = rows
    return out


def _distinct(scored: dict[str, Scored]) -> list[Scored]:
    """Give the people of different sites different numbers."""
    return [(person + (i << 32), truth, guess) for i, (person, truth, guess) in enumerate(scored.values())]


def _scored(ctx: AuditContext, site: AuditSite, task: str) -> Scored:
    windows = site.windows
    if ctx.membership:
        rows_N = ~site.member_P[windows.participant_N]
    else:
        rows_N = np.any([*site.split.probes.values(), np.zeros(len(windows), bool)], axis=0)
    rows = np.flatnonzero(rows_N)
    truth = task_codes(windows, rows, (task,))[task]
    rows, truth = rows[truth != MISSING], truth[truth != MISSING]
    logp = predict(ctx.model, windows.x_NL[rows], task)
    person = windows.participant_N[rows].astype(np.int64)
    if task not in PERSON_TASKS:
        return person, truth, logp.argmax(axis=1)
    people = np.unique(person)
    votes = [logp[person == p].mean(axis=0).argmax() for p in people]
    first = [truth[person == p][0] for p in people]
    return people, np.array(first, dtype=np.int64), np.array(votes, dtype=np.int64)


def _score(ctx: AuditContext, task: str, site: str, scored: Scored) -> dict[str, Any]:
    person, truth, guess = scored
    people = np.unique(person)
    row: dict[str, Any] = {
        "metric": "balanced accuracy", "value": None, "ci95": None, "majority": None, "n_participants": len(people),
        "notes": "people never trained on" if ctx.membership else "held-out windows of people who trained",
    }  # fmt: skip
    if len(people) < MIN_PEOPLE or len(np.unique(truth)) < 2:
        return row | {"notes": "not measurable: fewer than 5 labelled people, or one class only"}
    hits, totals = _per_person(person, truth, guess, people)
    draws = np.random.default_rng(seed_for(ctx.seed, "utility", task, site)).integers(
        len(people), size=(ctx.bootstrap, len(people))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        boot = np.nanmean(hits[draws].sum(axis=1) / totals[draws].sum(axis=1), axis=1)
    low, high = np.percentile(boot, [2.5, 97.5])
    value = float(np.mean(hits.sum(axis=0) / totals.sum(axis=0)))
    return row | {"value": value, "ci95": [float(low), float(high)], "majority": 1.0 / hits.shape[1]}


def _per_person(
    person: np.ndarray, truth: np.ndarray, guess: np.ndarray, people: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return hits and totals (P, classes present)."""
    classes = np.unique(truth)
    index = np.searchsorted(people, person)
    shape = (len(people), len(classes))
    hits, totals = np.zeros(shape), np.zeros(shape)
    column = np.searchsorted(classes, truth)
    np.add.at(totals, (index, column), 1.0)
    np.add.at(hits, (index, column), (truth == guess).astype(float))
    return hits, totals
