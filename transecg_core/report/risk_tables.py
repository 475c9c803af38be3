"""The risk tables of the page: by kind, then family; what matters first, the long tail folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transecg_core.report.families import by_family
from transecg_core.report.figures import risk_panel
from transecg_core.report.headline import POOLED, Headline, headline
from transecg_core.report.html import drawing
from transecg_core.report.leakage import exceeds_ceiling
from transecg_core.report.numbers import (
    NOTHING,
    count,
    figure,
    interval,
    is_difference,
    low_is_risky,
    metric_label,
)
from transecg_core.report.words import KINDS
from transecg_core.risk.protocols import HARDEST_FIRST, LEAKY

Report = Mapping[str, Any]
Row = Mapping[str, Any]
FIGURE_ROWS = 7
"""Rows of one risk figure; the tables below it hold all."""
SHOWN_ROWS = 6
"""Rows of a family that stand open, the first of each attack before any second one; the rest is folded."""
_SIDE_METRICS = ("rank-5", "tar@", "tpr@")
"""Figures that say again, at another point, what the first one says."""


def risk_kinds(report: Report) -> list[dict[str, Any]]:
    """Return, per kind, its figure, its families with their tables, and notes that many rows share."""
    return [_kind(report, kind) for kind in KINDS]


def _kind(report: Report, kind: Mapping[str, str]) -> dict[str, Any]:
    rows = [row for row in report["risks"] if row["kind"] == kind["kind"]]
    rows = [row for row in rows if row["site"] == POOLED] or rows
    first = headline(report["risks"])
    families = by_family(rows, kind["kind"])
    drawn = _drawn(kind["kind"], rows, families, first)
    left = len(drawn) - FIGURE_ROWS
    panel = risk_panel(f"risk-{kind['kind']}", kind["kind"], drawn[:FIGURE_ROWS]) if drawn else None
    footnotes = _repeated(rows)
    return {
        **kind,
        "svg": drawing(panel),
        "more": f"{left} more in the tables." if left > 0 else "",
        "families": [
            {"title": family.title, "asks": family.asks, **_parts_of(own, footnotes, first.protocol)}
            for family, own in families
        ],
        "footnotes": footnotes,
        "has_ceiling": any(row["ceiling"] is not None for row in rows),
        "has_notes": any(row["notes"] for row in rows),
    }


def _drawn(
    kind: str, rows: list[Row], families: Sequence[tuple[Any, list[Row]]], first: Headline
) -> list[Row]:
    """Return the measured rows: those of the headline, then the first of each family, then the others."""
    lead = {id(r) for r in (first.floor, first.random_init, first.model, first.membership) if r is not None}
    known = [r for r in rows if r["main"] is not None and not (kind == "B" and is_difference(r["metric"]))]
    known = [r for r in known if not str(r["metric"]).startswith("margin")]
    firsts = {id(_first(own, known, first.protocol)) for _, own in families}
    return sorted(
        known,
        key=lambda r: (
            id(r) not in lead, id(r) not in firsts, r["protocol"] != first.protocol, low_is_risky(r["metric"]),
        ),
    )  # fmt: skip


def _first(own: list[Row], known: list[Row], protocol: str | None) -> Row | None:
    """Return a family's first measured row, of the headline's protocol if there is one."""
    drawn = {id(row) for row in known}
    mine = [row for row in own if id(row) in drawn]
    return min(mine, key=lambda row: row["protocol"] != protocol, default=None)


def _parts_of(rows: list[Row], footnotes: list[str], protocol: str | None) -> dict[str, Any]:
    """Return a family's rows, those that stand open and those that are folded, and what the fold holds."""
    shown = [row for row in rows if row["main"] is not None and not _aside(row, protocol)]
    shown = shown or [row for row in rows if row["main"] is not None] or rows[:1]
    first_of = {row["name"]: row for row in reversed(shown)}
    firsts = {id(row) for row in first_of.values()}
    chosen = {id(row) for row in sorted(shown, key=lambda row: id(row) not in firsts)[:SHOWN_ROWS]}
    shown, folded = ([row for row in rows if (id(row) in chosen) == open_] for open_ in (True, False))
    return {
        "rows": _grouped(shown, footnotes),
        "folded": _grouped(folded, footnotes),
        "summary": _summary(folded),
    }


def _aside(row: Row, protocol: str | None) -> bool:
    """Return whether a row says again, easier or at another point, what a shown one says."""
    easier = row["protocol"] in (*HARDEST_FIRST, LEAKY) and row["protocol"] != protocol
    return easier or str(row["metric"]).lower().startswith(_SIDE_METRICS)


def _summary(rows: list[Row]) -> str:
    blank = sum(row["main"] is None for row in rows)
    protocols = list(dict.fromkeys(str(row["protocol"]) for row in rows if row["main"] is not None))
    told = [count(len(rows), "more row")]
    if protocols:
        told.append(", ".join(protocols[:4]) + ("…" if len(protocols) > 4 else ""))
    if blank:
        told.append(f"{blank} not measurable" if blank < len(rows) else "not measurable")
    return ": ".join([told[0], "; ".join(told[1:])]) if len(told) > 1 else told[0]


def _repeated(rows: list[Row]) -> list[str]:
    """Return the parts of notes that several rows share, in order of appearance: said once, below the tables."""
    times = Counter(part for row in rows for part in _parts(row))
    return [part for part, number in times.items() if number > 1 and not part.startswith("not measurable")]


def _parts(row: Row) -> list[str]:
    return [part for part in dict.fromkeys((row["notes"] or "").split("; ")) if part]


def _grouped(rows: list[Row], footnotes: list[str]) -> list[dict[str, Any]]:
    """Return the rows attack by attack; the first of each says how many lines its name spans."""
    attacks: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        key = (row["name"], row["observer"], row["auxiliary_data"])
        own = "; ".join(part for part in _parts(row) if part not in footnotes)
        marks = [footnotes.index(part) + 1 for part in _parts(row) if part in footnotes]
        shown = {**_risk_row(row), "span": 0, "last": False, "own_notes": own, "marks": sorted(marks)}
        attacks.setdefault(key, []).append(shown)
    for group in attacks.values():
        group[0]["span"], group[-1]["last"] = len(group), True
    return [row for group in attacks.values() for row in group]


def _risk_row(row: Row) -> dict[str, Any]:
    metric = row["metric"]
    texts = {f"{key}_text": figure(row[key], metric) for key in ("main", "control", "baseline", "ceiling")}
    ci = interval(row["ci95"], metric) if row["ci95"] is not None else ""
    texts["metric_text"] = metric_label(metric)
    return {**row, **texts, "ci_text": ci, "leaky": row["protocol"] == LEAKY, "loud": exceeds_ceiling(row)}


def site_tables(report: Report) -> list[dict[str, Any]]:
    """Return one matrix per kind, attacks down and sites across; the long tail is folded."""
    protocol = headline(report["risks"]).protocol
    tables = []
    for kind in KINDS:
        rows = [r for r in report["risks"] if r["kind"] == kind["kind"] and r["site"] != POOLED]
        if not rows:
            continue
        sites = sorted({row["site"] for row in rows})
        by_attack: dict[tuple[str, str, str], dict[str, Row]] = {}
        for _, own in by_family(rows, kind["kind"]):
            for row in own:
                key = (row["name"], row["protocol"], row["metric"])
                by_attack.setdefault(key, {})[row["site"]] = row
        lines: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
        for key, of in by_attack.items():
            known = [row for row in of.values() if row["main"] is not None]
            tail = not known or _aside(known[0], protocol) or _minor(key[2])
            lines[tail].append(_site_line(key, of, sites))
        shown, folded = (lines[False], lines[True]) if lines[False] else (lines[True], [])
        summary = count(len(folded), "more row")
        tables.append({**kind, "sites": sites, "rows": shown, "folded": folded, "summary": summary,
                       "reasons": _reasons(rows)})  # fmt: skip
    return tables


def _minor(metric: str) -> bool:
    """Return whether a metric stands behind rank-1 in a table of sites."""
    return low_is_risky(metric) or is_difference(metric)


def _site_line(key: tuple[str, str, str], of: Mapping[str, Row], sites: Sequence[str]) -> dict[str, Any]:
    name, protocol, metric = key
    return {
        "name": name,
        "protocol": protocol,
        "leaky": protocol == LEAKY,
        "metric": metric_label(metric),
        "cells": [_cell(of.get(site)) for site in sites],
    }


def _cell(row: Row | None) -> dict[str, str]:
    if row is None:
        return {"main": NOTHING, "ci": "", "control": ""}
    metric = row["metric"]
    return {
        "main": figure(row["main"], metric),
        "ci": interval(row["ci95"], metric) if row["ci95"] is not None else "",
        "control": figure(row["control"], metric) if row["control"] is not None else "",
    }


def _reasons(rows: Iterable[Row]) -> list[str]:
    """Return each reason once, with where it holds."""
    where: dict[str, set[str]] = {}
    for row in rows:
        if row["main"] is None and row["notes"]:
            where.setdefault(row["notes"].removeprefix("not measurable: ").rstrip("."), set()).add(
                row["site"]
            )
    return [f"{', '.join(sorted(sites))}: {note}" for note, sites in where.items()]
