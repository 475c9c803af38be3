"""The report in plain sentences, each derived from its numbers and nothing else.

A comparison ends in a conclusion only where the 95 % interval of the paired difference
excludes zero; without a paired difference, where the two intervals do not overlap (stricter:
it may withhold a conclusion that more people would allow); against a fixed reference, where
the interval lies above it. Otherwise the sentence says "no conclusion".
Every sentence reads ``Topic: text``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.report.carried import carried
from transecg_core.report.headline import (
    LEAKY,
    Headline,
    Row,
    has_guarantee,
    headline,
    is_leaky,
    measured,
)
from transecg_core.report.numbers import figure, interval, significant, with_interval
from transecg_core.report.words import plain_name


def verdict(report: Mapping[str, Any]) -> list[str]:
    """Return the verdict: what is in the signals anyway, what the model adds, what training gave away."""
    picked = headline(report["risks"])
    topics = [
        ("Evidence", _evidence(report, picked)),
        ("In the signals anyway (A)", _signals(picked)),
        ("Added by the model (B)", _model(report, picked)),
        ("Given away by training (C)", _training(report, picked)),
        ("Carried by", carried(report["attribution"])),
        ("Privacy claim", _privacy(report)),
        ("Still useful for", _utility(report["utility"])),
    ]
    return [f"{topic}: {' '.join(sentences)}" for topic, sentences in topics if sentences]


def _evidence(report: Mapping[str, Any], picked: Headline) -> list[str]:
    out = []
    if report["data"]["kind"] == "synthetic":
        out.append(
            "The signals are generated: the figures check the method and say nothing about real patients."
        )
    if report["data"]["audited_on"] != "participants":
        out.append(
            "The server holds nobody's ECG: A, B and the attribution were measured on embedded synthetic people. "
            "They say nothing about how identifiable the institutions' own participants are."
        )
    if picked.protocol == LEAKY:
        out.append(
            "Only the leaky random-window protocol was measured: its figures are too high, conclude nothing."
        )
    elif is_leaky(report):
        out.append("Rows marked random-window are leaky; this verdict does not use them for identification.")
    return out


def _size(row: Row) -> str:
    people = f"{row['n_participants']} people, " if row["n_participants"] else ""
    return f"{people}{row['protocol']}"


def _about(row: Row) -> str:
    """Return ``78 % (69 to 86 %; 92 people, other-session)``."""
    said = with_interval(row["main"], row["ci95"], row["metric"])
    return f"{said.removesuffix(')')}; {_size(row)})" if said.endswith(")") else f"{said} ({_size(row)})"


def _signals(picked: Headline) -> list[str]:
    row = picked.floor
    if row is None:
        return ["No conclusion: no signal-only method was measured."]
    guess = (
        f" Guessing finds {figure(row['baseline'], row['metric'])}." if row["baseline"] is not None else ""
    )
    return [
        f"Without our model, {plain_name(row['name'])} already finds the right person for {_about(row)}.{guess}",
        "Neither training choices nor differential privacy change this.",
    ]


def _relation(row: Row, other: Row) -> str:
    """Return ``above``, ``below`` or ``open`` by whether the two intervals overlap."""
    if row["ci95"] is None or other["ci95"] is None:
        return "open"
    if row["ci95"][0] > other["ci95"][1]:
        return "above"
    return "below" if row["ci95"][1] < other["ci95"][0] else "open"


def _model(report: Mapping[str, Any], picked: Headline) -> list[str]:
    row = picked.model
    if row is None:
        return ["No conclusion: identification by the released encoder was not measurable."]
    unseen = (
        ""
        if row["control"] is None
        else f", and for {figure(row['control'], row['metric'])} of people never trained on"
    )
    out = [f"The released encoder finds the right person for {_about(row)}{unseen}."]
    out += [_against_floor(row, picked), _against_random(row, picked)]
    if report["training"]["still_falling"]:
        out.append("The training loss was still falling: read this as a lower bound.")
    return [sentence for sentence in out if sentence]


def _sign(gain: Row) -> str:
    low, high = gain["ci95"]
    return "above" if low > 0 else "below" if high < 0 else "open"


def _against_floor(row: Row, picked: Headline) -> str:
    floor, gain = picked.floor, picked.gain_floor
    if floor is None and gain is None:
        return "No conclusion on what it adds: there is no signal-only figure to hold it against."
    if gain is not None:
        relation, known = (
            _sign(gain),
            f"paired difference {with_interval(gain['main'], gain['ci95'], gain['metric'])}",
        )
        why = "the interval includes zero"
    else:
        relation, known = (
            _relation(row, floor or row),
            f"{plain_name(floor['name'])} {figure(floor['main'], row['metric'])}" if floor else "",
        )
        why = "the intervals overlap"
    return {
        "above": f"That is more than the best signal-only method, {known}: releasing it adds to the risk.",
        "below": f"That is less than the best signal-only method, {known}: it adds nothing beyond the signals.",
        "open": f"No conclusion on whether it adds anything beyond the best signal-only method, {known}: {why}.",
    }[relation]


def _against_random(row: Row, picked: Headline) -> str:
    untrained, gain = picked.random_init, picked.gain_random
    if untrained is None and gain is None:
        return ""
    if gain is not None:
        relation, known = _sign(gain), with_interval(gain["main"], gain["ci95"], gain["metric"])
    else:
        relation, known = (
            _relation(row, untrained or row),
            figure(untrained["main"], row["metric"]) if untrained else "",
        )
    if gain is None:
        known = f"untrained {known}"
    return {
        "above": f"Training made the encoder a better re-identifier than it was untrained: {known}.",
        "below": f"Training made the encoder a worse re-identifier than it was untrained: {known}.",
        "open": f"No conclusion on what training changed: {known}.",
    }[relation]


def reference(row: Row) -> float | None:
    """Return what a leakage figure must exceed: the naive guess, and the same attack where nothing was trained."""
    known = [float(value) for value in (row["baseline"], row["control"]) if value is not None]
    return max(known, default=None)


def exceeds_ceiling(row: Row) -> bool:
    """Return whether even the lower confidence limit lies above what the guarantee allows."""
    return row["ceiling"] is not None and row["ci95"] is not None and row["ci95"][0] > row["ceiling"]


def leaks(row: Row) -> bool:
    """Return whether a leakage row's interval lies wholly above its reference."""
    known = reference(row)
    return measured(row) and row["ci95"] is not None and known is not None and row["ci95"][0] > known


def _training(report: Mapping[str, Any], picked: Headline) -> list[str]:
    rows = [row for row in report["risks"] if row["kind"] == "C"]
    out = _membership(picked.membership)
    others = [
        row for row in rows if row is not picked.membership and row["site"] == "pooled" and measured(row)
    ]
    loud = sorted({f"{row['name']} ({row['metric']})" for row in others if leaks(row)})
    if loud:
        out.append(
            f"Further leakage tests above their reference: {', '.join(loud)} (of {len(others)} tests)."
        )
    broken = sorted({f"{plain_name(row['name'])} at {row['site']}" for row in rows if exceeds_ceiling(row)})
    if broken:
        out.append(
            f"GUARANTEE VIOLATED: {', '.join(broken)} lies above the ceiling that the epsilon allows. "
            "Treat the epsilon as wrong until this is explained."
        )
    return out


def _membership(row: Row | None) -> list[str]:
    if row is None:
        return ["No conclusion: membership was not measured."]
    if not measured(row):
        return [f"No conclusion: membership was not measurable ({row['notes'] or 'no reason given'})."]
    said = f"{row['metric']} {_about(row)}"
    known = reference(row)
    if row["ci95"] is None or known is None:
        return [f"No conclusion: the membership test gives {said}, without an interval or a reference."]
    if leaks(row):
        out = [
            f"An observer can tell who was in training better than by guessing, from {plain_name(row['name'])}: {said}."
        ]
    else:
        out = [
            f"No conclusion: {plain_name(row['name'])} is compatible with guessing, {said}. "
            f"That is no proof of safety: up to {figure(row['ci95'][1], row['metric'])} can't be excluded."
        ]
    if row["ceiling"] is not None:
        out.append(f"The privacy guarantee allows at most {figure(row['ceiling'], row['metric'])}.")
    return out


def _privacy(report: Mapping[str, Any]) -> list[str]:
    privacy = report["privacy"]
    if privacy["unit"] == "none":
        return ["None: trained without differential privacy; nothing bounds what training gave away."]
    if not has_guarantee(report):
        return [
            "None: gradients were clipped but no noise was added; this is a reference arm, not a private run."
        ]
    person = [site["epsilon_participant"] for site in privacy["sites"]]
    deltas = sorted({site["delta"] for site in privacy["sites"] if site["delta"] is not None})
    delta = f" at delta {', '.join(significant(value) for value in deltas)}" if deltas else ""
    if None in person:
        out = [f"Unit {privacy['unit']}: no finite epsilon per person can be stated for every site{delta}."]
    else:
        out = [
            f"For this run, epsilon per person is at most {significant(max(person))} at any one site{delta}."
        ]
    if privacy["unit"] == "window":
        window = [site["epsilon_window"] for site in privacy["sites"] if site["epsilon_window"] is not None]
        out.append(
            f"The noise was set for single windows (epsilon {significant(max(window, default=None))}); "
            "the figure per person is the one that protects people."
        )
    out.append(f"It covers {privacy['covers'] or 'what is not stated'}.")
    out.append("It bounds C, not A, and B only as far as usefulness falls too.")
    if privacy["simulation_noise"]:
        out.append("The noise came from a seed, so this simulation itself protects nobody.")
    return out


def _utility(utility: Mapping[str, Any]) -> list[str]:
    """Name tasks whose interval lies above always guessing the most frequent class."""
    above, not_above = [], []
    for task in sorted(utility):
        scores = utility[task]
        chosen = [scores["pooled"]] if "pooled" in scores else [scores[site] for site in sorted(scores)]
        known = [s for s in chosen if s["value"] is not None and s["ci95"] and s["majority"] is not None]
        wins = [s for s in known if s["ci95"][0] > s["majority"]]
        if wins and "pooled" in scores:
            score = wins[0]
            said = f"{figure(score['value'], score['metric'])} {score['metric']}"
            above.append(f"{task} ({said}, {interval(score['ci95'], score['metric'])})")
        elif wins:
            above.append(f"{task} (above the majority guess at {len(wins)} of {len(chosen)} sites)")
        else:
            not_above.append(task)
    out = [f"Above the majority guess: {', '.join(above)}."] if above else []
    if not_above:
        out.append(f"No conclusion for {', '.join(not_above)}: not measurable, or compatible with guessing.")
    return out
