"""docs/risks.md has a row for every attack, and none for an attack that isn't there."""

from __future__ import annotations

import re
from pathlib import Path

from transecg_core.risk.registry import ATTACKS

PAGE = Path(__file__).parents[3] / "docs" / "risks.md"


def documented() -> list[str]:
    """Return the attacks named in the first cell of a table's row."""
    cells = [
        line.split("|")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_attack_has_one_row() -> None:
    """A new attack needs a row in the section of its kind."""
    found = [name for name in documented() if not name.startswith("worst people")]
    assert sorted(found) == sorted(attack.name for attack in ATTACKS)
