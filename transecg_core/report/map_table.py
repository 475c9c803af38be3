"""Every map and its checks, in one table: what each check found, and in plain words what the map may be used for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.attribution.methods import CLAIM_METHODS
from transecg_core.report.carried import Named, named, relies, shortened
from transecg_core.report.methods import BESIDE, in_order
from transecg_core.report.numbers import NOTHING, figure

Report = Mapping[str, Any]
Entry = Mapping[str, Any]
MOST = 400
"""Characters of a refusal."""

OWN_TEST = ("no better than", "looks like the map of", "does not agree with")
"""How a map's reason begins where it fails a test of its own, see `transecg_core.attribution.judgement.judge`."""


def map_tasks(report: Report, tasks: list[str]) -> list[dict[str, Any]]:
    """Return one block per task: its conclusion, and a row per method."""
    quick = report["training"]["profile"] == "quick"
    return [
        {
            "task": task,
            "said": conclusion(report, task, quick),
            "why": no_map(report["attribution"][task]),
            "rows": [_row(method, report["attribution"][task][method]) for method in in_order(report["attribution"][task])],
        }
        for task in tasks
    ]  # fmt: skip


def checked(report: Report) -> bool:
    """Return whether the report holds the checks that a claim needs (since 1.4)."""
    return any(
        "stability" in entry for methods in report["attribution"].values() for entry in methods.values()
    )


def conclusion(report: Report, task: str, quick: bool) -> str:
    """Return what the maps of a task say together; empty for a report from before the rule."""
    if not checked(report):
        return ""
    if quick:
        return "no conclusion (profile quick)"
    found: Named = named(report, task)
    if not found.components:
        return f"no component may be named: {shortened(found.why, MOST)}"
    return f"{relies(found)} ({found.why})"


def no_map(methods: Mapping[str, Entry]) -> str | None:
    """Return why a task has no map at all, a reason that every one of its maps leads with; None where it has maps.

    That is the model's or the people's doing: near chance, too few. Maps that each fail a test of their own are
    still drawn, in grey.
    """
    drawn = {m: e for m, e in methods.items() if m in (*CLAIM_METHODS, *BESIDE)}
    if len(drawn) < 2 or any(entry["shown"] for entry in drawn.values()):
        return None
    firsts = {short(entry["reason"]) for entry in drawn.values()}
    first = firsts.pop()
    return None if firsts or first.startswith(OWN_TEST) else first


def verdict_of(method: str, entry: Entry) -> str:
    """Return in a few words what a map may be used for."""
    if not entry["shown"]:
        return "greyed"
    if method in CLAIM_METHODS:
        return "counts towards a claim"
    return "shown, no claim: never sees the task"


def short(reason: str | None) -> str:
    """Return the first clause of a reason."""
    return (reason or "no reason given").partition("; ")[0]


def _row(method: str, entry: Entry) -> dict[str, Any]:
    stability = entry.get("stability") or {}
    return {
        "method": method, "shown": entry["shown"], "verdict": verdict_of(method, entry), "top": top(entry["components"]),
        "random": figure(entry["faithfulness"]), "shifted": figure(entry.get("faithfulness_shifted")),
        "knockout": figure(entry.get("knockout_agreement")), "jitter": figure(stability.get("jitter_first"), "share"),
        "reinitialised": figure(entry["randomised_correlation"]), "permuted": figure(entry.get("permuted_correlation")),
        "fills": _fills(stability.get("fills")), "seeds": _seeds(stability.get("seeds")),
        "agreement": _agreement(entry.get("agreement")), "reason": entry["reason"] or "",
    }  # fmt: skip


def top(components: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return the most enriched component and its interval; undefined samples are no component."""
    parts = {c: p for c, p in (components or {}).items() if p["enrichment"] is not None and c != "undefined"}
    first = max(sorted(parts), key=lambda c: parts[c]["enrichment"], default=None)
    if first is None:
        return NOTHING, ""
    interval = parts[first]["ci95"]
    known = f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else ""
    return f"{first} {parts[first]['enrichment']:.1f}×", known


def _fills(fills: Mapping[str, str | None] | None) -> str:
    if not fills:
        return ""
    firsts = set(fills.values())
    if len(firsts) == 1 and None not in firsts:
        return f"{firsts.pop()} first whatever is filled in"
    return f"first by what is filled in: {', '.join(f'{name} {fills[name] or NOTHING}' for name in sorted(fills))}"


def _seeds(seeds: Mapping[str, Any] | None) -> str:
    if not seeds:
        return ""
    return f"same component first in {figure(seeds['first'], 'share')} of {seeds['models']} models of this recipe"


def _agreement(agreement: Mapping[str, float | None] | None) -> str:
    known = sorted(value for value in (agreement or {}).values() if value is not None)
    if not known:
        return NOTHING
    low, high = figure(known[0]), figure(known[-1])
    return low if low == high else f"{low} to {high}"
