"""The privacy claim in words: whose epsilon, and what it bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.report.headline import Row, has_guarantee
from transecg_core.report.numbers import figure, significant

Report = Mapping[str, Any]
ELSEWHERE = "unknown"
"""The unit of privacy of a model that was trained elsewhere."""


def epsilons(privacy: Mapping[str, Any]) -> list[str] | None:
    """Return a person's epsilons, the largest first: at one site, and at two; None where one is unbounded."""
    person = [site["epsilon_participant"] for site in privacy["sites"]]
    if None in person:
        return None
    known = [(max(person), "at any one site")]
    if privacy["epsilon_two_sites"] is not None:
        known.append((privacy["epsilon_two_sites"], "for people at two sites"))
    return [f"{significant(value)} {where}" for value, where in sorted(known, reverse=True)]


def ceiling_words(row: Row) -> str:
    """Return ``allows at most 0.93``, or that the ceiling bounds nothing."""
    shown = figure(row["ceiling"], row["metric"])
    return "bounds nothing here" if shown in ("1.00", "100 %", "+100 points") else f"allows at most {shown}"


def privacy_claim(report: Report) -> list[str]:
    """Return the claim sentence by sentence."""
    privacy = report["privacy"]
    if privacy["unit"] == ELSEWHERE:
        return ["None: the model was trained elsewhere, and nothing here can check what it claims."]
    if privacy["unit"] == "none":
        return ["None: trained without differential privacy; nothing bounds what training gave away."]
    if not has_guarantee(report):
        return [
            "None: gradients were clipped but no noise was added; this is a reference arm, not a private run."
        ]
    out = [_person(privacy)]
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


def _person(privacy: Mapping[str, Any]) -> str:
    deltas = sorted({site["delta"] for site in privacy["sites"] if site["delta"] is not None})
    delta = f" (delta {', '.join(significant(value) for value in deltas)})" if deltas else ""
    known = epsilons(privacy)
    if known is None:
        return f"Unit {privacy['unit']}: no finite epsilon per person can be stated for every site{delta}."
    return f"For this run, epsilon per person is at most {', and at most '.join(known)}{delta}."
