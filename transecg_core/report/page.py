"""``report.html``, made from ``report.json`` alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from transecg_core.report.cards import banners, cards, facts
from transecg_core.report.carried import CLAIM_METHODS
from transecg_core.report.claim import ELSEWHERE
from transecg_core.report.duplicates import in_words
from transecg_core.report.figures import risk_panel, training_curve
from transecg_core.report.headline import POOLED, headline
from transecg_core.report.html import drawing, render
from transecg_core.report.maps import attribution_parts
from transecg_core.report.numbers import (
    NOTHING,
    count,
    figure,
    interval,
    is_difference,
    low_is_risky,
    metric_label,
)
from transecg_core.report.template import REPORT
from transecg_core.report.verdict import exceeds_ceiling
from transecg_core.report.words import GLOSSARY, KINDS
from transecg_core.risk.protocols import LEAKY

Report = Mapping[str, Any]
FIGURE_ROWS = 7
"""Rows of one risk figure; the table below it holds all."""


def report_page(report: Report) -> str:
    """Return the page of a validated report."""
    return render(
        REPORT,
        r=report,
        title=f"TransECG-FL: {'synthetic' if report['data']['kind'] == 'synthetic' else 'real'} run report",
        headline="How much re-identification risk remains",
        facts=facts(report),
        banners=banners(report),
        cards=cards(report),
        verdict=[sentence.partition(": ")[::2] for sentence in report["verdict"]],
        kinds=[_kind(report, kind) for kind in KINDS],
        glossary=GLOSSARY,
        claim_methods=CLAIM_METHODS,
        site_tables=_site_tables(report),
        utility=_utility(report),
        noise_source=_noise_source(report),
        planned_only=_planned_only(report),
        duplicates=in_words(report["data"]),
        **attribution_parts(report),
        **_training(report),
    )  # fmt: skip


def _kind(report: Report, kind: Mapping[str, str]) -> dict[str, Any]:
    rows = [row for row in report["risks"] if row["kind"] == kind["kind"]]
    rows = [row for row in rows if row["site"] == POOLED] or rows
    first = headline(report["risks"])
    lead = {id(r) for r in (first.floor, first.random_init, first.model, first.membership) if r is not None}
    drawn = [
        row
        for row in rows
        if row["main"] is not None and not (kind["kind"] == "B" and is_difference(row["metric"]))
    ]
    drawn.sort(
        key=lambda row: (id(row) not in lead, row["protocol"] != first.protocol, low_is_risky(row["metric"]))
    )
    left = len(drawn) - FIGURE_ROWS
    panel = risk_panel(f"risk-{kind['kind']}", kind["kind"], drawn[:FIGURE_ROWS]) if drawn else None
    footnotes = _repeated(rows)
    return {
        **kind,
        "svg": drawing(panel),
        "more": f"{left} more in the table." if left > 0 else "",
        "rows": _grouped(rows, footnotes),
        "footnotes": footnotes,
        "has_ceiling": any(row["ceiling"] is not None for row in rows),
        "has_notes": any(row["notes"] for row in rows),
    }


def _repeated(rows: list[Mapping[str, Any]]) -> list[str]:
    """Return the parts of notes that several rows share, in order of appearance: said once, below the table."""
    times = Counter(part for row in rows for part in _parts(row))
    return [part for part, number in times.items() if number > 1]


def _parts(row: Mapping[str, Any]) -> list[str]:
    return [part for part in dict.fromkeys((row["notes"] or "").split("; ")) if part]


def _grouped(rows: list[Mapping[str, Any]], footnotes: list[str]) -> list[dict[str, Any]]:
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


def _risk_row(row: Mapping[str, Any]) -> dict[str, Any]:
    metric = row["metric"]
    texts = {f"{key}_text": figure(row[key], metric) for key in ("main", "control", "baseline", "ceiling")}
    ci = interval(row["ci95"], metric) if row["ci95"] is not None else ""
    texts["metric_text"] = metric_label(metric)
    return {**row, **texts, "ci_text": ci, "leaky": row["protocol"] == LEAKY, "loud": exceeds_ceiling(row)}


def _site_tables(report: Report) -> list[dict[str, Any]]:
    """Return one matrix per kind: attacks down, sites across."""
    tables = []
    for kind in KINDS:
        rows = [r for r in report["risks"] if r["kind"] == kind["kind"] and r["site"] != POOLED]
        if not rows:
            continue
        sites = sorted({row["site"] for row in rows})
        by_attack: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
        for row in rows:
            by_attack.setdefault((row["name"], row["protocol"], row["metric"]), {})[row["site"]] = row
        lines = [
            {
                "name": name,
                "protocol": protocol,
                "leaky": protocol == LEAKY,
                "metric": metric_label(metric),
                "cells": [_cell(of.get(s)) for s in sites],
            }
            for (name, protocol, metric), of in by_attack.items()
        ]
        tables.append({**kind, "sites": sites, "rows": lines, "reasons": _reasons(rows)})
    return tables


def _cell(row: Mapping[str, Any] | None) -> dict[str, str]:
    if row is None:
        return {"main": NOTHING, "ci": "", "control": ""}
    metric = row["metric"]
    return {
        "main": figure(row["main"], metric),
        "ci": interval(row["ci95"], metric) if row["ci95"] is not None else "",
        "control": figure(row["control"], metric) if row["control"] is not None else "",
    }


def _reasons(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return each reason once, with where it holds."""
    where: dict[str, set[str]] = {}
    for row in rows:
        if row["main"] is None and row["notes"]:
            where.setdefault(row["notes"].removeprefix("not measurable: ").rstrip("."), set()).add(
                row["site"]
            )
    return [f"{', '.join(sorted(sites))}: {note}" for note, sites in where.items()]


def _utility(report: Report) -> dict[str, Any] | None:
    """Return one matrix: tasks down, all sites and each site across."""
    utility = report["utility"]
    sites = sorted({site for scores in utility.values() for site in scores}, key=lambda s: (s != POOLED, s))
    rows: list[dict[str, Any]] = []
    reasons: dict[str, dict[str, list[str]]] = {}
    for task in sorted(utility):
        scores = utility[task]
        notes = {s["notes"] for s in scores.values() if s["value"] is not None and s.get("notes")}
        metrics = sorted({score["metric"] for score in scores.values()})
        cells = [_utility_cell(scores.get(site)) for site in sites]
        rows.append(
            {"task": task, "metric": ", ".join(metrics), "cells": cells, "note": "; ".join(sorted(notes))}
        )
        for site in (site for site in sites if site in scores and scores[site]["value"] is None):
            why = (scores[site].get("notes") or "no reason given").removeprefix("not measurable: ")
            place = "all sites" if site == POOLED else site
            reasons.setdefault(why, {}).setdefault(task, []).append(place)
    names = ["all sites" if site == POOLED else site for site in sites]
    lines = []
    for why, where in reasons.items():
        told = "; ".join(f"{task} at {', '.join(places)}" for task, places in where.items())
        lines.append(f"{why}: {told}")
    pretrained = any(score.get("start") for scores in utility.values() for score in scores.values())
    return {"sites": names, "rows": rows, "reasons": lines, "pretrained": pretrained} if rows else None


def _utility_cell(score: Mapping[str, Any] | None) -> dict[str, str]:
    if score is None:
        return {"value": NOTHING, "ci": "", "majority": "", "start": ""}
    metric, start = score["metric"], score.get("start")
    return {
        "value": figure(score["value"], metric),
        "ci": interval(score["ci95"], metric) if score["ci95"] is not None else "",
        "majority": figure(score["majority"], metric),
        "start": figure(start["value"], metric) if start and start["value"] is not None else "",
    }


def _noise_source(report: Report) -> str:
    if report["privacy"]["unit"] in ("none", ELSEWHERE):
        return NOTHING
    if report["privacy"]["simulation_noise"]:
        return "seeded, so that the simulation repeats: whoever knows the seed can remove it"
    return "not seeded by the run"


def _planned_only(report: Report) -> dict[str, str]:
    """Return site -> what its steps are, where it was not there in every round: planned, and charged all the same."""
    absent = [set(one["absent"]) for one in report["training"]["rounds"]]
    return {
        site: f"planned; took part in {sum(site not in some for some in absent)} of {count(len(absent), 'round')}"
        for site in sorted(set().union(*absent))
    }


def _training(report: Report) -> dict[str, Any]:
    rounds = report["training"]["rounds"]
    curve = training_curve("curve", rounds)
    if report["privacy"]["unit"] == ELSEWHERE:
        return {"curve": "", "curve_note": "None here: the model was trained elsewhere.", "absences": []}
    note = f"{count(len(rounds), 'round')}, profile {report['training']['profile']}."
    if curve is None:
        note += " Losses are withheld or were not recorded."
    elif report["training"]["still_falling"]:
        note += " The loss was still falling at the end: risks B and C are lower bounds."
    if curve is not None and report["privacy"]["unit"] != "none":
        note += " Losses are shown in this simulation only, outside the guarantee."
    absences = [
        f"round {r['round']}: {site} ({reason})"
        for r in rounds
        for site, reason in sorted(r["absent"].items())
    ]
    return {"curve": drawing(curve), "curve_note": note, "absences": absences}
