"""Whether the answer holds when the delineation moves, the fill changes, or the model is trained again.

Delineators differ from cardiologists by some 10 to 20 ms, so every boundary is moved at random by up to 20 ms
and the relevance is summed again. That needs no forward pass for a map per sample. A map by whole components
(``component-occlusion``) would have to be made again for every draw; it is not judged here, but its answer is
given for every fill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from transecg_core.attribution.components import enrichment, folded, of_people
from transecg_core.cohorts.schema import COMPONENT_CODE, COMPONENTS
from transecg_core.signals.schema import FS_HZ

JITTER_S = 0.02
"""Largest move of a boundary."""

DRAWS = 200
"""Draws of moved boundaries."""

UNDEFINED = COMPONENT_CODE["undefined"]


@dataclass(frozen=True)
class Moved:
    """Windows cut into components by moved boundaries, D draws of B windows with at most M components.

    Attributes
    ----------
    edge_DBM
        First sample of every stretch, and the window's length, (D, B, M + 1), ascending.
    code_BM
        Component of every stretch; those past a window's last are ``undefined`` and empty.
    """

    edge_DBM: np.ndarray
    code_BM: np.ndarray


def moved(component_BL: np.ndarray, record_B: np.ndarray, seed: int, draws: int = DRAWS) -> Moved:
    """Move each record's boundaries at random, each on its own, by up to `JITTER_S` either way.

    A boundary is between two components; its move is the same in all windows of the record, whose
    delineation is one. Boundaries that overtake each other change places, so the order of the components
    stays, and a short one may vanish in a draw.

    Parameters
    ----------
    record_B
        Record behind each window.
    """
    edge_BM, code_BM = _stretches(component_BL)
    _, record_B = np.unique(record_B, return_inverse=True)
    most = round(JITTER_S * FS_HZ)
    kinds = len(COMPONENTS)
    shape = (draws, int(record_B.max()) + 1, kinds, kinds)
    move_DRKK = np.random.default_rng(seed).integers(-most, most + 1, size=shape, dtype=np.int8)
    move_DBM = move_DRKK[:, record_B[:, None], code_BM[:, :-1], code_BM[:, 1:]].astype(np.int32)
    length = component_BL.shape[1]
    inner_BM = edge_BM[:, 1:-1]
    inner_DBM = np.where(inner_BM < length, np.clip(inner_BM + move_DBM, 0, length), length)
    edge_DBM = np.repeat(edge_BM[None], draws, axis=0)
    edge_DBM[:, :, 1:-1] = np.sort(inner_DBM, axis=2)
    return Moved(edge_DBM, code_BM)


def _stretches(component_BL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges (B, M + 1) and codes (B, M) of the stretches of one component."""
    batch, length = component_BL.shape
    change_BL = np.diff(component_BL.astype(np.int16), axis=1) != 0
    most = int(change_BL.sum(axis=1).max(initial=0)) + 1
    edge_BM = np.full((batch, most + 1), length, dtype=np.int32)
    code_BM = np.full((batch, most), UNDEFINED, dtype=np.int64)
    edge_BM[:, 0] = 0
    code_BM[:, 0] = component_BL[:, 0]
    row, place = np.nonzero(change_BL)
    nth = np.concatenate([np.arange(1, n + 1) for n in change_BL.sum(axis=1)]) if len(row) else row
    edge_BM[row, nth] = place + 1
    code_BM[row, nth] = component_BL[row, place + 1]
    return edge_BM, code_BM


def enrichments(map_BL: np.ndarray, cut: Moved, person_B: np.ndarray, few_K: np.ndarray) -> np.ndarray:
    """Return the enrichment of every component in every draw, of the mean over people, (D, K).

    NaN where nobody has the component. Windows without relevance are left out.

    Parameters
    ----------
    few_K
        Components that only a few people show (`components.shown_by_few`): they count as ``undefined``.
    """
    length = map_BL.shape[1]
    total_B = np.abs(map_BL.astype(np.float64)).sum(axis=1)
    usable_B = np.isfinite(total_B) & (total_B > 0)
    if not usable_B.any():
        return np.full((len(cut.edge_DBM), len(COMPONENTS)), np.nan)
    sum_BL = np.zeros((int(usable_B.sum()), length + 1))
    np.cumsum(map_BL[usable_B] / total_B[usable_B, None], axis=1, out=sum_BL[:, 1:])
    edge_DBM = cut.edge_DBM[:, usable_B]
    row_B1 = np.arange(len(sum_BL))[:, None]
    share_DBM = np.diff(sum_BL[row_B1[None], edge_DBM], axis=2)
    duration_DBM = np.diff(edge_DBM, axis=2) / length
    weight_BMK = _weights(person_B[usable_B])[:, None, None] * np.eye(len(COMPONENTS))[cut.code_BM[usable_B]]
    share_DK = np.tensordot(share_DBM, weight_BMK, axes=2)
    duration_DK = np.tensordot(duration_DBM, weight_BMK, axes=2)
    return enrichment(folded(share_DK, few_K), folded(duration_DK, few_K))


def _weights(person_B: np.ndarray) -> np.ndarray:
    """Return each window's weight in a mean over people of their means."""
    _, index_B, count_P = np.unique(person_B, return_inverse=True, return_counts=True)
    return 1.0 / (len(count_P) * count_P[index_B])


def ranges(enrichment_DK: np.ndarray) -> dict[str, list[float]]:
    """Return component -> lowest and highest enrichment, of those that some draw has."""
    return {
        name: [float(np.nanmin(column_D)), float(np.nanmax(column_D))]
        for name, column_D in zip(COMPONENTS, enrichment_DK.T, strict=True)
        if np.isfinite(column_D).any()
    }


def share_first(enrichment_DK: np.ndarray, first: str | None) -> float | None:
    """Return the share of draws in which `first` is the most enriched component; None without one."""
    if first is None or not len(enrichment_DK):
        return None
    known_DK = np.where(np.isfinite(enrichment_DK), enrichment_DK, -np.inf)
    known_DK[:, UNDEFINED] = -np.inf
    leads_D = (known_DK.argmax(axis=1) == COMPONENT_CODE[first]) & (known_DK.max(axis=1) > 0)
    return float(leads_D.mean())


def mean_enrichment(
    map_BL: np.ndarray, component_BL: np.ndarray, person_B: np.ndarray, few_K: np.ndarray
) -> np.ndarray:
    """Return every component's enrichment, of the mean over people, (K,); as `components.summarise` has it.

    Parameters
    ----------
    few_K
        Components that count as ``undefined``, of all windows that are explained: these may be some of them.
    """
    _, share_PK, duration_PK = of_people(map_BL, component_BL, person_B)
    if not len(share_PK):
        return np.full(len(COMPONENTS), np.nan)
    share_1K, duration_1K = (
        folded(value_PK.mean(axis=0, keepdims=True), few_K) for value_PK in (share_PK, duration_PK)
    )
    found_K: np.ndarray = enrichment(share_1K, duration_1K)[0]
    return found_K


def stability(
    jitter_DK: np.ndarray | None, first: str | None, fills: Mapping[str, str | None] | None,
    seeds: Mapping[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    """Return the report's ``stability`` of a map.

    Parameters
    ----------
    jitter_DK
        From `enrichments`; None for methods of `BY_COMPONENT`.
    first
        The map's own most enriched component.
    """
    return {
        "jitter": None if jitter_DK is None else ranges(jitter_DK),
        "jitter_first": None if jitter_DK is None else share_first(jitter_DK, first),
        "fills": None if fills is None else dict(fills),
        "seeds": None if seeds is None else dict(seeds),
    }
