"""Where attribution moves under privacy: the same maps in every arm, paired over seeds.

Only maps that may be shown count. A run whose model is near chance has no map, and is no pair.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transecg_core.attribution.methods import CLAIM_METHODS, FAMILIES
from transecg_core.names import TASKS
from transecg_core.report.headline import POOLED
from transecg_core.report.map_table import short
from transecg_core.report.shares import COMPONENT_ORDER

Report = Mapping[str, Any]
Arms = Mapping[str, Mapping[int, Report]]
Cells = Callable[[Mapping[str, Mapping[int, float | None]]], dict[str, Any]]
"""Arm -> seed -> value, to arm -> cell of the comparison."""


def compared_attribution(arms: Arms, cells: Cells) -> dict[str, Any]:
    """Return which maps each arm has, and enrichment per task, method, component and site.

    Parameters
    ----------
    cells
        Turns values per arm and seed into estimates and paired differences.
    """
    reports = [report for runs in arms.values() for report in runs.values()]
    tasks = {task for report in reports for task in report["attribution"]}
    maps, rows = [], []
    for task in sorted(tasks, key=lambda t: (TASKS.index(t) if t in TASKS else len(TASKS), t)):
        for method in CLAIM_METHODS:
            if not any(method in report["attribution"].get(task, {}) for report in reports):
                continue
            maps.append(_map(arms, task, method))
            for site in (POOLED, *_sites(reports, task, method)):
                rows += _rows(arms, cells, task, method, site)
    return {"maps": maps, "rows": rows}


def _sites(reports: Sequence[Report], task: str, method: str) -> list[str]:
    found = (report.get("attribution_by_site", {}).get(task, {}).get(method, {}) for report in reports)
    return sorted({site for sites in found for site in sites})


def _map(arms: Arms, task: str, method: str) -> dict[str, Any]:
    """Return in how many runs of each arm a map is shown, and why it is not in the others."""
    told = {}
    for arm, runs in arms.items():
        explained = [report["attribution"].get(task) for report in runs.values()]
        entries = [methods.get(method) if methods else None for methods in explained]
        hidden = [
            _hidden(methods, entry)
            for methods, entry in zip(explained, entries, strict=True)
            if not (entry and entry["shown"])
        ]
        told[arm] = {
            "shown": sum(bool(entry and entry["shown"]) for entry in entries),
            "runs": len(entries),
            "reasons": sorted(set(hidden)),
        }
    return {"task": task, "method": method, "arms": told}


def _hidden(methods: Mapping[str, Any] | None, entry: Mapping[str, Any] | None) -> str:
    """Return why a run shows no map of a task by a method."""
    if methods is None:
        return "these runs do not explain it"
    return "not measured" if entry is None else _why(entry["reason"])


def _why(reason: str | None) -> str:
    """Return a reason without its figures, so that equal reasons of several runs are told once."""
    return re.sub(r" \(-?[0-9.]+\)$", "", short(reason).partition(": ")[0])


def _parts(report: Report, task: str, method: str, site: str) -> Mapping[str, Any]:
    """Return component -> shares of one run's map; empty where it may not be shown."""
    entry = report["attribution"].get(task, {}).get(method)
    if entry is None or not entry["shown"]:
        return {}
    if site == POOLED:
        return dict(entry["components"])
    there = report.get("attribution_by_site", {}).get(task, {}).get(method, {}).get(site)
    return {} if there is None else (there["components"] or {})


def _rows(arms: Arms, cells: Cells, task: str, method: str, site: str) -> list[dict[str, Any]]:
    found = {
        arm: {seed: _parts(run, task, method, site) for seed, run in runs.items()}
        for arm, runs in arms.items()
    }
    out = []
    for component in COMPONENT_ORDER:

        def values(key: str, component: str = component) -> dict[str, dict[int, float | None]]:
            return {
                arm: {seed: (parts.get(component) or {}).get(key) for seed, parts in runs.items()}
                for arm, runs in found.items()
            }

        durations = [v for runs in values("duration").values() for v in runs.values() if v is not None]
        if not durations:
            continue
        enrichment, share = cells(values("enrichment")), cells(values("share"))
        out.append({
            "task": task, "method": method, "site": site, "component": component,
            "duration": math.fsum(durations) / len(durations),
            "arms": {
                arm: cell | {"estimate": _possible(cell["estimate"]), "share": _possible(share[arm]["estimate"], 1.0)}
                for arm, cell in enrichment.items()
            },
        })  # fmt: skip
    return out


def _possible(estimate: Mapping[str, Any], most: float = math.inf) -> dict[str, Any]:
    """Return an estimate whose interval holds only values that can be: not below 0, nor above `most`.

    Relevance against the target is cut off at zero. Where that happened on every seed, seeds
    that agree say nothing of how far below it was, and there is no interval.
    """
    if estimate["ci95"] is None:
        return dict(estimate)
    low, high = estimate["ci95"]
    cut = estimate["mean"] == 0 and low == high
    return {**estimate, "ci95": None if cut else [max(low, 0.0), min(high, most)]}


def moved(rows: Sequence[Mapping[str, Any]], task: str, arm: str) -> dict[str, dict[str, float]]:
    """Return component -> method -> paired difference in enrichment, where a component clearly gains or loses.

    A component moves only if a method of each family says so with an interval that excludes zero, in the
    same direction, and no method says the opposite.
    """
    clear: dict[str, dict[str, float]] = {}
    for row in rows:
        change = row["arms"][arm]["against_best"]
        if row["task"] == task and row["site"] == POOLED and change and change["ci95"]:
            low, high = change["ci95"]
            if low > 0 or high < 0:
                clear.setdefault(row["component"], {})[row["method"]] = change["mean"]
    return {
        component: by
        for component, by in clear.items()
        if len({value > 0 for value in by.values()}) == 1
        and all(any(method in by for method in methods) for methods in FAMILIES.values())
    }


def attribution_sentence(document: Mapping[str, Any], arm: str) -> str:
    """Return where attribution moves in one arm against ``best``, and where no map can tell; empty without maps."""
    part = document.get("attribution") or {"maps": [], "rows": []}
    tasks = list(dict.fromkeys(entry["task"] for entry in part["maps"]))
    if not tasks:
        return ""
    told, still, without = [], [], []
    for task in tasks:
        changes = [row["arms"][arm]["against_best"] for row in part["rows"] if _at(row, task)]
        pairs = max((change["n"] for change in changes if change), default=0)
        found = moved(part["rows"], task, arm)
        if found:
            told.append(_told(task, found))
        elif pairs:
            still.append(task)
        else:
            without.append(f"{task} ({_no_pair(part['maps'], task, arm)})")
    tests = sum(bool(row["arms"][arm]["against_best"] and row["arms"][arm]["against_best"]["ci95"])
                for row in part["rows"] if row["site"] == POOLED)  # fmt: skip
    out = (
        [
            f"Enrichment against best, where both families of methods agree: {'; '.join(told)}. "
            f"{tests} differences were looked at."
        ]
        if told
        else []
    )
    out += [f"No conclusion on where attribution moves for {', '.join(still)}."] if still else []
    out += [f"No map in both arms: {'; '.join(without)}."] if without else []
    return " ".join(out)


def _at(row: Mapping[str, Any], task: str) -> bool:
    return bool(row["task"] == task and row["site"] == POOLED)


def _told(task: str, found: Mapping[str, Mapping[str, float]]) -> str:
    """Return ``participant more on P (+0.11 to +0.13×), less on QRS (−1.00×)``: the range is over methods."""
    parts = []
    for component in (name for name in COMPONENT_ORDER if name in found):
        values = sorted(found[component].values())
        low, high = (f"{value:+.2f}".replace("-", "−") for value in (values[0], values[-1]))
        way = "more" if values[0] > 0 else "less"
        parts.append(f"{way} on {component} ({low if low == high else f'{low} to {high}'}×)")
    return f"{task} {', '.join(parts)}"


def _no_pair(maps: Sequence[Mapping[str, Any]], task: str, arm: str) -> str:
    """Return whose maps are missing, and why."""
    out = []
    for name in dict.fromkeys(("best", arm)):
        entries = [entry["arms"].get(name) for entry in maps if entry["task"] == task]
        if any(entry is None or not entry["shown"] for entry in entries):
            reasons = sorted({reason for entry in entries if entry for reason in entry["reasons"]})
            out.append(f"{name}: {', '.join(reasons) or 'not run'}")
    return "; ".join(out) or "never in the same seed"
