"""Matplotlib figures as small, deterministic SVG fragments that can share one HTML page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, SOFT, FAINT, LINE = "#1a1d21", "#5b626b", "#9aa1a9", "#d5d9de"
BLUE, ORANGE, VERMILLION, GREEN, SKY, PURPLE = (
    "#0072b2",
    "#b36b00",
    "#c8501e",
    "#007a5a",
    "#56b4e9",
    "#a8608a",
)
"""Okabe and Ito's colours (safe for colour-blind readers), some darkened for thin lines on white."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 8.25,
    "axes.linewidth": 0.6,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": SOFT,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.width": 0.6,
    "ytick.major.size": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "path.simplify": False,
}
_FONT = re.compile(r"font-family: [^;\"]*|(?<=font: )([^;\"]*?px) [^;\"]*")


def svg(name: str, label: str, width: float, height: float, draw: Callable[[Figure], None]) -> str:
    """Return the figure as an ``<svg>`` element.

    Parameters
    ----------
    name
        Unique on the page; every id inside starts with it.
    label
        What a screen reader says instead.
    width, height
        In CSS pixels; the page scales it down where it must.
    draw
        Draws on the empty figure (1 inch = 96 CSS pixels).
    """
    # Imported here: sites import this package for its manifest and should not pay for matplotlib.
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: Any = {**_STYLE, "svg.hashsalt": name}
    with rc_context(style), warnings.catch_warnings():
        # Text stays text in the SVG and the reader's font draws it: that the layout font
        # lacks a glyph of a site's name does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        fig = Figure(figsize=(width / 96, height / 96))
        FigureCanvasSVG(fig)
        draw(fig)
        buffer = io.StringIO()
        fig.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return _fragment(buffer.getvalue(), name, label, width, height)


def _fragment(text: str, name: str, label: str, width: float, height: float) -> str:
    body = text[text.index("<svg") :]
    view = re.search(r'viewBox="[^"]*"', body)
    inner = body[body.index(">") + 1 : body.rindex("</svg>")]
    inner = re.sub(r"<metadata>.*?</metadata>", "", inner, flags=re.DOTALL)
    inner = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", inner, flags=re.DOTALL)
    inner = re.sub(r'<g id="[A-Za-z_.]+\d+">', "<g>", inner)
    inner = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", inner)
    inner = _FONT.sub(lambda found: f"{found[1]} inherit" if found[1] else "font-family: inherit", inner)
    inner = re.sub(r"\s*\n\s*", " ", inner).strip()
    safe = label.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return (
        f'<svg role="img" aria-label="{safe}" width="{width:g}" height="{height:g}" '
        f"{view[0] if view else ''}>{inner}</svg>"
    )
