"""The comparison in words: the European criteria, and sentences derived from paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transecg_core.report.numbers import figure, with_interval

LIMITS: tuple[str, ...] = (
    "Intervals are t intervals over seeds (training runs). With two or three seeds they are wide, and they do not "
    "cover other cohorts; the intervals over people stand in each run's own report.",
    "An interval that includes zero is no proof of no effect: it says that these few runs can't tell.",
    "'best' is the reference users would otherwise take; 'matched' is the private recipe without its noise and shows "
    "what noise alone does. Both are without any guarantee.",
    "The mapping to the European criteria (singling out, linkability, inference; Article 29 Working Party, Opinion "
    "05/2014) is ours and no legal opinion: passing these attacks is necessary, not sufficient.",
)


def criteria(figures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return which figures speak to which of the three criteria."""
    keys = {about: [f["key"] for f in figures if f["about"] == about] for about in ("A", "B", "C")}
    heads = [f["key"] for f in figures if f["key"] in ("utility/sex", "utility/age")]
    return [
        {
            "criterion": "singling out",
            "question": "Can somebody be picked out as having been in training?",
            "figures": keys["C"],
            "note": "The only one of the three that differential privacy bounds.",
        },
        {
            "criterion": "linkability",
            "question": "Can two recordings of one person be linked?",
            "figures": keys["A"] + keys["B"],
            "note": "Not bounded by differential privacy: the signals themselves link.",
        },
        {
            "criterion": "inference",
            "question": "Can a person's attribute be told from the model's output?",
            "figures": heads,
            "note": "The released sex and age heads on people never trained on: the same figures as their utility."
            if heads
            else "Not measured: no attribute task was trained, and attribute probes are not part of this edition.",
        },
    ]


def direction(estimate: Mapping[str, Any] | None) -> str:
    """Return ``higher``, ``lower`` or ``no conclusion`` from a paired difference."""
    if estimate is None or estimate["ci95"] is None:
        return "no conclusion"
    low, high = estimate["ci95"]
    return "higher" if low > 0 else "lower" if high < 0 else "no conclusion"


def difference_text(estimate: Mapping[str, Any] | None, metric: str) -> str:
    """Return a paired difference with its interval, as points where the metric is a rate."""
    if estimate is None or estimate["mean"] is None:
        return "–"
    return with_interval(estimate["mean"], estimate["ci95"], f"{metric} difference")


def comparison_verdict(document: Mapping[str, Any]) -> list[str]:
    """Return one sentence per arm and question; ``Topic: text``."""
    out = []
    if document["kind"] == "synthetic":
        out.append(
            "Evidence: The signals are generated: the figures check the method, not what privacy costs on patients."
        )
    names = [arm["name"] for arm in document["arms"]]
    if "best" not in names:
        return [*out, "No conclusion: without the arm 'best' there is nothing to hold the others against."]
    out += [
        f"{arm['name']} against best: {' '.join(_sentences(arm, document['figures']))}"
        for arm in document["arms"]
        if arm["name"] != "best"
    ]
    return out


def _sentences(arm: Mapping[str, Any], figures: Sequence[Mapping[str, Any]]) -> list[str]:
    out = []
    for about, title in (
        ("utility", "Utility"),
        ("A", "Signals"),
        ("B", "Identification by the model"),
        ("C", "Training leakage"),
    ):
        parts = [f for f in figures if f["about"] == about]
        if about == "A" or not parts:
            continue
        told = [_change(f, arm["name"]) for f in parts]
        clear = [text for known, text in told if known]
        unclear = [text for known, text in told if not known]
        if clear:
            out.append(f"{title}: {'; '.join(clear)}.")
        if unclear:
            out.append(f"{title}, no conclusion: {'; '.join(unclear)}.")
    if not arm["guarantee"]:
        out.append("No guarantee holds in this arm.")
    return out


def _change(entry: Mapping[str, Any], arm: str) -> tuple[bool, str]:
    estimate = entry["arms"][arm]["against_best"]
    name = entry["label"].removeprefix("utility: ")
    name = name if entry["about"] == "utility" else f"{name} {entry['metric']}"
    if estimate is None or estimate["mean"] is None:
        return False, f"{name} not measured in both arms"
    if estimate["ci95"] is None:
        return False, f"{name} {figure(estimate['mean'], entry['metric'] + ' difference')} on one seed"
    way = direction(estimate)
    text = f"{name} {difference_text(estimate, entry['metric'])}"
    return (False, text) if way == "no conclusion" else (True, f"{text}, {way}")
