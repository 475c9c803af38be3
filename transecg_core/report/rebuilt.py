"""The picture of inversion: true beats, and what was rebuilt of them from an update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from transecg_core.report.html import drawing
from transecg_core.report.numbers import count
from transecg_core.report.svg import INK, VERMILLION, svg
from transecg_core.signals.schema import FS_HZ, R_OFFSET

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Report = Mapping[str, Any]
SHOWN = 12
"""Pairs on the page; report.json holds all."""
PER_SETTING = 2
"""Pairs of one setting on the page."""
WIDTH, HEIGHT = 250, 130


def rebuilt_parts(report: Report) -> dict[str, Any]:
    """Return what the page shows of ``rebuilt_beats``: by setting, in the order of the report."""
    pairs = report.get("rebuilt_beats", [])
    by_setting: dict[str, list[Mapping[str, Any]]] = {}
    for pair in pairs:
        by_setting.setdefault(pair["setting"], []).append(pair)
    chosen = [(setting, pair) for setting, own in by_setting.items() for pair in own[:PER_SETTING]][:SHOWN]
    panels = [
        {
            "setting": setting,
            "correlation": f"{pair['correlation']:+.2f}".replace("-", "−"),
            "svg": drawing(rebuilt_panel(f"rebuilt-{number}", pair)),
        }
        for number, (setting, pair) in enumerate(chosen)
    ]
    left = len(pairs) - len(panels)
    return {"rebuilt": panels, "more_rebuilt": f"{count(left, 'more pair')} in report.json." if left else ""}


def rebuilt_panel(name: str, pair: Mapping[str, Any]) -> str:
    """Return one true beat (thin, dark) with the rebuilt one (broad, coloured, dashed) over it."""

    def draw(fig: Figure) -> None:
        ax = fig.add_axes((0.01, 0.17, 0.98, 0.8))
        time_L = (np.arange(len(pair["true_L"])) - R_OFFSET) * 1000 / FS_HZ
        ax.plot(time_L, pair["true_L"], color=INK, linewidth=1.1)
        rebuilt = np.asarray(pair["rebuilt_L"], dtype=np.float64)
        ax.plot(
            time_L[: len(rebuilt)],
            rebuilt,
            color=VERMILLION,
            linewidth=1.8,
            linestyle=(0, (3, 1.2)),
            alpha=0.85,
        )
        both = np.concatenate([np.asarray(pair["true_L"]), rebuilt])
        margin = 0.06 * max(float(np.ptp(both)), 1e-9)
        ax.set_ylim(float(both.min()) - margin, float(both.max()) + margin)
        ax.set_xlim(float(time_L[0]), float(time_L[-1]))
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.set_xticks([-200, 0, 200, 400], ["−200", "R", "200", "400 ms"], fontsize=8)

    label = f"True and rebuilt beat, {pair['setting']}: correlation {pair['correlation']:.2f}"
    return svg(name, label, WIDTH, HEIGHT, draw)
