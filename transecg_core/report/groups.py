"""The report's ``risk_groups``: as found for those who hold the data, without small groups for everybody else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from transecg_core.report.describe import SMALL_CELL
from transecg_core.risk.findings import GroupRisk

SUPPRESSED = f"suppressed: fewer than {SMALL_CELL} people, or the only other group of so few"
_FIGURES = ("main", "control", "baseline", "ci95", "n_participants", "n_controls")


def risk_groups(groups: Iterable[GroupRisk], *, shareable: bool) -> list[dict[str, Any]]:
    """Return the section; in a shareable report every group of fewer than `SMALL_CELL` people is suppressed.

    Where that is one group alone, the next smaller one goes too: else a total that stands elsewhere
    in the report, less the groups shown, would tell it.
    """
    rows = [group.as_dict() for group in groups]
    if not shareable:
        return rows
    tables: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        tables.setdefault((row["attribute"], row["name"]), []).append(row)
    for table in tables.values():
        by_size = sorted(table, key=_smallest)
        hidden = sum(_smallest(row) < SMALL_CELL for row in table)
        for row in by_size[: 2 if hidden == 1 else hidden]:
            row |= {**dict.fromkeys(_FIGURES), "notes": SUPPRESSED}
    return rows


def _smallest(row: dict[str, Any]) -> int:
    """Return the smaller of a group's two parts; no controls at all are no part."""
    return int(min(n for n in (row["n_participants"], row["n_controls"] or row["n_participants"])))
