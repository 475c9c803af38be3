"""The coloured beat: one mean beat, its components shaded, its line coloured by relevance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from transecg_core.cohorts.schema import COMPONENTS
from transecg_core.report.svg import INK, SOFT, svg
from transecg_core.signals.schema import FS_HZ, R_OFFSET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEAT_WIDTH, BEAT_HEIGHT = 184, 128
"""CSS pixels: six methods side by side on a screen, three in print."""
LEVELS = 8
"""Steps of the colour scale; every step is wider and darker than the one before, so it reads without colour."""
RELEVANCE = ("#cfd4da", "#abc6dc", "#83b1d3", "#5797c2", "#3a7ca8", "#a8501f", "#8a3210", "#551200")
GREYED = ("#dcdfe3", "#d2d5da", "#c8ccd1", "#bdc2c7", "#b3b8be", "#a8aeb5", "#9ea5ac", "#8b9199")
_BANDS = {"P": "#e2edf6", "QRS": "#fbe8db", "T": "#e2edf6"}


def beat_panel(
    name: str,
    label: str,
    x_L: Sequence[float],
    component_L: Sequence[int],
    relevance_L: Sequence[float],
    shown: bool,
) -> str:
    """Return one beat coloured by relevance.

    Parameters
    ----------
    label
        For screen readers.
    x_L
        The mean beat, z-normed, at 250 Hz with the R peak at `R_OFFSET`.
    component_L
        Component code per sample.
    relevance_L
        Relevance per sample; drawn by magnitude, relative to the largest.
    shown
        False draws the map in greys: it carries no claim.
    """

    def draw(fig: Figure) -> None:
        ax = fig.add_axes((0.01, 0.18, 0.98, 0.68))
        time_L = (np.arange(len(x_L)) - R_OFFSET) * 1000 / FS_HZ
        x = np.asarray(x_L, dtype=np.float64)
        margin = 0.08 * max(float(np.ptp(x)), 1e-9)
        ax.set_xlim(float(time_L[0]), float(time_L[-1]))
        ax.set_ylim(float(x.min()) - margin, float(x.max()) + margin)
        _bands(ax, time_L, component_L, shown)
        _coloured(ax, time_L, x, np.abs(np.asarray(relevance_L, dtype=np.float64)), shown)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.set_xticks([-200, 0, 200, 400], ["−200", "R", "200", "400 ms"], fontsize=7.5)

    return svg(name, label, BEAT_WIDTH, BEAT_HEIGHT, draw)


def runs(codes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (value, first, last) of each stretch of equal values."""
    start = 0
    for code, group in groupby(codes):
        length = len(list(group))
        yield int(code), start, start + length - 1
        start += length


def _bands(ax: Axes, time_L: np.ndarray, component_L: Sequence[int], shown: bool) -> None:
    step = float(time_L[1] - time_L[0])
    for code, first, last in runs(component_L):
        name = COMPONENTS[code] if code < len(COMPONENTS) else "undefined"
        left, right = float(time_L[first]) - step / 2, float(time_L[last]) + step / 2
        if name in _BANDS:
            ax.axvspan(left, right, color=_BANDS[name] if shown else "#f3f4f5", linewidth=0, zorder=0)
        # Narrow stretches (PQ, ST can be 40 ms) are labelled only where the letters fit.
        if name != "undefined" and right - left >= (24 if name in _BANDS else 40) * len(name):
            ax.annotate(name, ((left + right) / 2, 1.03), xycoords=("data", "axes fraction"), fontsize=8,
                        color=INK if name in _BANDS else SOFT, ha="center", annotation_clip=False)  # fmt: skip


def _coloured(ax: Axes, time_L: np.ndarray, x_L: np.ndarray, relevance_L: np.ndarray, shown: bool) -> None:
    top = float(relevance_L.max())
    level_L = np.zeros(len(relevance_L), dtype=int)
    if top > 0:
        level_L = np.minimum((relevance_L / top * LEVELS).astype(int), LEVELS - 1)
    scale = RELEVANCE if shown else GREYED
    for level, first, last in runs(level_L.tolist()):
        stop = min(last + 2, len(x_L))
        ax.plot(
            time_L[first:stop],
            x_L[first:stop],
            color=scale[level],
            linewidth=1.1 + 2.6 * level / (LEVELS - 1),
            solid_capstyle="round",
            zorder=2 + level,
        )
