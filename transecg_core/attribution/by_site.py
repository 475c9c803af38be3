"""The same maps, summed at each site on its own: recorders and populations differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from transecg_core.attribution.components import summarise
from transecg_core.attribution.group import Group
from transecg_core.attribution.judgement import MIN_PEOPLE
from transecg_core.attribution.methods import CLAIM_METHODS
from transecg_core.risk.context import AuditContext
from transecg_core.seeds import seed_for


def attribution_by_site(
    ctx: AuditContext, groups: tuple[Group, ...]
) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Return task -> claim-carrying method -> site -> people and components, as in the report.

    ``components`` is None with a reason where fewer than `MIN_PEOPLE` people of the site have a window to
    explain, or no window has relevance for its own class. Whether a map may be shown at all is decided on
    all sites together.
    """
    out: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
    for group in groups:
        for task in group.rows_B:
            maps = group.maps.get(task, {})
            out[task] = {
                method: {site.name: _at(ctx, group, task, method, i) for i, site in enumerate(ctx.sites)}
                for method in CLAIM_METHODS
                if method in maps
            }
    return {task: out[task] for task in ctx.tasks if task in out}


def _at(ctx: AuditContext, group: Group, task: str, method: str, number: int) -> dict[str, Any]:
    cohort = group.cohort
    map_BL = group.maps[task][method]
    rows_B = group.rows_B[task] & (cohort.site_B == number)
    used_B = rows_B & np.isfinite(map_BL).all(axis=1) & (map_BL != 0).any(axis=1)
    people = len(np.unique(cohort.person_B[rows_B]))
    left = len(np.unique(cohort.person_B[used_B]))
    if people < MIN_PEOPLE:
        return _row(people, None, f"too few people: {people}, and {MIN_PEOPLE} are needed")
    if left < MIN_PEOPLE:
        return _row(people, None, f"the map has relevance for {left} people only")
    seed = seed_for(ctx.seed, "attribution", "people", task, ctx.sites[number].name)
    found = summarise(
        map_BL[used_B], cohort.component_BL[used_B], cohort.person_B[used_B], ctx.bootstrap, seed
    )
    if not found:
        return _row(left, None, "on the whole nothing speaks for the true class")
    return _row(left, found, None)


def _row(people: int, components: dict[str, Any] | None, reason: str | None) -> dict[str, Any]:
    return {"n_participants": people, "components": components, "reason": reason}
