"""Pages from templates: everything escaped, nothing undefined."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from transecg_core.report.numbers import count, significant
from transecg_core.report.style import CSS


def render(template: str, **names: Any) -> str:
    """Return a page.

    Every value is escaped, save what `drawing` marked; a name that the template needs and nobody
    gave is an error. A percent sign stays with its number at line ends.
    """
    env = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters.update(count=count, sig=significant)
    html = env.from_string(template).render(css=Markup(CSS), **names)  # noqa: S704  our own constant
    return re.sub(r"(?<=\d) %", "\u00a0%", html)


def drawing(svg: str | None) -> Markup | None:
    """Mark a figure as safe: `transecg_core.report.svg.svg` escapes every text it draws."""
    return None if svg is None else Markup(svg)  # noqa: S704
