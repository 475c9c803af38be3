"""Federations whose identity lives in one component of the heartbeat, and what the maps say of them.

SYNTHETIC: nobody in here exists. The sites are cut into windows, split and trained as in a run. Components
are cut twice: at the generator's own boundaries, which everybody in such a federation shares, so that a map is
judged and not a delineator; and as delineated, which is what a report on real people has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from simulations import planted
from simulations.oracles import Scores, oracle
from transecg_core.attribution import Group, attribute, explain
from transecg_core.attribution.cohort import draw_cohort
from transecg_core.attribution.components import summarise
from transecg_core.attribution.intervals import person_means
from transecg_core.attribution.knockout import FILLS, FROM_WINDOWS, drops
from transecg_core.cohorts.schema import COMPONENT_CODE, COMPONENTS
from transecg_core.cohorts.synthetic_plants import WAVE_PLANTS, Plant, component_span
from transecg_core.cohorts.synthetic_shapes import normal_beat
from transecg_core.config import RunConfig, parse
from transecg_core.evaluation import audit_context
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.risk.duplicates import resolve_duplicates
from transecg_core.signals.schema import FS_HZ, R_OFFSET, WINDOW

STRENGTH_MV: Mapping[str, float] = MappingProxyType(
    {"P": 0.07, "PQ": 0.06, "QRS": 0.05, "ST": 0.08, "T": 0.08, "TP": 0.08, "none": 0.08}
)
"""Root mean square of each shape over its component: as much as leaves an oracle on the rest at chance over three seeds."""
OPTIONS: Mapping[str, Any] = MappingProxyType({
    "sites": "synth-a,synth-c", "participants-per-site": 28, "tasks": "participant", "audit-split": "none",
    "num-server-rounds": 30, "local-steps": 60, "patch": 5, "profile": "default",
})  # fmt: skip
"""The full profile's rounds and steps, at two sites, everybody training; the default profile's windows and resamples."""
TASK = "participant"
MEANT: tuple[str, ...] = tuple(name for name in COMPONENTS if name != "undefined")
"""Components that can lead."""


@dataclass(frozen=True)
class Ranking:
    """Components by how much they matter, the most first, and the figure behind it."""

    order: tuple[str, ...]
    value: Mapping[str, float]

    def rank(self, component: str) -> int:
        """Return the place of a component, 1 the first."""
        return self.order.index(component) + 1


@dataclass(frozen=True)
class MapFound:
    """One method's map: components by enrichment (exact and delineated boundaries), and its verdict."""

    exact: Ranking
    delineated: Ranking
    shown: bool
    reason: str


@dataclass(frozen=True)
class Found:
    """One planted federation: its oracles, and what each method recovered.

    Attributes
    ----------
    inside, rest, rest_delineated
        Per site, the oracles of `simulations.oracles`; empty without a component.
    maps
        Method -> its map; empty where the map has nothing in favour.
    knockout
        Fill -> components by the mean drop over people.
    """

    plant: Plant
    seed: int
    inside: tuple[Scores, ...]
    rest: tuple[Scores, ...]
    rest_delineated: tuple[Scores, ...]
    maps: Mapping[str, MapFound]
    knockout: Mapping[str, Ranking]


def wave(carrier: Any) -> Plant:
    """Return the plant of a component, held tightly in it; or the plant ``none``."""
    return Plant(carrier, strength_mv=STRENGTH_MV[carrier], strict=True)


def config(seed: int, **options: Any) -> RunConfig:
    """Return the config of a planted federation: `OPTIONS`, and others laid over them."""
    return parse({**OPTIONS, **options, "seed": seed})


def exact_components(plant: Plant) -> np.ndarray:
    """Return the component of every sample of a window, uint8 (L,), from the generator's boundaries."""
    second_L = (np.arange(WINDOW) - R_OFFSET) / FS_HZ
    code_L = np.full(WINDOW, COMPONENT_CODE["TP"], dtype=np.uint8)
    beat = normal_beat(plant.heart)
    for name in WAVE_PLANTS:
        start, end = component_span(name, beat)
        code_L[(second_L >= start) & (second_L < end)] = COMPONENT_CODE[name]
    return code_L


def exactly_cut(site: AuditSite, plant: Plant) -> AuditSite:
    """Return the site with its windows cut at the generator's boundaries."""
    code_NL = np.tile(exact_components(plant), (len(site.windows), 1))
    return replace(site, windows=replace(site.windows, component_NL=code_NL))


def play(plant: Plant, cfg: RunConfig) -> Found:
    """Make the federation, train it, ask the oracles, explain the participant task."""
    sources = planted.planted(plant)(cfg)
    trained = planted.train(cfg, sources)
    ctx = resolve_duplicates(audit_context(trained.record, trained.weights, sources))
    return found(plant, cfg.seed, ctx)


def found(plant: Plant, seed: int, ctx: AuditContext) -> Found:
    """Ask the oracles and explain the participant task of a trained planted federation."""
    exact = replace(ctx, sites=tuple(exactly_cut(site, plant) for site in ctx.sites))
    groups = explain(exact)
    (group,) = groups
    rows = attribute(exact, groups)[TASK]
    delineated_BL = draw_cohort(ctx, TASK).component_BL
    inside, rest, rest_delineated = _oracles(plant, ctx, exact)
    maps = {
        method: MapFound(
            by_enrichment(row["components"]),
            by_enrichment(_summary(ctx, group, method, delineated_BL)),
            row["shown"],
            row["reason"],
        )
        for method, row in rows.items()
        if row["components"]
    }
    return Found(plant, seed, inside, rest, rest_delineated, maps, knocked_out(exact, group))


def _oracles(
    plant: Plant, ctx: AuditContext, exact: AuditContext
) -> tuple[tuple[Scores, ...], tuple[Scores, ...], tuple[Scores, ...]]:
    if plant.carrier not in WAVE_PLANTS:
        return (), (), ()
    return (
        tuple(oracle(site, True, plant.carrier) for site in exact.sites),
        tuple(oracle(site, False, plant.carrier) for site in exact.sites),
        tuple(oracle(site, False, plant.carrier) for site in ctx.sites),
    )


def _summary(
    ctx: AuditContext, group: Group, method: str, component_BL: np.ndarray
) -> dict[str, dict[str, Any]]:
    rows_B = group.rows_B[TASK]
    map_BL = group.maps[TASK][method][rows_B]
    return summarise(map_BL, component_BL[rows_B], group.cohort.person_B[rows_B], 2, ctx.seed)


def by_enrichment(components: Mapping[str, Mapping[str, Any]]) -> Ranking:
    """Rank the components of a map's summary; all are equal where nothing speaks for the target."""
    return ranked({name: (components.get(name) or {}).get("enrichment") or 0.0 for name in MEANT})


def ranked(value: Mapping[str, float]) -> Ranking:
    """Rank components by a figure, the largest first; of equals the first in a beat comes first."""
    return Ranking(tuple(sorted(MEANT, key=lambda name: (-value[name], MEANT.index(name)))), dict(value))


def knocked_out(ctx: AuditContext, group: Group) -> dict[str, Ranking]:
    """Return fill -> components by what the similarity to the own template loses without them."""
    rows_B, cohort = group.rows_B[TASK], group.cohort
    out = {}
    for fill in FILLS:
        windows_KBL = {"people": group.donors_KBL, "mean": cohort.fill_BL[None]}.get(fill)
        assert (windows_KBL is not None) == (fill in FROM_WINDOWS)
        loss_BK = drops(
            ctx.model.encoder, cohort.x_BL, cohort.component_BL, group.targets, fill, windows_KBL
        )[TASK]
        loss_PK = person_means(np.nan_to_num(loss_BK[rows_B]), cohort.person_B[rows_B])
        out[fill] = ranked({name: float(loss_PK[:, COMPONENT_CODE[name]].mean()) for name in MEANT})
    return out
