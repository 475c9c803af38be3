"""docs/risks.md has a row for every attack, and none for an attack that isn't there."""

from __future__ import annotations

import re
from pathlib import Path

from transecg_core.risk.registry import ATTACKS

PAGE = Path(__file__).parents[3] / "docs" / "risks.md"
RESULTS = "## Planted federations"
"""From here on the page holds results, not definitions."""


def documented() -> list[str]:
    """Return the attacks named in the first cell of a definition's row."""
    defined = PAGE.read_text(encoding="utf-8").split(RESULTS)[0]
    cells = [line.split("|")[1] for line in defined.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_attack_has_one_row() -> None:
    """A new attack needs a row in the section of its kind."""
    assert sorted(documented()) == sorted(attack.name for attack in ATTACKS)
    assert RESULTS in PAGE.read_text(encoding="utf-8")
