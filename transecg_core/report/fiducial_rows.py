"""ECG Unveiled: named features in a tree model, beside the encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.names import TASKS
from transecg_core.report.headline import POOLED
from transecg_core.report.methods import in_order
from transecg_core.report.numbers import count, figure, interval

Report = Mapping[str, Any]


def fiducial_rows(report: Report) -> list[dict[str, Any]]:
    """Return one row per task and site; empty where the report has none."""
    entries = report.get("fiducial_models") or []
    ordered = sorted(entries, key=lambda e: (_place(e["task"]), e["site"] != POOLED, e["site"]))
    rows = [_row(entry) for entry in ordered]
    for place, row in enumerate(rows):
        first = place == 0 or rows[place - 1]["task"] != row["task"]
        row["span"] = sum(other["task"] == row["task"] for other in rows) if first else 0
    return rows


def _place(task: str) -> tuple[int, str]:
    return (TASKS.index(task) if task in TASKS else len(TASKS), task)


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    metric = entry["metric"]
    agreement = {name: value for name, value in (entry["agreement"] or {}).items() if value is not None}
    return {
        "task": entry["task"],
        "site": "all sites" if entry["site"] == POOLED else entry["site"],
        "metric": metric,
        "value": figure(entry["value"], metric),
        "ci": interval(entry["ci95"], metric) if entry["ci95"] else "",
        "vit": figure(entry["vit"], metric),
        "vit_ci": interval(entry["vit_ci95"], metric) if entry["vit_ci95"] else "",
        "majority": figure(entry["majority"], metric),
        "n": count(entry["n_participants"]),
        "shares": _shares(entry["components"]),
        "agreement": [f"{name} {figure(agreement[name])}" for name in in_order(agreement)],
        "features": [_feature(item) for item in entry["features"]],
        "notes": entry["notes"] or "",
    }


def _shares(components: Mapping[str, float | None] | None) -> str:
    known = {name: value for name, value in (components or {}).items() if value is not None}
    ordered = sorted(known, key=lambda name: (-known[name], name))
    return ", ".join(f"{name} {figure(known[name], 'share')}" for name in ordered)


def _feature(item: Mapping[str, Any]) -> str:
    unit = f", {item['unit']}" if item["unit"] else ""
    part = f"; {item['component']}" if item["component"] else ""
    return f"{item['name']}{unit} ({figure(item['share'], 'share')}{part})"
