"""The attribution part of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.attribution.methods import CLAIM_METHODS
from transecg_core.names import TASKS
from transecg_core.report.beat import beat_panel
from transecg_core.report.fiducial_rows import fiducial_rows
from transecg_core.report.html import drawing
from transecg_core.report.map_sites import at_sites, by_site
from transecg_core.report.map_table import checked, conclusion, map_tasks, no_map, short
from transecg_core.report.methods import BESIDE, MARKS, METHOD_ORDER, WORDS
from transecg_core.report.shares import share_panel, task_bars
from transecg_core.report.what_if_words import what_if_parts

Report = Mapping[str, Any]
SINCE_1_4: tuple[str, ...] = ("attribution_by_site", "fiducial_models", "what_if")
"""Parts whose absence is told, unless the report is from before they were known."""


def attribution_parts(report: Report) -> dict[str, Any]:
    """Return what the page shows of the attribution: beats, shares, every map and its checks, and the rest."""
    tasks = _tasks(report)
    beat, attribution = report["example_beat"], report["attribution"]
    reason = (
        "too few people for a mean beat that is nobody's." if beat is None else "it has no relevance map."
    )
    if not attribution:
        reason = "no attribution was computed."
    legend = [
        {"method": method, "css": MARKS[place].css, "colour": MARKS[place].colour, "words": WORDS[method]}
        for place, method in enumerate(CLAIM_METHODS)
    ]
    used = {method for methods in attribution.values() for method in methods}
    return {
        "maps": map_tasks(report, tasks),
        "checked": checked(report),
        "shares": [panel for number, task in enumerate(tasks) if (panel := _shares(report, task, number))],
        "beats": _beats(report, tasks),
        "beat_reason": reason,
        "legend": [item for item in legend if item["method"] in used],
        "beside": [{"method": method, "words": WORDS[method]} for method in BESIDE if method in used],
        "by_site": by_site(report, tasks),
        "at_sites": at_sites(report),
        "fiducials": fiducial_rows(report),
        "what_if": what_if_parts(report),
        "missing": {key: missing(report, key) for key in SINCE_1_4},
    }


def missing(report: Report, key: str) -> str | None:
    """Return why a part that reports have since 1.4 is empty; None where it is not, or the report is older."""
    if report.get(key, True):
        return None
    if report["training"]["profile"] == "quick":
        return "Not computed in profile quick."
    return "Not computed in this run."


def _tasks(report: Report) -> list[str]:
    """Return the tasks with attribution; those with a map that may be shown come first."""
    shown = {t: any(e["shown"] for e in methods.values()) for t, methods in report["attribution"].items()}
    return sorted(shown, key=lambda t: (not shown[t], TASKS.index(t) if t in TASKS else len(TASKS), t))


def _shares(report: Report, task: str, number: int) -> dict[str, Any] | None:
    """Return the bars of a task; None where no claim-carrying map may be shown."""
    methods = report["attribution"][task]
    shown = [methods[m] if m in methods and methods[m]["shown"] else None for m in CLAIM_METHODS]
    rows = task_bars(shown)
    if not rows:
        return None
    names = [name for name, entry in zip(CLAIM_METHODS, shown, strict=True) if entry]
    greyed = [name for name in CLAIM_METHODS if name in methods and name not in names]
    label = f"Share of relevance against share of the time per component, task {task}: {', '.join(names)}"
    return {
        "task": task,
        "svg": drawing(share_panel(f"shares-{number}", label, rows)),
        "note": f"Not drawn, greyed: {', '.join(greyed)}." if greyed else "",
    }


def _beats(report: Report, tasks: list[str]) -> list[dict[str, Any]]:
    """Return the coloured beats task by task; a task without any map says why instead."""
    beat, quick = report["example_beat"], report["training"]["profile"] == "quick"
    out = []
    for number, task in enumerate(t for t in tasks if beat and t in beat["relevance"]):
        methods = report["attribution"][task]
        why = no_map(methods)
        maps = [] if why else [
            _beat(report, task, method, f"beat-{number}-{METHOD_ORDER.index(method)}")
            for method in METHOD_ORDER
            if method in methods and method in beat["relevance"][task]
        ]  # fmt: skip
        if maps or why:
            out.append({"name": task, "maps": maps, "why": why, "said": conclusion(report, task, quick)})
    return out


def _beat(report: Report, task: str, method: str, name: str) -> dict[str, Any]:
    beat, entry = report["example_beat"], report["attribution"][task][method]
    label = f"Mean beat, relevance for {task} by {method}" + ("" if entry["shown"] else ", greyed")
    drawn = beat_panel(
        name, label, beat["x"], beat["component"], beat["relevance"][task][method], entry["shown"]
    )
    counts = method in CLAIM_METHODS
    return {
        "method": method,
        "shown": entry["shown"],
        "beside": not counts,
        "svg": drawing(drawn),
        "reason": f"greyed: {short(entry['reason'])}"
        if not entry["shown"]
        else ""
        if counts
        else "no claim: never sees the task",
    }
