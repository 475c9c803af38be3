"""The comparison page's part on attribution: shares of every arm over each other, and the table behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transecg_core.report.compare_words import direction
from transecg_core.report.headline import POOLED
from transecg_core.report.html import drawing
from transecg_core.report.methods import MARKS
from transecg_core.report.numbers import NOTHING
from transecg_core.report.shares import Bars, Point, share_panel

Document = Mapping[str, Any]
Row = Mapping[str, Any]


def map_parts(document: Document) -> dict[str, Any] | None:
    """Return panels, tables and the maps that are missing; None for a comparison without attribution."""
    part = document.get("attribution")
    if not part or not part["maps"]:
        return None
    names = [arm["name"] for arm in document["arms"]]
    pooled = [row for row in part["rows"] if row["site"] == POOLED]
    sites = [row for row in part["rows"] if row["site"] != POOLED]
    keys = list(dict.fromkeys((row["task"], row["method"]) for row in pooled))
    panels = [_panel(pooled, names, task, method, number) for number, (task, method) in enumerate(keys)]
    table = _table(pooled, names)
    return {
        "legend": [
            {"name": name, "css": MARKS[k % len(MARKS)].css, "colour": MARKS[k % len(MARKS)].colour}
            for k, name in enumerate(names)
        ],
        "panels": panels,
        "arms": names,
        "found": [row for row in table if row["sure"]],
        "rows": table,
        "sites": _table(sites, names),
        "missing": _missing(part["maps"], names),
    }


def _panel(rows: Sequence[Row], names: Sequence[str], task: str, method: str, number: int) -> dict[str, Any]:
    bars = []
    for row in rows:
        if (row["task"], row["method"]) == (task, method):
            points = tuple(_point(row["arms"][name]["share"], row["duration"]) for name in names)
            known = [row["arms"][name]["estimate"]["mean"] for name in names]
            text = " / ".join(NOTHING if value is None else f"{value:.1f}" for value in known)
            bars.append(
                Bars(row["component"], row["duration"], points, f"{text}×" if len(names) <= 4 else "")
            )
    label = f"Share of relevance per component and arm, task {task}, {method}"
    return {"task": task, "method": method, "svg": drawing(share_panel(f"arms-{number}", label, bars))}


def _point(share: Mapping[str, Any], duration: float | None) -> Point | None:
    if share["mean"] is None:
        return None
    if share["ci95"] is None:
        return Point(share["mean"], None, None, False)
    low, high = share["ci95"]
    sure = duration is not None and (low > duration or high < duration)
    return Point(share["mean"], low, high, sure)


def _table(rows: Sequence[Row], names: Sequence[str]) -> list[dict[str, Any]]:
    out = []
    for row in rows:
        cells = [_cell(row["arms"][name], name) for name in names]
        if any(cell["mean"] != NOTHING for cell in cells):
            sure = any(cell["sure"] for cell in cells)
            where = {key: row[key] for key in ("task", "method", "site", "component")}
            out.append(where | {"cells": cells, "sure": sure})
    return out


def _cell(cell: Mapping[str, Any], name: str) -> dict[str, Any]:
    estimate, against = cell["estimate"], cell["against_best"]
    out = {"mean": NOTHING, "ci": "", "difference": "", "way": "", "sure": False}
    if estimate["mean"] is not None:
        out["mean"] = f"{estimate['mean']:.2f}×"
        out["ci"] = _span(estimate["ci95"])
    if against is not None and against["mean"] is not None:
        out["difference"] = f"{against['mean']:+.2f}".replace("-", "−")
        way = direction(against)
        out["way"] = f"{_span(against['ci95'])}; {way}" if against["ci95"] else way
        out["sure"] = way in ("higher", "lower")
    return out


def _span(pair: Sequence[float] | None) -> str:
    return "" if pair is None else f"{pair[0]:.2f} to {pair[1]:.2f}".replace("-", "−")


def _missing(maps: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Return one line per task and arm of which some run shows no map; methods in equal case told together."""
    told: dict[tuple[str, str, str], list[str]] = {}
    for entry in maps:
        for name in names:
            arm = entry["arms"][name]
            if arm["shown"] < arm["runs"]:
                why = f"shown in {arm['shown']} of {arm['runs']} ({', '.join(arm['reasons'])})"
                told.setdefault((entry["task"], name, why), []).append(entry["method"])
    known = {task: sum(entry["task"] == task for entry in maps) for task, _, _ in told}
    return [
        f"{task}, {name}: {'every map' if len(methods) == known[task] else ', '.join(methods)} {why}"
        for (task, name, why), methods in told.items()
    ]
