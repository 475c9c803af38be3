"""The report's figures. Roles differ by shape as well as colour, so they survive print and colour blindness."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transecg_core.report.numbers import figure, metric_label
from transecg_core.report.svg import BLUE, FAINT, GREEN, INK, LINE, ORANGE, PURPLE, SKY, SOFT, VERMILLION, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
PANEL = 340
"""Width of one small panel, CSS pixels: three stand side by side on a screen, one on a phone."""

KIND_COLOUR = {"A": SOFT, "B": BLUE, "C": VERMILLION}
SITE_STYLES = ((BLUE, "-"), (VERMILLION, (0, (5, 1.5))), (GREEN, (0, (1, 1.2))), (PURPLE, (0, (6, 1.5, 1, 1.5))),
               (ORANGE, (0, (3, 1))), (SKY, "-"), (INK, (0, (8, 2))), (SOFT, (0, (2, 2))))  # fmt: skip


def risk_panel(name: str, kind: str, rows: Sequence[Row]) -> str:
    """Return dots with intervals for rows of one kind: main, control, baseline and ceiling."""
    height = 44 * len(rows) + 34

    def draw(fig: Figure) -> None:
        ax = fig.add_axes((0.02, 26 / height, 0.94, 1 - 30 / height))
        _unit_axis(ax, rows)
        for place, row in enumerate(rows):
            _risk_row(ax, -place, row, KIND_COLOUR[kind])

    said = "; ".join(f"{row['name']} {figure(row['main'], row['metric'])}" for row in rows)
    return svg(name, f"Risks of kind {kind}: {said}", PANEL, height, draw)


def _unit_axis(ax: Axes, rows: Sequence[Row]) -> None:
    values = [v for row in rows for v in (row["main"], row["control"], *(row["ci95"] or ())) if v is not None]
    low = min([0.0, *values])
    low = math.floor(low * 4 + 0.02) / 4
    ax.set_xlim(low - 0.012, max([1.0, *values]) + 0.03)
    ax.set_ylim(-len(rows) + 0.45, 0.62)
    step = 0.25 if low >= -0.25 else 0.5 if low >= -1 else 10.0
    ticks = [step * k for k in range(math.ceil(low / step), math.floor(1 / step) + 1)]
    ax.set_xticks(ticks, [f"{t:g}".replace("-", "−") for t in ticks])
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    for tick in ticks:
        ax.axvline(tick, color=LINE, linewidth=0.9 if tick == 0 else 0.5, zorder=0)


def _risk_row(ax: Axes, y: float, row: Row, colour: str) -> None:
    left = ax.get_xlim()[0] + 0.012
    note = f"{row['name']}, {row['protocol']}" if row["protocol"] else str(row["name"])
    ax.text(
        left,
        y + 0.3,
        _clip(f"{note} · {metric_label(row['metric'])}", 60),
        fontsize=8,
        color=INK,
        va="center",
    )
    mid = y - 0.12
    if row["baseline"] is not None:
        ax.plot(
            [row["baseline"]] * 2, [mid - 0.2, mid + 0.2], color=SOFT, linewidth=1.2, linestyle=(0, (2, 1.2))
        )
    if row["ceiling"] is not None:
        ax.plot(
            [row["ceiling"]] * 2, [mid - 0.22, mid + 0.22], color=INK, linewidth=2.2, solid_capstyle="butt"
        )
    if row["ci95"] is not None:
        ax.plot(row["ci95"], [mid, mid], color=colour, linewidth=2.2, solid_capstyle="butt", alpha=0.55)
    if row["control"] is not None:
        ax.plot([row["control"]], [mid], "o", markersize=6.5, markerfacecolor="white", markeredgecolor=INK,
                markeredgewidth=1.1)  # fmt: skip
    if row["main"] is not None:
        ax.plot([row["main"]], [mid], "o", markersize=5, color=colour)


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def training_curve(name: str, rounds: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the loss of every site over the rounds; None where no round shows a loss."""
    sites = sorted({site for r in rounds for site, loss in r["loss"].items() if loss is not None})
    if not sites:
        return None
    from matplotlib.ticker import MaxNLocator  # with `svg`: not at import time

    series = {s: [(r["round"], r["loss"][s]) for r in rounds if r["loss"].get(s) is not None] for s in sites}

    def draw(fig: Figure) -> None:
        ax = fig.add_axes((0.09, 0.17, 0.7, 0.78))
        for place, site in enumerate(sites):
            colour, dash = (
                SITE_STYLES[place % len(SITE_STYLES)] if len(sites) <= len(SITE_STYLES) else (FAINT, "-")
            )
            x, y = zip(*series[site], strict=True)
            ax.plot(x, y, color=colour, linestyle=dash, linewidth=1.5, marker="o" if len(x) == 1 else None)
        first, last = min(r["round"] for r in rounds), max(r["round"] for r in rounds)
        ax.set_xlim(first - 0.3 * (first == last), last + 0.3 * (first == last))
        ax.set_ylim(bottom=min(0.0, *(y for points in series.values() for _, y in points)))
        ax.set_xlabel("round")
        ax.set_ylabel("mean training loss")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(sites) <= len(SITE_STYLES):
            _end_labels(ax, {s: points[-1][1] for s, points in series.items()}, sites)

    return svg(name, "Training loss per site and round", 620, 240, draw)


def _end_labels(ax: Axes, ends: Mapping[str, float], sites: Sequence[str]) -> None:
    """Write each line's name at its end, pushed apart where they would overlap."""
    low, high = ax.get_ylim()
    gap = 0.075 * (high - low)
    y = -float("inf")
    for site in sorted(sites, key=lambda s: (ends[s], s)):
        y = max(ends[site], y + gap)
        colour = SITE_STYLES[sites.index(site) % len(SITE_STYLES)][0]
        ax.annotate(_clip(site, 20), (1.015, y), xycoords=("axes fraction", "data"), fontsize=8, color=colour,
                    va="center", annotation_clip=False)  # fmt: skip
