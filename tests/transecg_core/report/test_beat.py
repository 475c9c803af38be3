"""The coloured beat must read without its colours."""

from __future__ import annotations

import re
from itertools import pairwise

from transecg_core.report.beat import GREYED, LEVELS, RELEVANCE, beat_panel


def lightness(colour: str) -> float:
    """Return CIE L* of an sRGB colour (0 black, 100 white)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 116 * sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True)) ** (1 / 3) - 16


def test_every_level_is_darker_than_the_one_before() -> None:
    for scale in (RELEVANCE, GREYED):
        found = [lightness(colour) for colour in scale]
        assert len(found) == LEVELS
        assert all(b < a - 2 for a, b in pairwise(found))


def test_a_greyed_map_stays_paler_than_the_upper_half_of_a_map_that_is_shown() -> None:
    assert min(map(lightness, GREYED)) > max(map(lightness, RELEVANCE[LEVELS // 2 + 1 :])) + 10


def test_the_most_relevant_samples_are_the_thickest() -> None:
    relevance = [0.0] * 100 + [1.0] * 100
    svg = beat_panel("one", "A beat", [0.0] * 200, [5] * 200, relevance, True)
    widths = {float(found) for found in re.findall(r"stroke-width: ([\d.]+)", svg)}
    thick = max(widths)
    drawn = next(path for path in re.findall(r"<path[^>]*>", svg) if f"stroke-width: {thick:g}" in path)
    assert RELEVANCE[-1] in drawn
    assert RELEVANCE[0] not in drawn
