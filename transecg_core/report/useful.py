"""Which tasks the model does better than guessing, and on whom that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.report.numbers import figure, interval
from transecg_core.report.people import SYNTHETIC

Scores = Mapping[str, Mapping[str, Any]]


def _chosen(scores: Scores) -> list[Mapping[str, Any]]:
    """Return the pooled score, else every site's."""
    return [scores["pooled"]] if "pooled" in scores else [scores[site] for site in sorted(scores)]


def _wins(scores: Scores) -> list[Mapping[str, Any]]:
    """Return the chosen scores whose interval lies above always guessing the most frequent class."""
    known = [s for s in _chosen(scores) if s["value"] is not None and s["ci95"] and s["majority"] is not None]
    return [s for s in known if s["ci95"][0] > s["majority"]]


def generalises(report: Mapping[str, Any], task: str) -> bool:
    """Return whether a task was shown above the majority guess on people never trained on."""
    strangers = report["data"]["audited_on"] == SYNTHETIC
    wins = _wins(report["utility"].get(task, {}))
    return any(strangers or "never trained on" in (score.get("notes") or "") for score in wins)


def useful(report: Mapping[str, Any], quick: bool) -> list[str]:
    """Name tasks whose interval lies above always guessing the most frequent class."""
    utility = report["utility"]
    if quick:
        return _figures_only(utility)
    above, not_above = [], []
    for task in sorted(utility):
        wins = _wins(utility[task])
        if not wins:
            not_above.append(task)
        elif "pooled" in utility[task]:
            known = generalises(report, task)
            above.append(
                _scored(task, wins[0]) + ("" if known else f" on {wins[0].get('notes') or 'unnamed people'}")
            )
        else:
            sites = len(_chosen(utility[task]))
            above.append(f"{task} (above the majority guess at {len(wins)} of {sites} sites)")
    out = [f"Above the majority guess: {', '.join(above)}."] if above else []
    if not_above:
        out.append(f"No conclusion for {', '.join(not_above)}: not measurable, or compatible with guessing.")
    return out


def _scored(task: str, score: Mapping[str, Any]) -> str:
    said = f"{figure(score['value'], score['metric'])} {score['metric']}"
    start = score.get("start")
    before = "" if not start or start["value"] is None else (
        f"; before any training here {figure(start['value'], score['metric'])}")  # fmt: skip
    return f"{task} ({said}, {interval(score['ci95'], score['metric'])}{before})"


def _figures_only(utility: Mapping[str, Any]) -> list[str]:
    pooled = [
        _scored(task, utility[task]["pooled"])
        for task in sorted(utility)
        if "pooled" in utility[task] and utility[task]["pooled"]["value"] is not None
    ]
    measured = f"; measured: {', '.join(pooled)}" if pooled else ""
    return [f"No conclusion (profile quick){measured}."] if utility else []
