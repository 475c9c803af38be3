"""Small multiples: an attack's figure as a function of rank, gallery size or round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from transecg_core.report.families import by_family
from transecg_core.report.figures import KIND_COLOUR
from transecg_core.report.headline import POOLED, headline
from transecg_core.report.html import drawing
from transecg_core.report.numbers import count, figure
from transecg_core.report.svg import INK, LINE, SOFT, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Report = Mapping[str, Any]
Curve = Mapping[str, Any]
SHOWN = 12
"""Curves on the page; report.json holds all."""
WIDTH, HEIGHT = 250, 175
_WIDE = 20.0
"""Where the last x is this many times the first one, the axis is logarithmic."""


def curve_parts(report: Report) -> dict[str, Any]:
    """Return what the page shows of ``risk_curves``: the pooled ones, those of the headline's protocol first."""
    curves = report.get("risk_curves", [])
    protocol = headline(report["risks"]).protocol
    pooled = [curve for curve in curves if curve["site"] == POOLED] or list(curves)
    pooled = [curve for curve in pooled if any(y is not None for y in curve["main"])]
    ordered = [c for kind in "ABC" for _, own in by_family(pooled, kind) for c in own]
    ordered.sort(key=lambda curve: not (curve["protocol"] == protocol or curve["kind"] == "C"))
    panels = [
        {
            "title": curve["name"],
            "kind": curve["kind"],
            "svg": drawing(curve_panel(f"curve-risk-{number}", curve)),
            "text": _about(curve),
        }
        for number, curve in enumerate(ordered[:SHOWN])
    ]
    left = len(curves) - len(panels)
    more = f"{count(left, 'more curve')} in report.json: other protocols, single sites, or nothing measured."
    return {"curves": panels, "more_curves": more if left > 0 and panels else ""}


def _about(curve: Curve) -> str:
    parts = [curve["protocol"], count(curve["n_participants"], "person").replace("persons", "people")]
    return "; ".join(part for part in (*parts, curve["notes"]) if part)


def curve_panel(name: str, curve: Curve) -> str:
    """Return one curve: main solid with its 95 % band, control dashed, baseline dotted; a mark at every point."""

    def draw(fig: Figure) -> None:
        below = 24 + 12 * len(_wrapped(curve))
        ax = fig.add_axes((0.15, below / HEIGHT, 0.81, 1 - (below + 8) / HEIGHT))
        colour, x = KIND_COLOUR[curve["kind"]], curve["x"]
        _band(ax, curve, colour)
        for key, style, ink in (
            ("baseline", ":", SOFT),
            ("control", (0, (4, 2)), INK),
            ("main", "-", colour),
        ):
            if curve[key] is None:
                continue
            at = [(a, b) for a, b in zip(x, curve[key], strict=True) if b is not None]
            if at:
                mark = "o" if key == "main" and len(at) <= 12 else None
                ax.plot(*zip(*at, strict=True), linestyle=style, color=ink, linewidth=1.7 if key == "main" else 1.3,
                        marker=mark, markersize=3)  # fmt: skip
        _axes(ax, curve)

    last = next((y for y in reversed(curve["main"]) if y is not None), None)
    label = f"{curve['name']}, {curve['protocol']}: {curve['y_label']} by {curve['x_label']}, at the end "
    return svg(name, label + figure(last, curve["y_label"]), WIDTH, HEIGHT, draw)


def _band(ax: Axes, curve: Curve, colour: str) -> None:
    if curve["low"] is None or curve["high"] is None:
        return
    ends = zip(curve["x"], curve["low"], curve["high"], strict=True)
    known = [end for end in ends if None not in end]
    if len(known) > 1:
        at, low, high = zip(*known, strict=True)
        ax.fill_between(at, low, high, color=colour, alpha=0.16, linewidth=0)
    elif known:
        ax.plot([known[0][0]] * 2, known[0][1:], color=colour, linewidth=2.2, alpha=0.4)


def _axes(ax: Axes, curve: Curve) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator

    ends = [
        y for key in ("main", "control", "baseline", "low", "high") for y in curve[key] or () if y is not None
    ]
    low, high = min([0.0, *ends]), max([1.0, *ends])
    ax.set_ylim(low - 0.02 * (high - low), high + 0.02 * (high - low))
    ticks = [low + (high - low) * k / 4 for k in range(5)] if (low, high) == (0.0, 1.0) else None
    if ticks is not None:
        ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    for tick in ax.get_yticks():
        ax.axhline(tick, color=LINE, linewidth=0.5, zorder=0)
    x = curve["x"]
    if x[0] > 0 and x[-1] / x[0] >= _WIDE:
        ax.set_xscale("log")
        chosen = _log_ticks(x[0], x[-1])
        ax.set_xticks(chosen, [f"{t:g}" for t in chosen])
        ax.xaxis.set_minor_locator(NullLocator())
    elif all(float(value).is_integer() for value in x):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.set_xlabel("\n".join(_wrapped(curve)), fontsize=8)
    ax.set_title(curve["y_label"], fontsize=8, color=SOFT, loc="left", pad=3)


def _wrapped(curve: Curve) -> list[str]:
    return wrap(curve["x_label"], 38)[:3] or [""]


def _log_ticks(first: float, last: float) -> Sequence[float]:
    ticks = [m * 10.0**p for p in range(-6, 9) for m in (1, 2, 5) if first <= m * 10.0**p <= last]
    return ticks[:: 1 + len(ticks) // 6] if len(ticks) > 1 else [first, last]
