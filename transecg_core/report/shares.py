"""Share of relevance against share of duration, component by component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from transecg_core.report.methods import MARKS
from transecg_core.report.svg import INK, LINE, SOFT, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMPONENT_ORDER: tuple[str, ...] = ("P", "PQ", "QRS", "ST", "T", "TP")
PANEL = 340
"""CSS pixels: three panels side by side on a screen, one on a phone."""
BAND = "#dfe3e8"


class Point(NamedTuple):
    """One bar: a share with its interval, and whether that excludes the share of duration."""

    share: float
    low: float | None
    high: float | None
    sure: bool


class Bars(NamedTuple):
    """One component: its share of the time, a bar per series (None: nothing to draw), and words beside."""

    component: str
    duration: float | None
    points: tuple[Point | None, ...]
    text: str


def point(part: Mapping[str, Any] | None) -> Point | None:
    """Return the bar of one component's entry in the report.

    The report's interval is of the enrichment, share / duration; times the duration it is drawn as the
    share's, with the duration held at its mean.
    """
    if part is None or part["share"] is None:
        return None
    interval, duration = part["ci95"], part["duration"]
    if interval is None or duration is None:
        return Point(part["share"], None, None, False)
    sure = interval[0] > 1 or interval[1] < 1
    return Point(part["share"], interval[0] * duration, interval[1] * duration, sure)


def task_bars(entries: Sequence[Mapping[str, Any] | None]) -> list[Bars]:
    """Return the bars of one task: its maps (None: not shown), in the order of `MARKS`."""
    out = []
    for component in COMPONENT_ORDER:
        parts = [entry["components"].get(component) if entry else None for entry in entries]
        known = [
            part for part in parts if part and part["share"] is not None and part["enrichment"] is not None
        ]
        if known:
            found = sorted(part["enrichment"] for part in known)
            low, high = f"{found[0]:.1f}", f"{found[-1]:.1f}"
            text = f"{low}×" if low == high else f"{low} to {high}×"
            out.append(Bars(component, known[0]["duration"], tuple(point(part) for part in parts), text))
    return out


def share_panel(name: str, label: str, rows: Sequence[Bars], axis: str = "share of relevance, %") -> str:
    """Return the bars as a drawing: grey is a component's share of the time, every bar one series.

    A filled mark means that the interval excludes the share of the time.
    """
    series = max(len(row.points) for row in rows)
    each = 11 + 8 * max(series, 2)
    height = each * len(rows) + 40

    def draw(fig: Figure) -> None:
        ax = fig.add_axes((0.1, 36 / height, 0.66, 1 - 40 / height))
        ends = [row.duration or 0.0 for row in rows]
        ends += [value for row in rows for p in row.points if p for value in (p.share, p.high or 0.0)]
        top = min(max([*ends, 0.1]) * 1.06, 1.5)
        ax.set_xlim(0, top)
        ax.set_ylim(-len(rows) + 0.5, 0.5)
        for place, row in enumerate(rows):
            _row(ax, -place, row, series)
        step = next(s for s in (0.05, 0.1, 0.2, 0.25, 0.5) if top / s <= 6)
        ticks = [step * k for k in range(int(top / step) + 1)]
        ax.set_xticks(ticks, [f"{100 * tick:.0f}" for tick in ticks])
        ax.set_yticks([-place for place in range(len(rows))], [row.component for row in rows])
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        ax.spines["left"].set_color(SOFT)
        ax.set_xlabel(axis, fontsize=8)

    return svg(name, label, PANEL, height, draw)


def _row(ax: Axes, y: float, row: Bars, series: int) -> None:
    if row.duration is not None:
        ax.fill_between([0, row.duration], y - 0.42, y + 0.42, color=BAND, linewidth=0, zorder=0)
        ax.plot([row.duration] * 2, [y - 0.42, y + 0.42], color=SOFT, linewidth=1.1, zorder=1)
    ax.axhline(y - 0.5, color=LINE, linewidth=0.4, zorder=0)
    pitch = 0.72 / max(series, 2)
    for place, p in enumerate(row.points):
        if p is None:
            continue
        at = y + pitch * ((series - 1) / 2 - place)
        mark = MARKS[place % len(MARKS)]
        ax.plot([0, p.share], [at, at], color=mark.colour, linewidth=1.0, zorder=2)
        if p.low is not None and p.high is not None:
            ends = [min(max(v, 0.0), ax.get_xlim()[1]) for v in (p.low, p.high)]
            ax.plot(
                ends, [at, at], color=mark.colour, linewidth=2.6, alpha=0.45, solid_capstyle="butt", zorder=2
            )
        fill = mark.colour if p.sure else "white"
        ax.plot([min(p.share, ax.get_xlim()[1])], [at], mark.shape, markersize=4.3, color=mark.colour,
                markerfacecolor=fill, markeredgewidth=1.0, zorder=3)  # fmt: skip
    ax.annotate(row.text, (1.03, y), xycoords=("axes fraction", "data"), fontsize=8, color=INK, va="center",
                annotation_clip=False)  # fmt: skip
