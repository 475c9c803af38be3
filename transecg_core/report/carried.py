"""Which component carries a task, said only where the maps and the task's own score allow it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.report.useful import generalises

CLAIM_METHODS: tuple[str, ...] = ("gradient-attention", "occlusion")
"""Attribution methods whose maps may carry a claim; the others are shown for comparison."""
NOT_SCORED = "participant"
"""The identity head never leaves its site and has no score on people it never saw."""


def carried(report: Mapping[str, Any], quick: bool) -> list[str]:
    """Name a component only where every claim-carrying map that is shown names the same one.

    A map of a task that the model does not do says nothing about the task: it must first beat
    the majority guess on people never trained on.
    """
    attribution = report["attribution"]
    if quick:
        return [f"No conclusion (profile quick) for {', '.join(sorted(attribution))}."] if attribution else []
    tasks_of: dict[tuple[str, str], list[str]] = {}
    silent, unlearned = [], []
    for task in sorted(attribution):
        named = {method: _leader(entry) for method, entry in _claims(attribution[task]).items()}
        leaders = set(named.values())
        leader = leaders.pop() if len(leaders) == 1 else None
        if task != NOT_SCORED and not generalises(report, task):
            unlearned.append(task)
        elif leader is None:
            silent.append(task)
        else:
            tasks_of.setdefault((leader, " and ".join(sorted(named))), []).append(task)
    out = [
        f"{leader} carries more than its duration explains for {', '.join(tasks)} in this one training run (by {methods})."
        for (leader, methods), tasks in sorted(tasks_of.items())
    ]
    if silent:
        out.append(f"No conclusion on which component carries {', '.join(silent)}.")
    if unlearned:
        out.append(
            f"No conclusion for {', '.join(unlearned)}: not shown above the majority guess on people never trained on."
        )
    return out


def _claims(methods: Mapping[str, Any]) -> dict[str, Any]:
    return {name: methods[name] for name in CLAIM_METHODS if name in methods and methods[name]["shown"]}


def _leader(entry: Mapping[str, Any]) -> str | None:
    """Return the most enriched component whose interval lies above 1, if any."""
    above = {
        name: part["enrichment"]
        for name, part in entry["components"].items()
        if name != "undefined" and part["enrichment"] is not None and part["ci95"] and part["ci95"][0] > 1
    }
    return max(sorted(above), key=lambda name: above[name]) if above else None
