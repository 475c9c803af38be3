"""What a map gains over an order that knows nothing: random orders, and the map itself moved in time.

Random orders scatter single patches; a map marks stretches as long as waves are. The same map moved in time
marks stretches of the same lengths in other places: what is gained over that is gained by the place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transecg_core.attribution.faithfulness import insertion_minus_deletion, relevance_order
from transecg_core.attribution.group import Group
from transecg_core.attribution.methods import METHODS, TASK_BLIND
from transecg_core.attribution.relevance import per_token
from transecg_core.attribution.targets import RowsOf
from transecg_core.risk.context import AuditContext
from transecg_core.seeds import seed_for
from transecg_core.signals.schema import FS_HZ

RANDOM_ORDERS = 2
"""Random orders that every map is compared with."""

MOST_WINDOWS = 96
"""Windows of a group that the curves are drawn for, even over sites and people: more cost much, narrow little."""

LEAST_SHIFT_S = 0.1
"""A map is moved by at least this much either way; less would leave most of a wave covered."""

Areas = dict[str, np.ndarray]


@dataclass(frozen=True)
class Gain:
    """Insertion minus deletion of one map, NaN for windows that were not asked.

    Attributes
    ----------
    random_B
        Less the mean of `RANDOM_ORDERS` random orders.
    shifted_B
        Less that of the same map moved in time, around the window's end, by a random time.
    """

    random_B: np.ndarray
    shifted_B: np.ndarray


def gains(ctx: AuditContext, group: Group) -> dict[str, dict[str, Gain]]:
    """Return method -> task -> gain of every map of the group."""
    patch, tokens = ctx.model.encoder.patch, group.cohort.x_BL.shape[1] // ctx.model.encoder.patch
    everybody, tasks = (
        even_over_people(group.cohort.person_B, group.cohort.site_B, MOST_WINDOWS),
        tuple(group.targets),
    )
    flat_BT = np.zeros((len(group.cohort), tokens))
    chance = {task: np.zeros(len(group.cohort)) for task in tasks}
    for number in range(RANDOM_ORDERS):
        seed = seed_for(ctx.seed, "attribution", "random-order", number)
        for task, area_B in _areas(ctx, group, flat_BT, everybody, tasks, seed).items():
            chance[task] += area_B / RANDOM_ORDERS
    ties = seed_for(ctx.seed, "attribution", "ties")
    shift_B = shifts(len(group.cohort), tokens, patch, seed_for(ctx.seed, "attribution", "shift"))
    out: dict[str, dict[str, Gain]] = {method: {} for method in METHODS}
    for method in METHODS:
        if method in TASK_BLIND:
            # A map that never saw its target has one order for all tasks: the passes are shared.
            batches = [(tasks, everybody)]
        else:
            batches = [((task,), everybody[group.rows_B[task][everybody]]) for task in tasks]
        for together, rows in batches:
            token_BT = per_token(group.maps[together[0]][method], patch)
            own = _areas(ctx, group, token_BT, rows, together, ties)
            moved = _areas(ctx, group, shifted(token_BT, shift_B), rows, together, ties)
            for task in together:
                out[method][task] = Gain(own[task] - chance[task], own[task] - moved[task])
    return out


def even_over_people(person_B: np.ndarray, site_B: np.ndarray, most: int) -> np.ndarray:
    """Return at most `most` rows, ascending: by turns over sites, there over people, there over windows.

    Each site gives everybody's first window, then everybody's second, ...; a person at two sites has their
    turns at both.
    """
    turn_B = _turns(person_B, site_B)
    by_site = np.lexsort((turn_B, site_B))
    rank_B = np.empty(len(by_site), dtype=np.int64)
    rank_B[by_site] = _turns(site_B[by_site])
    return np.sort(np.lexsort((site_B, rank_B))[:most])


def _turns(*key_B: np.ndarray) -> np.ndarray:
    """Return how many earlier rows have the same keys, (B,)."""
    order = np.lexsort(key_B)
    sorted_KB = np.stack(key_B)[:, order]
    new_B = np.ones(len(order), dtype=bool)
    new_B[1:] = (sorted_KB[:, 1:] != sorted_KB[:, :-1]).any(axis=0)
    start = np.flatnonzero(new_B)
    turn_B = np.empty(len(order), dtype=np.int64)
    turn_B[order] = np.arange(len(order)) - np.repeat(start, np.diff(np.append(start, len(order))))
    return turn_B


def shifts(count: int, tokens: int, patch: int, seed: int) -> np.ndarray:
    """Return by how many tokens each map is moved, (B,): uniform, `LEAST_SHIFT_S` away from 0 at least."""
    least = min(round(LEAST_SHIFT_S * FS_HZ / patch), tokens // 2)
    return np.random.default_rng(seed).integers(least, tokens - least + 1, size=count)


def shifted(token_BT: np.ndarray, shift_B: np.ndarray) -> np.ndarray:
    """Return each row moved to the right by its shift, its end put in front, (B, T)."""
    place_BT = (np.arange(token_BT.shape[1])[None] - shift_B[:, None]) % token_BT.shape[1]
    moved_BT: np.ndarray = np.take_along_axis(token_BT, place_BT, axis=1)
    return moved_BT


def _areas(
    ctx: AuditContext, group: Group, token_BT: np.ndarray, rows: np.ndarray, tasks: tuple[str, ...], seed: int
) -> Areas:
    """Return task -> insertion minus deletion of the chosen rows, (B,), NaN elsewhere."""
    out = {task: np.full(len(group.cohort), np.nan) for task in tasks}
    if len(rows):
        targets = {task: RowsOf(group.targets[task], rows) for task in tasks}
        place_BT = relevance_order(token_BT[rows], seed)
        x_BL, fill_BL = group.cohort.x_BL[rows], group.cohort.fill_BL[rows]
        for task, area_R in insertion_minus_deletion(
            ctx.model.encoder, x_BL, fill_BL, place_BT, targets
        ).items():
            out[task][rows] = area_R
    return out
