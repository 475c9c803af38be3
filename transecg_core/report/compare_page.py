"""``compare.html``, made from ``compare.json`` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transecg_core.report.compare_leakage import difference_text
from transecg_core.report.compare_maps import map_parts
from transecg_core.report.compare_words import direction
from transecg_core.report.html import drawing, render
from transecg_core.report.numbers import count, figure, interval, is_rate, significant
from transecg_core.report.svg import BLUE, FAINT, INK, LINE, SOFT, VERMILLION, svg
from transecg_core.report.template import COMPARE
from transecg_core.report.words import QUICK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Document = Mapping[str, Any]
TITLES = {
    "utility": "Utility",
    "A": "In the signals anyway",
    "B": "What the model can do",
    "C": "Given away by training",
}


def comparison_page(document: Document) -> str:
    """Return the page of a validated comparison."""
    return render(
        COMPARE,
        d=document,
        title="TransECG-FL: comparison of arms",
        facts=_facts(document),
        banners=_banners(document),
        verdict=[sentence.partition(": ")[::2] for sentence in document["verdict"]],
        arms=[_arm(arm) for arm in document["arms"]],
        maps=map_parts(document),
        groups=[_group(document, about) for about in TITLES],
        criteria=[_criterion(document, row) for row in document["criteria"]],
    )  # fmt: skip


def _facts(document: Document) -> list[str]:
    seeds = sorted({seed for arm in document["arms"] for seed in arm["seeds"]})
    return [
        f"{document['kind']} data",
        count(len(document["arms"]), "arm"),
        f"{count(len(seeds), 'seed')} ({', '.join(str(s) for s in seeds)})",
        f"protocol {document['protocol'] or 'none measurable'}",
        f"profile {document['options']['profile']}",
    ]


def _banners(document: Document) -> list[dict[str, str]]:
    out = []
    if document["options"]["profile"] == "quick":
        out.append({"style": "", "title": "QUICK PROFILE", "text": f"This profile {QUICK}."})
    if document["kind"] == "synthetic":
        out.append({
            "style": "synthetic", "title": "SYNTHETIC DATA",
            "text": "Every signal and every person here is generated. Nothing on this page is a finding about patients.",
        })  # fmt: skip
    if document["leaky"]:
        out.append({
            "style": "", "title": "LEAKY PROTOCOL",
            "text": "random-window puts windows of one recording on both sides of the test. Its figures are inflated.",
        })  # fmt: skip
    if any(arm["simulation_noise"] for arm in document["arms"]):
        out.append({
            "style": "", "title": "NO GUARANTEE: SIMULATED NOISE",
            "text": "The noise came from seeds so that the runs repeat. The epsilons describe the mechanism; they protect "
            "nobody until it runs with a secret noise source.",
        })  # fmt: skip
    return out


def _arm(arm: Mapping[str, Any]) -> dict[str, str]:
    noise = (
        "no privacy"
        if arm["unit"] == "none"
        else "clipped, no noise"
        if not arm["guarantee"]
        else f"{arm['unit']} level"
    )
    return {
        "name": arm["name"],
        "privacy": noise,
        "epsilon": significant(arm["epsilon_participant"]),
        "seeds": ", ".join(str(seed) for seed in arm["seeds"]),
        "n": count(len(arm["seeds"])),
    }


def _group(document: Document, about: str) -> dict[str, Any]:
    names = [arm["name"] for arm in document["arms"]]
    figures = [entry for entry in document["figures"] if entry["about"] == about]
    return {
        "about": about,
        "title": TITLES[about],
        "figures": [_panel(entry, names, f"compare-{about}-{i}") for i, entry in enumerate(figures)],
        "rows": [_row(entry, name) for entry in figures for name in names],
    }


def _row(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    cell, metric = entry["arms"][name], entry["metric"]
    estimate, against = cell["estimate"], cell["against_best"]
    first = next(iter(entry["arms"])) == name
    return {
        "span": len(entry["arms"]) if first else 0,
        "label": entry["label"],
        "start": figure(entry["start"]["mean"], metric) if entry.get("start") else "",
        "metric": metric,
        "arm": name,
        "mean": figure(estimate["mean"], metric),
        "ci": interval(estimate["ci95"], metric) if estimate["ci95"] else "",
        "n": estimate["n"],
        "difference": difference_text(against, metric) if against else "",
        "pairs": against["n"] if against else "",
        "way": direction(against) if against and against["n"] else "",
    }


def _criterion(document: Document, row: Mapping[str, Any]) -> dict[str, Any]:
    names = [arm["name"] for arm in document["arms"]]
    known = {entry["key"]: entry for entry in document["figures"]}
    lines = []
    for key in row["figures"]:
        entry = known[key]
        cells = [figure(entry["arms"][name]["estimate"]["mean"], entry["metric"]) for name in names]
        lines.append({"label": entry["label"], "metric": entry["metric"], "cells": cells})
    return {**row, "lines": lines}


def _panel(entry: Mapping[str, Any], names: Sequence[str], name: str) -> dict[str, Any]:
    """Return one figure: every seed a small dot, the mean with its interval, arm under arm."""
    height = 26 * len(names) + 36
    values = [
        v
        for cell in entry["arms"].values()
        for v in (*cell["values"].values(), *(cell["estimate"]["ci95"] or ()))
    ]
    known = [v for v in values if v is not None]

    def draw(fig: Figure) -> None:
        ax = fig.add_axes((0.3, 26 / height, 0.66, 1 - 30 / height))
        low, high = min(0.0, *known), max(1.0, *known)
        ax.set_xlim(low - 0.02, high + 0.03)
        ax.set_ylim(-len(names) + 0.5, 0.5)
        for tick in ax.get_xticks():
            ax.axvline(tick, color=LINE, linewidth=0.5, zorder=0)
        for place, arm in enumerate(names):
            cell = entry["arms"][arm]
            colour = INK if arm == "best" else VERMILLION if arm == "matched" else BLUE
            seeds = [v for v in cell["values"].values() if v is not None]
            ax.plot(seeds, [-place] * len(seeds), "o", markersize=3, color=FAINT, zorder=1)
            if cell["estimate"]["ci95"]:
                ax.plot(
                    cell["estimate"]["ci95"], [-place] * 2, color=colour, linewidth=2.2, alpha=0.5, zorder=2
                )
            if cell["estimate"]["mean"] is not None:
                ax.plot([cell["estimate"]["mean"]], [-place], "D", markersize=4.6, color=colour, zorder=3)
        ax.set_yticks([-i for i in range(len(names))], [n if len(n) <= 16 else n[:15] + "…" for n in names])
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        ax.tick_params(axis="x", labelcolor=SOFT)
        ax.spines["left"].set_visible(False)

    drawn = svg(name, f"{entry['label']}, {entry['metric']}, by arm", 340, height, draw) if known else None
    return {
        "label": entry["label"].removeprefix("utility: "),
        "metric": entry["metric"],
        "rate": is_rate(entry["metric"]),
        "svg": drawing(drawn),
    }
