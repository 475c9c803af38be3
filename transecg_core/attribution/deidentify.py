"""Windows with one heartbeat component made anonymous: everybody's mean, a straight line, or somebody else's.

What is put in a component's place is *time-normalised* (stretched to the duration that the component has
in the window) and *level-matched* (tilted so that it meets the samples next to it). So a change reaches the
component's shape and nothing else: durations, intervals and rhythm stay, and so do the levels at both edges.
A stretch that the window's edge cuts off is filled by the part of the shape that its visible edge calls for.

What is replaced must not show through in the scale of the rest: a z-normed window with a tall QRS complex has a
small T wave. So changes are made on windows in units of their *site's* typical spread (`unscaled`), where
nothing outside the component depends on it, and windows are z-normed afterwards.

``mean`` comes from the public people (`transecg_core.cohorts.public_people`, synthetic), the same for
everybody. A mean of the cohort without the person in question would differ a little from person to person,
always in the same way for one person: a name tag.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np

from transecg_core.attribution.intervals import person_means
from transecg_core.attribution.knockout import replaced
from transecg_core.cohorts.public_people import public_source
from transecg_core.signals.cache import cached_windows

How = Literal["mean", "flat", "swap"]
CHANGES: tuple[How, ...] = get_args(How)
GRID = 64
"""Points of a time-normalised shape: more than the samples of any component but the longest T waves."""
_STILL = 1e-6


@dataclass(frozen=True)
class Runs:
    """Stretches of adjacent samples of one component: row, first sample and one past the last (R each)."""

    row_R: np.ndarray
    start_R: np.ndarray
    stop_R: np.ndarray


@dataclass(frozen=True)
class Shapes:
    """Time-normalised shapes of one component, less the line between their ends.

    Attributes
    ----------
    shape_NG
        Per window (N, `GRID`), NaN where the window has no whole one.
    length_N
        Samples that it takes in the window; NaN likewise.
    """

    shape_NG: np.ndarray
    length_N: np.ndarray

    @property
    def known_N(self) -> np.ndarray:
        """Windows with a shape, bool."""
        known: np.ndarray = np.isfinite(self.length_N)
        return known

    def of(self, row_M: np.ndarray) -> Shapes:
        """Return the shapes of some rows; none for a row below 0."""
        missing_M = row_M < 0
        shape_MG, length_M = self.shape_NG[row_M].copy(), self.length_N[row_M].copy()
        shape_MG[missing_M], length_M[missing_M] = np.nan, np.nan
        return Shapes(shape_MG, length_M)


def runs_of(inside_NL: np.ndarray) -> Runs:
    """Return every stretch of True in each row, by row and time."""
    step_NS = np.diff(np.pad(inside_NL, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row_R, start_R = np.nonzero(step_NS == 1)
    return Runs(row_R, start_R, np.nonzero(step_NS == -1)[1])


def shapes_of(x_NL: np.ndarray, inside_NL: np.ndarray) -> Shapes:
    """Return each window's first whole stretch of a component (bool (N, L)), time-normalised."""
    found = Shapes(np.full((len(x_NL), GRID), np.nan), np.full(len(x_NL), np.nan))
    runs, length = runs_of(inside_NL), x_NL.shape[1]
    for row, start, stop in zip(runs.row_R, runs.start_R, runs.stop_R, strict=True):
        if start > 0 and stop < length and np.isnan(found.length_N[row]):
            # From neighbour to neighbour, which is where the shape will be tied to another window.
            x_G = _stretched(np.asarray(x_NL[row, start - 1 : stop + 1], dtype=np.float64), GRID)
            found.shape_NG[row] = x_G - np.linspace(x_G[0], x_G[-1], GRID)
            found.length_N[row] = stop - start
    return found


@cache
def public_shape(code: int) -> Shapes:
    """Return the public people's mean shape of a component, as one row; everybody weighs the same.

    Raises
    ------
    UserError
        If the cache folder can't be written.
    """
    windows = cached_windows(public_source())
    found = shapes_of(windows.x_NL, windows.component_NL == code)
    known_N = found.known_N
    both = np.column_stack([found.shape_NG, found.length_N])[known_N]
    mean = person_means(both, windows.participant_N[known_N].astype(np.int64)).mean(axis=0)
    return Shapes(mean[None, :-1], mean[-1:])


def common_edges(inside_NL: np.ndarray, site_N: np.ndarray, sites: int) -> np.ndarray:
    """Return for each site the samples that nearly all of its people's component lies in, bool (S, L).

    From the 5th percentile of where it begins to the 95th of where it ends, over windows that show it
    whole; nothing at a site where none does. Windows are aligned at R, so this is one interval around R.
    """
    common_SL = np.zeros((sites, inside_NL.shape[1]), dtype=bool)
    runs = runs_of(inside_NL)
    whole_R = (runs.start_R > 0) & (runs.stop_R < inside_NL.shape[1])
    _, first = np.unique(runs.row_R[whole_R], return_index=True)
    site_W = site_N[runs.row_R[whole_R][first]]
    for site in np.unique(site_W):
        start, stop = (edge_R[whole_R][first][site_W == site] for edge_R in (runs.start_R, runs.stop_R))
        common_SL[site, int(np.quantile(start, 0.05)) : int(np.ceil(np.quantile(stop, 0.95)))] = True
    return common_SL


def flat(count: int) -> Shapes:
    """Return shapes without any shape for a number of windows: a straight line."""
    return Shapes(np.zeros((count, GRID)), np.ones(count))


def unscaled(x_NL: np.ndarray, scale_N: np.ndarray, site_N: np.ndarray, typical_S: np.ndarray) -> np.ndarray:
    """Return z-normed windows in units of their site's typical spread, float32 (N, L).

    Parameters
    ----------
    scale_N
        Spread (mV) that each window had before it was z-normed.
    typical_S
        Each site's typical spread (mV).
    """
    return np.asarray(x_NL * (scale_N / typical_S[site_N])[:, None], dtype=np.float32)


def changed(x_NL: np.ndarray, inside_NL: np.ndarray, put: Shapes) -> tuple[np.ndarray, np.ndarray]:
    """Return the windows with a component replaced, z-normed, and which of them it reached, bool (N,).

    Z-norming is what the pipeline does with whatever recording it is given. A window without the component,
    with nothing to put in its place, or with nothing but the component, is z-normed only.

    Parameters
    ----------
    x_NL
        Windows from `unscaled`.
    inside_NL
        Samples of the component, bool.
    put
        The shape that each window gets (N rows).

    Returns
    -------
    tuple
        float32 (N, L), bool (N,).
    """
    reached_N = put.known_N & inside_NL.any(axis=1) & ~inside_NL.all(axis=1)
    inside_ML, fill_ML = inside_NL[reached_N], np.zeros((int(reached_N.sum()), x_NL.shape[1]))
    shape_MG, usual_M = put.shape_NG[reached_N], put.length_N[reached_N]
    runs = runs_of(inside_ML)
    for row, start, stop in zip(runs.row_R, runs.start_R, runs.stop_R, strict=True):
        fill_ML[row, start:stop] = _cut_to(shape_MG[row], usual_M[row], start, stop, x_NL.shape[1])
    out_NL = np.array(x_NL, dtype=np.float64)
    # The fill is 0 where it meets its neighbours, so levelling it is tying it to them.
    out_NL[reached_N] = replaced(x_NL[reached_N], inside_ML.astype(np.uint8), 1, "mean", fill_BL=fill_ML)
    return _znormed(out_NL).astype(np.float32), reached_N


def _cut_to(shape_G: np.ndarray, usual: float, start: int, stop: int, length: int) -> np.ndarray:
    """Return the part of a shape that one stretch shows: all of it, but where the window's edge cuts it."""
    count = stop - start
    whole = max(count, round(usual)) if start == 0 or stop == length else count
    shape_K = _stretched(shape_G, whole + 2)[1:-1]
    return shape_K[whole - count :] if start == 0 else shape_K[:count]


def _stretched(x_K: np.ndarray, count: int) -> np.ndarray:
    return np.asarray(np.interp(np.linspace(0, len(x_K) - 1, count), np.arange(len(x_K)), x_K))


def _znormed(x_NL: np.ndarray) -> np.ndarray:
    x_NL = x_NL - x_NL.mean(axis=1, keepdims=True)
    spread_N1 = x_NL.std(axis=1, keepdims=True)
    return np.asarray(x_NL / np.where(spread_N1 > _STILL, spread_N1, 1.0))


def donor_rows(
    site_N: np.ndarray, person_N: np.ndarray, record_N: np.ndarray,
    pool_site_M: np.ndarray, pool_person_M: np.ndarray, pool_usable_M: np.ndarray, seed: int,
) -> np.ndarray:  # fmt: skip
    """Return whose component each window gets by ``swap``: a row of the pool, -1 where there is nobody (N,).

    One other person of the site is drawn per record; their usable windows are taken in turn.
    """
    rng = np.random.default_rng(seed)
    out_N = np.full(len(site_N), -1)
    for record in np.unique(record_N):
        rows = np.flatnonzero(record_N == record)
        others_M = pool_usable_M & (pool_site_M == site_N[rows[0]]) & (pool_person_M != person_N[rows[0]])
        if others_M.any():
            donor = rng.choice(np.unique(pool_person_M[others_M]))
            out_N[rows] = np.resize(np.flatnonzero(others_M & (pool_person_M == donor)), len(rows))
    return out_N
