"""The maps site by site: as the server sees them, and as the sites themselves explain their own heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transecg_core.names import TASKS
from transecg_core.report.map_table import top
from transecg_core.report.methods import in_order
from transecg_core.report.numbers import NOTHING, count, figure

Report = Mapping[str, Any]
COLUMNS: tuple[str, ...] = ("P", "PQ", "QRS", "ST", "T", "TP", "undefined")


def by_site(report: Report, tasks: Sequence[str]) -> dict[str, Any] | None:
    """Return the most enriched component per site and shown map; None where the report has no such part.

    Maps that are greyed over all sites are left out, and named.
    """
    found = report.get("attribution_by_site")
    if not found:
        return None
    sites = sorted({site for methods in found.values() for per in methods.values() for site in per})
    rows, greyed = [], []
    for task in (t for t in tasks if t in found):
        shown = [m for m in in_order(found[task]) if report["attribution"][task].get(m, {}).get("shown")]
        hidden = [m for m in in_order(found[task]) if m not in shown]
        greyed += [f"{task} ({', '.join(hidden)})"] if hidden else []
        for place, method in enumerate(shown):
            cells = [_cell(found[task][method].get(site)) for site in sites]
            rows.append(
                {"task": task, "span": len(shown) if place == 0 else 0, "method": method, "cells": cells}
            )
    return {"sites": sites, "rows": rows, "greyed": greyed}


def _cell(entry: Mapping[str, Any] | None) -> dict[str, str]:
    if entry is None:
        return {"top": NOTHING, "ci": "", "sub": ""}
    if entry["components"] is None:
        return {"top": NOTHING, "ci": "", "sub": entry["reason"] or "no reason given"}
    first, interval = top(entry["components"])
    people = count(entry["n_participants"], "person").replace("persons", "people")
    return {"top": first, "ci": interval, "sub": people}


def at_sites(report: Report) -> dict[str, Any] | None:
    """Return what the sites explained on their own probes; None where the report has no such part."""
    entries = report.get("attribution_at_sites")
    if not entries:
        return None
    ordered = sorted(entries, key=lambda e: (_place(e["task"]), e["head"], e["method"], e["site"]))
    told = [entry for entry in ordered if entry["components"] is not None]
    silent: dict[str, dict[str, list[str]]] = {}
    for entry in ordered:
        if entry["components"] is None:
            where = silent.setdefault(entry["reason"] or "no reason given", {}).setdefault(entry["task"], [])
            if entry["site"] not in where:
                where.append(entry["site"])
    lines = [
        f"{why}: " + "; ".join(f"{task} at {', '.join(sites)}" for task, sites in where.items())
        for why, where in silent.items()
    ]
    return {"columns": COLUMNS, "rows": [_own(report, entry) for entry in told], "silent": lines}


def _place(task: str) -> tuple[int, str]:
    return (TASKS.index(task) if task in TASKS else len(TASKS), task)


def _own(report: Report, entry: Mapping[str, Any]) -> dict[str, Any]:
    over_all = report.get("attribution", {}).get(entry["task"], {}).get(entry["method"])
    return {
        "site": entry["site"], "task": entry["task"], "method": entry["method"],
        "head": "its own, never released" if entry["head"] == "own" else "the shared one",
        "n": count(entry["n_participants"]), "accuracy": figure(entry["accuracy"], "accuracy"),
        "cells": [_enrichment(entry["components"].get(name)) for name in COLUMNS],
        "greyed": over_all is not None and not over_all["shown"],
    }  # fmt: skip


def _enrichment(part: Mapping[str, Any] | None) -> dict[str, str]:
    if part is None or part["enrichment"] is None:
        return {"value": NOTHING, "ci": ""}
    interval = part["ci95"]
    return {
        "value": f"{part['enrichment']:.1f}×",
        "ci": f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else "",
    }
