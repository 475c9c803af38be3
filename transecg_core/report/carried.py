"""Which component carries a task, said only where the maps allow it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CLAIM_METHODS: tuple[str, ...] = ("gradient-attention", "occlusion")
"""Attribution methods whose maps may carry a claim; the others are shown for comparison."""


def carried(attribution: Mapping[str, Any]) -> list[str]:
    """Name a component only where every claim-carrying map that is shown names the same one."""
    tasks_of: dict[tuple[str, str], list[str]] = {}
    silent = []
    for task in sorted(attribution):
        named = {method: _leader(entry) for method, entry in _claims(attribution[task]).items()}
        leaders = set(named.values())
        leader = leaders.pop() if len(leaders) == 1 else None
        if leader is None:
            silent.append(task)
        else:
            tasks_of.setdefault((leader, " and ".join(sorted(named))), []).append(task)
    out = [
        f"{leader} carries more than its duration explains for {', '.join(tasks)} (by {methods})."
        for (leader, methods), tasks in sorted(tasks_of.items())
    ]
    if silent:
        out.append(f"No conclusion on which component carries {', '.join(silent)}.")
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
