"""Replace a whole component of a heartbeat, and measure what the model's score loses by it.

What takes the component's place decides the answer, so it is named (`FILLS`):

- ``people``: the same samples of other people's windows. A heart could have made them.
- ``mean``: the same samples of a mean beat. After z-norm and alignment at R a mean QRS is close to most
  people's own, so that this is a mild change there.
- ``bridge``: a straight line between the kept samples at either edge.
- ``zero``: 0. Steps at both edges, and beats that no heart makes; for comparison only.

All but ``zero`` are level-matched: a ramp is added to the fill, so that it continues the kept samples at
both edges instead of making a step, which the model would answer to. So a component's shape is replaced
and its level relative to its neighbours goes with it, but not the level that it shares with them. At the
window's ends there is one neighbour, and its level is taken. The window is not z-normed again: samples
outside the component stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from transecg_core.attribution.embedding import embed
from transecg_core.attribution.targets import Target
from transecg_core.cohorts.schema import COMPONENT_CODE, COMPONENTS
from transecg_core.model.encoder import Encoder

FILLS: tuple[str, ...] = ("people", "mean", "bridge", "zero")
FROM_WINDOWS: frozenset[str] = frozenset({"people", "mean"})
"""Fills whose samples come from other windows, which the caller gives."""

UNDEFINED = COMPONENT_CODE["undefined"]
"""Samples that the delineation says nothing about: no component, so they can't be knocked out as one."""


def replaced(
    x_BL: np.ndarray, component_BL: np.ndarray, code: int, fill: str, *, fill_BL: np.ndarray | None = None
) -> np.ndarray:
    """Return windows with one component replaced, float32 (B, L); windows without it as they are.

    Parameters
    ----------
    component_BL
        Component code per sample.
    code
        Which component; all its stretches in a window (two for TP) are replaced.
    fill
        One of `FILLS`.
    fill_BL
        For ``people`` and ``mean``: the windows to take the samples from, aligned at R like `x_BL`.

    Raises
    ------
    ValueError
        For an unknown fill, a fill without its windows, or the code of ``undefined``.
    """
    if fill not in FILLS:
        raise ValueError(f"no fill '{fill}'; one of {', '.join(FILLS)}")
    if code == UNDEFINED:
        raise ValueError("undefined samples are no component and can't be knocked out as one")
    if fill in FROM_WINDOWS and fill_BL is None:
        raise ValueError(f"fill '{fill}' needs fill_BL, the windows to take samples from")
    inside_BL = component_BL == code
    if fill == "zero":
        return np.where(inside_BL, 0, x_BL).astype(np.float32)
    # A line between the edges is the level-matched form of no signal at all.
    source_BL = fill_BL if fill_BL is not None and fill in FROM_WINDOWS else np.zeros_like(x_BL)
    level_BL = _between_edges(x_BL.astype(np.float64) - source_BL, ~inside_BL)
    return np.where(inside_BL, source_BL + level_BL, x_BL).astype(np.float32)


def _between_edges(value_BL: np.ndarray, kept_BL: np.ndarray) -> np.ndarray:
    """Return every sample interpolated between the nearest kept samples, (B, L).

    With one of the two, its value; in a window with none, the mean of the window.
    """
    length = value_BL.shape[1]
    place_L = np.arange(length)
    left_BL = np.maximum.accumulate(np.where(kept_BL, place_L, -1), axis=1)
    right_BL = np.minimum.accumulate(np.where(kept_BL, place_L, length)[:, ::-1], axis=1)[:, ::-1]
    none_BL = (left_BL < 0) & (right_BL == length)
    left_BL, right_BL = (
        np.where(left_BL < 0, right_BL, left_BL),
        np.where(right_BL == length, left_BL, right_BL),
    )
    low_BL = np.take_along_axis(value_BL, np.clip(left_BL, 0, length - 1), axis=1)
    high_BL = np.take_along_axis(value_BL, np.clip(right_BL, 0, length - 1), axis=1)
    part_BL = (place_L - left_BL) / np.maximum(right_BL - left_BL, 1)
    line_BL: np.ndarray = low_BL + (high_BL - low_BL) * part_BL
    return np.where(none_BL, value_BL.mean(axis=1, keepdims=True), line_BL)


def drops(
    encoder: Encoder,
    x_BL: np.ndarray,
    component_BL: np.ndarray,
    targets: Mapping[str, Target],
    fill: str,
    fill_KBL: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return name -> what each target's score loses when a component is replaced, float64 (B, components).

    Positive: the component spoke for the target. NaN where a window has none of the component, and for
    ``undefined`` everywhere.

    Parameters
    ----------
    fill
        One of `FILLS`, see `replaced`.
    fill_KBL
        For ``people`` and ``mean``: K windows per window (one mean beat: K = 1); the loss is averaged over K.

    Raises
    ------
    ValueError
        As `replaced`.
    """
    if fill in FROM_WINDOWS and fill_KBL is None:
        raise ValueError(f"fill '{fill}' needs fill_KBL, the windows to take samples from")
    sources = tuple(fill_KBL) if fill_KBL is not None and fill in FROM_WINDOWS else (None,)
    changed, row, column = [], [], []
    for code in range(len(COMPONENTS)):
        rows = np.flatnonzero((component_BL == code).any(axis=1))
        if code == UNDEFINED or not len(rows):
            continue
        for source_BL in sources:
            part_BL = None if source_BL is None else source_BL[rows]
            changed.append(replaced(x_BL[rows], component_BL[rows], code, fill, fill_BL=part_BL))
            row.append(rows)
            column.append(np.full(len(rows), code))
    out = {name: np.full((len(x_BL), len(COMPONENTS)), np.nan) for name in targets}
    if not changed:
        return out
    row_M, column_M = np.concatenate(row), np.concatenate(column)
    z_BD, z_MD = embed(encoder, x_BL), embed(encoder, np.concatenate(changed))
    with torch.no_grad():
        for name, target in targets.items():
            whole_B = target.score(z_BD, torch.arange(len(x_BL))).double().numpy()
            without_M = target.score(z_MD, torch.from_numpy(row_M)).double().numpy()
            loss_BK = np.zeros_like(out[name])
            np.add.at(loss_BK, (row_M, column_M), (whole_B[row_M] - without_M) / len(sources))
            out[name][row_M, column_M] = loss_BK[row_M, column_M]
    return out


def spread(drop_BK: np.ndarray, component_BL: np.ndarray) -> np.ndarray:
    """Return each component's drop spread evenly over its samples, float32 (B, L); 0 where there is none."""
    out_BL = np.zeros(component_BL.shape)
    for code in range(drop_BK.shape[1]):
        inside_BL = component_BL == code
        per_sample_B = np.nan_to_num(drop_BK[:, code]) / np.maximum(inside_BL.sum(axis=1), 1)
        out_BL += inside_BL * per_sample_B[:, None]
    return out_BL.astype(np.float32)
