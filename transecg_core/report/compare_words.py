"""The comparison in words: the European criteria, and sentences derived from paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transecg_core.report.compare_attribution import attribution_sentence
from transecg_core.report.compare_leakage import difference_text, leakage_sentence
from transecg_core.report.numbers import figure
from transecg_core.report.words import QUICK

LIMITS: tuple[str, ...] = (
    "Intervals are t intervals over seeds (training runs). With two or three seeds they are wide, and they do not "
    "cover other cohorts; the intervals over people stand in each run's own report.",
    "An interval that includes zero is no proof of no effect: it says that these few runs can't tell.",
    "Every comparison stands alone: of twenty true zeros, about one looks like a difference.",
    "'before any training' is the score of the pretrained weights that the arms start from (zero-shot); 'scratch' is the "
    "weakest private arm from random weights instead.",
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
            "note": "The released sex and age heads on people never trained on: the same figures as their utility. "
            "Probes on the embedding stand in each run's own report."
            if heads
            else "No attribute task was trained. Probes on the embedding stand in each run's own report.",
        },
    ]


def direction(estimate: Mapping[str, Any] | None) -> str:
    """Return ``higher``, ``lower``, ``equal`` (in every pair) or ``no conclusion`` from a paired difference."""
    if estimate is None or estimate["ci95"] is None:
        return "no conclusion"
    low, high = estimate["ci95"]
    if low == high == 0:
        return "equal"
    return "higher" if low > 0 else "lower" if high < 0 else "no conclusion"


TOPICS = (("utility", "utility"), ("B", "identification"))


def comparison_verdict(document: Mapping[str, Any]) -> list[str]:
    """Return one sentence per arm and question; ``Topic: text``."""
    evidence = []
    if document["options"]["profile"] == "quick":
        evidence.append(f"Profile quick {QUICK}.")
    if document["kind"] == "synthetic":
        evidence.append(
            "The signals are generated: the figures check the method, not what privacy costs on patients."
        )
    out = [f"Evidence: {' '.join(evidence)}"] if evidence else []
    if "best" not in [arm["name"] for arm in document["arms"]]:
        return [*out, "No conclusion: Without the arm 'best' there is nothing to hold the others against."]
    for arm in document["arms"]:
        if arm["name"] == "best":
            continue
        for about, topic in TOPICS:
            # The gain over the floor moves with rank-1 itself (the floor has no training): told once.
            parts = [
                f for f in document["figures"] if f["about"] == about and not f["metric"].startswith("gain")
            ]
            if parts:
                out.append(f"{arm['name']}, {topic}: {_sentence(arm['name'], parts)}")
        leakage = leakage_sentence(document["figures"], arm["name"])
        if leakage:
            out.append(f"{arm['name']}, training leakage: {leakage}")
        attribution = attribution_sentence(document, arm["name"])
        if attribution:
            out.append(f"{arm['name']}, attribution: {attribution}")
    return out


def _sentence(arm: str, parts: Sequence[Mapping[str, Any]]) -> str:
    told = [_change(entry, arm) for entry in parts]
    clear = "; ".join(text for known, text in told if known)
    unclear = "; ".join(text for known, text in told if not known)
    sentences = [f"Against best: {clear}."] if clear else []
    sentences += [f"No conclusion: {unclear}."] if unclear else []
    return " ".join(sentences)


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
    return (False, text) if way == "no conclusion" else (True, f"{way}, {text}")
