"""The attribution part of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.names import TASKS
from transecg_core.report.beat import beat_panel
from transecg_core.report.carried import CLAIM_METHODS
from transecg_core.report.figures import enrichment_panel
from transecg_core.report.html import drawing
from transecg_core.report.numbers import NOTHING, figure

Report = Mapping[str, Any]
METHOD_ORDER = (*CLAIM_METHODS, "rollout", "cls-attention")
"""Methods in the beat picture; the random control is in the table only."""


def attribution_parts(report: Report) -> dict[str, Any]:
    """Return what the page shows of the attribution: beats, enrichment, every map and its tests."""
    maps, panels = [], []
    for number, task in enumerate(_tasks(report)):
        methods = dict(sorted(report["attribution"][task].items(), key=_method_key))
        for method, entry in methods.items():
            maps.append(_map_row(task, method, entry))
            maps[-1]["span"] = len(methods) if len(maps) == 1 or maps[-2]["task"] != task else 0
        claims = {m: methods[m] if m in methods and methods[m]["shown"] else None for m in CLAIM_METHODS}
        drawn = enrichment_panel(f"enrichment-{number}", task, claims)
        if drawn is not None:
            panels.append({"task": task, "svg": drawing(drawn), "methods": [m for m in claims if claims[m]]})
    beat = report["example_beat"]
    reason = (
        "too few people for a mean beat that is nobody's." if beat is None else "it has no relevance map."
    )
    if not report["attribution"]:
        reason = "no attribution was computed."
    return {"maps": maps, "enrichments": panels, "beats": _beats(report), "beat_reason": reason}


def _tasks(report: Report) -> list[str]:
    """Return the tasks with attribution; those with a map that may be shown come first."""
    shown = {t: any(e["shown"] for e in methods.values()) for t, methods in report["attribution"].items()}
    return sorted(shown, key=lambda t: (not shown[t], TASKS.index(t) if t in TASKS else len(TASKS), t))


def _method_key(item: tuple[str, Any]) -> tuple[int, str]:
    method = item[0]
    return (METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER), method)


def _mark(method: str, shown: bool) -> str:
    if not shown:
        return " (greyed)"
    return "" if method in CLAIM_METHODS else " (no claim: not class-specific)"


def _map_row(task: str, method: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    parts = {c: p for c, p in entry["components"].items() if p["enrichment"] is not None and c != "undefined"}
    top = max(sorted(parts), key=lambda c: parts[c]["enrichment"], default=None)
    text = NOTHING
    if top is not None:
        ci = parts[top]["ci95"]
        text = f"{top} {parts[top]['enrichment']:.1f}×" + (f" ({ci[0]:.1f} to {ci[1]:.1f})" if ci else "")
    claim = "no" if not entry["shown"] else "yes" if method in CLAIM_METHODS else "no: not class-specific"
    return {
        "task": task, "method": method, "shown": entry["shown"], "claim": claim, "top": text,
        "faithfulness": figure(entry["faithfulness"]), "correlation": figure(entry["randomised_correlation"]),
        "reason": entry["reason"],
    }  # fmt: skip


def _beats(report: Report) -> list[dict[str, Any]]:
    beat = report["example_beat"]
    out = []
    for number, task in enumerate(t for t in _tasks(report) if beat and t in beat["relevance"]):
        maps = []
        for method in METHOD_ORDER:
            relevance = beat["relevance"][task].get(method)
            entry = report["attribution"][task].get(method)
            if relevance is None or entry is None:
                continue
            label = f"Mean beat, relevance for {task} by {method}" + ("" if entry["shown"] else ", greyed")
            drawn = beat_panel(
                f"beat-{number}-{METHOD_ORDER.index(method)}", label, beat["x"], beat["component"], relevance,
                entry["shown"],
            )  # fmt: skip
            maps.append(
                {
                    "method": method,
                    "mark": _mark(method, entry["shown"]),
                    "shown": entry["shown"],
                    "svg": drawing(drawn),
                    "reason": entry["reason"] or "",
                }
            )
        if maps:
            out.append({"name": task, "maps": maps})
    return out
