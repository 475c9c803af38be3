"""What the maps of planted federations recovered: one line of JSON each, and tables over seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from simulations.oracles import Admission, Scores, admission
from simulations.planted_waves import Found, MapFound, Ranking
from transecg_core.attribution import CLAIM_METHODS, METHODS
from transecg_core.cohorts.synthetic_plants import WAVE_PLANTS, Plant

KNOCKOUT_FILL = "people"
"""The fill that knock-out is judged by: a heart could have made it. The others stand beside it."""


def line(one: Found) -> str:
    """Return a federation's outcome as one line of JSON."""
    return json.dumps(asdict(one), default=lambda array: array.tolist())


def read(text: str) -> Found:
    """Return what `line` wrote."""
    row = json.loads(text)
    oracles = {key: tuple(map(_scores, row[key])) for key in ("inside", "rest", "rest_delineated")}
    maps = {
        method: MapFound(_ranking(m["exact"]), _ranking(m["delineated"]), m["shown"], m["reason"])
        for method, m in row["maps"].items()
    }
    knockout = {fill: _ranking(found) for fill, found in row["knockout"].items()}
    return Found(Plant(**row["plant"]), row["seed"], **oracles, maps=maps, knockout=knockout)


def _scores(row: dict[str, Any]) -> Scores:
    return Scores(np.array(row["above_Q"]), tuple(row["person_Q"]))


def _ranking(row: dict[str, Any]) -> Ranking:
    return Ranking(tuple(row["order"]), row["value"])


def admissions(chosen: Mapping[str, Sequence[Found]]) -> dict[str, Admission]:
    """Return planted component -> what its oracles found, over the people of all seeds."""
    return {
        carrier: _admission(found, delineated=False)
        for carrier, found in chosen.items()
        if carrier in WAVE_PLANTS
    }


def _admission(found: Sequence[Found], delineated: bool) -> Admission:
    pairs = [
        (one.seed, inside, rest)
        for one in found
        for inside, rest in zip(one.inside, one.rest_delineated if delineated else one.rest, strict=True)
    ]
    worlds, inside, rest = zip(*pairs, strict=True)
    return admission(inside, rest, worlds=worlds)


def recovered(found: Sequence[Found]) -> bool:
    """Return whether the planted component is first on every seed, by knock-out and in every shown map.

    Of the methods that may carry a claim; at least one of them must be shown.
    """
    return all(_first(one) for one in found)


def _first(one: Found) -> bool:
    shown = [m for method, m in one.maps.items() if method in CLAIM_METHODS and m.shown]
    carrier = one.plant.carrier
    ranks = [m.exact.rank(carrier) for m in shown] + [one.knockout[KNOCKOUT_FILL].rank(carrier)]
    return bool(shown) and all(rank == 1 for rank in ranks)


def oracle_table(chosen: Mapping[str, Sequence[Found]], admitted: Mapping[str, Admission]) -> str:
    """Return the oracles per plant as a markdown table."""
    lines = [
        "| planted in | mV | n | its oracle | oracle on the rest | detectable from | rest as delineated | admitted |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for carrier, one in admitted.items():
        cells = (
            carrier, f"{chosen[carrier][0].plant.strength_mv:g}", one.people, one.inside, one.rest,
            f"{one.detectable:.2f}", _admission(chosen[carrier], delineated=True).rest,
            f"no: {one.refused}" if one.refused else "yes",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def recovery_table(chosen: Mapping[str, Sequence[Found]]) -> str:
    """Return what every method led with, per plant, as a markdown table.

    A cell holds, per seed, the leading component with its enrichment, the rank of the planted one where
    that isn't the first, the leading one as delineated where that is another, and "greyed" where no map is shown.
    """
    methods = [method for method in METHODS if any(method in one.maps for f in chosen.values() for one in f)]
    fills = sorted({fill for f in chosen.values() for one in f for fill in one.knockout})
    fills = [KNOCKOUT_FILL, *(fill for fill in fills if fill != KNOCKOUT_FILL)]
    lines = [
        "| map | " + " | ".join(chosen) + " |",
        "| --- |" + " --- |" * len(chosen),
    ]
    for method in methods:
        name = f"**{method}**" if method in CLAIM_METHODS else method
        cells = ["; ".join(_map_cell(one, method) for one in found) for found in chosen.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for fill in fills:
        cells = ["; ".join(_knockout_cell(one, fill) for one in found) for found in chosen.values()]
        name = f"**knock-out, {fill}**" if fill == KNOCKOUT_FILL else f"knock-out, {fill}"
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _map_cell(one: Found, method: str) -> str:
    if method not in one.maps:
        return "empty"
    found = one.maps[method]
    cell = _lead(found.exact, one.plant.carrier, ".1f")
    if found.delineated.order[0] != found.exact.order[0]:
        cell += f", delineated {found.delineated.order[0]}"
    return cell if found.shown else f"({cell}, greyed)"


def _knockout_cell(one: Found, fill: str) -> str:
    return _lead(one.knockout[fill], one.plant.carrier, ".2f")


def _lead(found: Ranking, carrier: str, digits: str) -> str:
    first = found.order[0]
    cell = f"{first} {found.value[first]:{digits}}"
    if carrier in found.order and first != carrier:
        cell += f" ({carrier} {found.rank(carrier)} of {len(found.order)})"
    return cell
