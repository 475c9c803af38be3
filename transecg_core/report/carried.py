"""On which components the model relies for a task, said only where the maps and the task's own score allow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from transecg_core.attribution.claim import claim
from transecg_core.report.useful import generalises

NOT_SCORED = "participant"
"""The identity head never leaves its site and has no score on people it never saw."""
NOT_SHOWN = "not shown above the majority guess on people never trained on"
MOST = 120
"""Characters of a refusal in the verdict; the maps' own part has more of it."""


class Named(NamedTuple):
    """What may be said of a task, as in `transecg_core.attribution.claim.Claim`, and whether the model does it."""

    component: str | None
    components: tuple[str, ...]
    why: str
    learned: bool


def named(report: Mapping[str, Any], task: str) -> Named:
    """Return what may be said of a task: the one rule behind every sentence that names a component.

    A map of a task that the model does not do says nothing about the task: it must first beat
    the majority guess on people never trained on. The rest is
    `transecg_core.attribution.claim.claim`, at the patch of the run's configuration.
    """
    if task != NOT_SCORED and not generalises(report, task):
        return Named(None, (), NOT_SHOWN, False)
    component, components, why = claim(report["attribution"][task], report["manifest"]["config"].get("patch"))
    return Named(component, components, why, True)


def shortened(why: str, most: int) -> str:
    """Return the first reasons, as many as fit in so many characters but one at least, and how many more there are."""
    reasons = why.split("; ")
    fits = [n for n in range(2, len(reasons) + 1) if len("; ".join(reasons[:n])) <= most]
    kept = max(fits, default=1)
    more = len(reasons) - kept
    return "; ".join(reasons[:kept]) + (f"; and {more} more against it" if more else "")


def relies(found: Named) -> str:
    """Return the claim in words, without the tasks: limited to this model and to its one training run."""
    several = len(found.components) > 1
    said = (
        f"relies on {_listed(found.components)} more than {'their' if several else 'its'} duration explains"
    )
    if found.component is not None:
        said += f", on {found.component} most" if several else ""
    else:
        said += " (on which most can't be told)" if several else " (whether on it most can't be told)"
    return f"this model {said}, in this one training run"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def carried(report: Mapping[str, Any], quick: bool) -> list[str]:
    """Return the sentences that name components, and those that say for which tasks none may be named."""
    attribution = report["attribution"]
    if quick:
        return [f"No conclusion (profile quick) for {', '.join(sorted(attribution))}."] if attribution else []
    told: dict[str, list[str]] = {}
    silent: dict[str, list[str]] = {}
    unlearned = []
    for task in sorted(attribution):
        found = named(report, task)
        if found.components:
            told.setdefault(relies(found), []).append(f"{task} ({found.why})")
        elif found.learned:
            silent.setdefault(shortened(found.why, MOST), []).append(task)
        else:
            unlearned.append(task)
    out = [f"{said[0].upper()}{said[1:]}, for {', '.join(tasks)}." for said, tasks in sorted(told.items())]
    out += [
        f"No conclusion on which component this model relies on for {', '.join(t)}: {why}."
        for why, t in silent.items()
    ]
    if unlearned:
        out.append(f"No conclusion for {', '.join(unlearned)}: {NOT_SHOWN}.")
    return out
