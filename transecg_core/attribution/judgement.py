"""When a map may be shown, and when the maps together may name a component: rules on figures alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.attribution.competence import Competence
from transecg_core.attribution.intervals import Estimate
from transecg_core.attribution.methods import FAMILIES, TASK_BLIND

MIN_PEOPLE = 10
"""Fewer people carry no interval worth the name; also the smallest group a report may describe."""

KEPT = 0.8
"""Share of the draws with moved boundaries in which a claimed component must stay first."""

Entry = Mapping[str, Any]
"""One method's entry of the report's ``attribution`` of a task."""


def judge(
    method: str, people: int, competence: Competence, faithful: Estimate, shifted: Estimate
) -> tuple[bool, str]:
    """Return whether a map may be shown, and every reason against it, or else the evidence, in plain words.

    Parameters
    ----------
    faithful
        Insertion minus deletion, less that of random orders.
    shifted
        The same, less that of the map itself moved in time.
    """
    evidence = f"insertion minus deletion, less random: {faithful}; less itself moved in time: {shifted}"
    evidence += f"; {people} people"
    if method == "random":
        return False, f"negative control: random scores; {evidence}"
    against = []
    if people < MIN_PEOPLE:
        against.append(f"too few people: {people}, and {MIN_PEOPLE} are needed")
    if not competence.learned:
        against.append(competence.sentence)
    if not faithful.low > 0:
        against.append("no better than random")
    if not shifted.low > 0:
        against.append("no better than itself moved in time")
    if against:
        return False, f"{'; '.join(against)}; {evidence}"
    if method in TASK_BLIND:
        evidence += "; the same map for every task, so it carries no claim about this one"
    return True, f"{evidence}; {competence.sentence}"


def leader(components: Mapping[str, Any]) -> str | None:
    """Return the most enriched component of a report's ``components``; None where there is none.

    ``undefined`` samples are no component and never lead.
    """
    known = {
        name: part["enrichment"]
        for name, part in components.items()
        if name != "undefined" and part["enrichment"] is not None
    }
    return max(sorted(known), key=lambda name: known[name]) if known else None


def claim(entry_by_method: Mapping[str, Entry]) -> tuple[str | None, str]:
    """Return the component that the maps of one task may name, or None, and why.

    A component is named only if a map of each family (gradient, perturbation) is shown; every
    claim-carrying map that is shown puts the same component first, with its interval above 1; and that
    component stays first in at least `KEPT` of the draws with moved boundaries, for every one of these
    maps for which that was measured, and for one at least.

    Parameters
    ----------
    entry_by_method
        Method -> its entry of the report's ``attribution[task]``, as read from JSON. Keys that reports
        before 1.4 don't have count as not measured.

    Returns
    -------
    str or None
        The component.
    str
        With a component the evidence, else every reason that stands against it, in plain words.
    """
    shown = {
        family: [m for m in methods if m in entry_by_method and entry_by_method[m]["shown"]]
        for family, methods in FAMILIES.items()
    }
    used = [method for methods in shown.values() for method in methods]
    against = [f"no {family} map is shown" for family, methods in shown.items() if not methods]
    named = {method: leader(entry_by_method[method]["components"]) for method in used}
    against += [
        f"{method} puts no component clearly above its share of the time"
        for method, first in named.items()
        if first is None or not _above_one(entry_by_method[method], first)
    ]
    if len(set(named.values())) > 1:
        said = ", ".join(f"{method} says {first}" for method, first in named.items())
        against.append(f"the maps disagree: {said}")
    kept = {m: share for m in used if (share := _jitter_first(entry_by_method[m])) is not None}
    if used and not kept:
        against.append("stability under moved boundaries was not measured")
    against += [
        f"{method} keeps {named[method]} first in only {share:.0%} of the draws with moved boundaries"
        for method, share in kept.items()
        if share < KEPT
    ]
    if against:
        return None, "; ".join(against)
    evidence = f"first in at least {min(kept.values()):.0%} of the draws with moved boundaries"
    return named[used[0]], f"by {', '.join(used)}; {evidence}"


def _above_one(entry: Entry, component: str) -> bool:
    interval = entry["components"][component]["ci95"]
    return bool(interval) and interval[0] > 1


def _jitter_first(entry: Entry) -> float | None:
    return (entry.get("stability") or {}).get("jitter_first")
