"""``report.html``, made from ``report.json`` alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.report.cards import banners, cards, facts
from transecg_core.report.claim import ELSEWHERE
from transecg_core.report.curves import curve_parts
from transecg_core.report.duplicates import in_words
from transecg_core.report.exposed import people_parts
from transecg_core.report.figures import training_curve
from transecg_core.report.headline import POOLED
from transecg_core.report.html import drawing, render
from transecg_core.report.maps import attribution_parts
from transecg_core.report.numbers import NOTHING, count, figure, interval
from transecg_core.report.rebuilt import rebuilt_parts
from transecg_core.report.risk_tables import risk_kinds, site_tables
from transecg_core.report.template import REPORT
from transecg_core.report.words import GLOSSARY

Report = Mapping[str, Any]


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
        kinds=risk_kinds(report),
        glossary=GLOSSARY,
        site_tables=site_tables(report),
        utility=_utility(report),
        noise_source=_noise_source(report),
        planned_only=_planned_only(report),
        duplicates=in_words(report["data"]),
        **curve_parts(report),
        **people_parts(report),
        **rebuilt_parts(report),
        **attribution_parts(report),
        **_training(report),
    )  # fmt: skip


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
