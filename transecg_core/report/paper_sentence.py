"""TransECG's sentence about attention, held against the same figures of this run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.report.carried import named, relies
from transecg_core.report.numbers import figure

SAID = (
    "TransECG's paper says that the R wave contributed 58.29 % of the attention for gender, and the P-R "
    "interval 46.29 % for age."
)
RAW = "cls-attention"
"""Raw attention of the class token: what the paper's figures are shares of."""
CASES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("sex", ("QRS",), "QRS (which holds the R wave)"),
    ("age", ("P", "PQ"), "P and PQ (the P-R interval)"),
)


def paper_sentence(report: Mapping[str, Any], quick: bool) -> list[str]:
    """Return what of TransECG's sentence this run bears out: figure, duration, test, and what may be said.

    Empty where neither sex nor age was explained.
    """
    attribution = report["attribution"]
    known = [case for case in CASES if attribution.get(case[0], {}).get(RAW)]
    if not known:
        return []
    out = ["No conclusion (profile quick)."] if quick else []
    out.append(SAID)
    for task, components, words in CASES:
        if (task, components, words) in known:
            out += _case(report, task, components, words, quick)
        else:
            out.append(f"For {task}: not explained in this run, so nothing may be said.")
    return out


def _case(
    report: Mapping[str, Any], task: str, components: tuple[str, ...], words: str, quick: bool
) -> list[str]:
    entry = report["attribution"][task][RAW]
    parts = [entry["components"].get(name) for name in components]
    if any(part is None or part["share"] is None or not part["duration"] for part in parts):
        why = entry["reason"] or "no reason given"
        return [f"For {task}: there is no raw-attention map ({why}). Nothing may be said."]
    share, duration = sum(p["share"] for p in parts), sum(p["duration"] for p in parts)
    ratio = f"{share / duration:.2f} times its part of the time"
    if len(parts) == 1 and parts[0]["ci95"]:
        ratio += f", {parts[0]['ci95'][0]:.2f} to {parts[0]['ci95'][1]:.2f}"
    first = (
        f"For {task}: {figure(share, 'share')} of the raw attention falls on {words}, in "
        f"{figure(duration, 'share')} of the time ({ratio})."
    )
    return [first] if quick else [first, _judged(entry, task), _instead(report, task)]


def _judged(entry: Mapping[str, Any], task: str) -> str:
    if not entry["shown"]:
        why = (entry["reason"] or "no reason given").partition("; ")[0]
        return f"That map fails ({why}): it may not be said that this part of the beat contributed to {task}."
    return (
        "That map passes its tests, but one encoder has one attention map for every task: it may be said that "
        f"this model attends there in this run, not that {task} is read there."
    )


def _instead(report: Mapping[str, Any], task: str) -> str:
    found = named(report, task)
    if not found.components:
        return f"Nor may another component be named for {task}."
    return f"May be said: {relies(found)}, for {task} ({found.why})."
