"""Which leakage attacks fell under privacy, and which did not: attack by attack, paired over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from transecg_core.report.numbers import figure, with_interval
from transecg_core.report.words import plain_name

Entry = Mapping[str, Any]
Reading = Literal["fell", "nothing", "stayed", "open", "absent"]

WORDS: Mapping[Reading, str] = {
    "fell": "Fell",
    "stayed": "Did not fall (a fall by half of what best gives away is excluded)",
    "nothing": "Had nothing to fall: best itself is compatible with its reference",
    "open": "Did not resolve: these runs can't tell",
    "absent": "Not measured in both arms",
}
"""In the order of the sentences."""


def difference_text(estimate: Mapping[str, Any] | None, metric: str) -> str:
    """Return a paired difference with its interval, as points where the metric is a rate."""
    if estimate is None or estimate["mean"] is None:
        return "–"
    return with_interval(estimate["mean"], estimate["ci95"], f"{metric} difference")


def reading(entry: Entry, arm: str) -> Reading:
    """Return what the paired difference of a leakage figure to the arm ``best`` says.

    ``fell``: its 95 % interval lies below zero. ``nothing``: over the seeds of best, the interval of the
    figure reaches down to the reference. ``stayed``: the interval excludes a fall by half of best's excess
    over its reference. ``open``: none of these, or one seed alone.
    """
    best, change = entry["arms"].get("best"), entry["arms"][arm]["against_best"]
    if best is None or change is None or change["mean"] is None:
        return "absent"
    if change["ci95"] is None:
        return "open"
    if change["ci95"][1] < 0:
        return "fell"
    known, estimate = best.get("reference"), best["estimate"]
    if known is None or estimate["ci95"] is None:
        return "open"
    if estimate["ci95"][0] <= known:
        return "nothing"
    return "stayed" if change["ci95"][0] > -(estimate["mean"] - known) / 2 else "open"


def leakage_sentence(figures: Sequence[Entry], arm: str) -> str:
    """Return the sentences on every leakage attack, by what they say; empty without one."""
    said: dict[Reading, list[str]] = {}
    for entry in figures:
        if entry["about"] == "C":
            said.setdefault(reading(entry, arm), []).append(_one(entry, arm))
    return " ".join(f"{WORDS[key]}: {'; '.join(said[key])}." for key in WORDS if key in said)


def _one(entry: Entry, arm: str) -> str:
    cell, metric = entry["arms"][arm], entry["metric"]
    name = entry["label"].rpartition(", ")[0]
    out = f"{plain_name(name)}, {metric} {difference_text(cell['against_best'], metric)}"
    if cell.get("ceiling") is None:
        return f"{out} (no ceiling)"
    shown = figure(cell["ceiling"], metric)
    bounds = shown not in ("1.00", "100 %", "+100 points")
    return f"{out} (ceiling {shown})" if bounds else f"{out} (its ceiling bounds nothing)"
