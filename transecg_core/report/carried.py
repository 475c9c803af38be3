"""Which component carries a task, said only where the maps and the task's own score allow it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from transecg_core.attribution.judgement import claim
from transecg_core.report.useful import generalises

NOT_SCORED = "participant"
"""The identity head never leaves its site and has no score on people it never saw."""
NOT_SHOWN = "not shown above the majority guess on people never trained on"
MAX_REASON = 400


class Named(NamedTuple):
    """The component that may be named for a task, or None, and the evidence or what stands against it."""

    component: str | None
    why: str
    learned: bool


def named(report: Mapping[str, Any], task: str) -> Named:
    """Return what may be said of a task: the one rule behind every sentence that names a component.

    A map of a task that the model does not do says nothing about the task: it must first beat
    the majority guess on people never trained on. The rest is
    `transecg_core.attribution.judgement.claim`.
    """
    if task != NOT_SCORED and not generalises(report, task):
        return Named(None, NOT_SHOWN, False)
    component, why = claim(report["attribution"][task])
    return Named(component, why if len(why) <= MAX_REASON else why[: MAX_REASON - 1] + "…", True)


def carried(report: Mapping[str, Any], quick: bool) -> list[str]:
    """Return the sentences that name components, and those that say for which tasks none may be named."""
    attribution = report["attribution"]
    if quick:
        return [f"No conclusion (profile quick) for {', '.join(sorted(attribution))}."] if attribution else []
    told: dict[str, list[str]] = {}
    silent: dict[str, list[str]] = {}
    unlearned = []
    for task in sorted(attribution):
        found = named(report, task)
        if found.component is not None:
            told.setdefault(found.component, []).append(f"{task} ({found.why})")
        elif found.learned:
            silent.setdefault(found.why, []).append(task)
        else:
            unlearned.append(task)
    out = [
        f"{component} carries more than its duration explains, in this one training run, for {', '.join(tasks)}."
        for component, tasks in sorted(told.items())
    ]
    out += [f"No conclusion on which component carries {', '.join(t)}: {why}." for why, t in silent.items()]
    if unlearned:
        out.append(f"No conclusion for {', '.join(unlearned)}: {NOT_SHOWN}.")
    return out
