"""``transecg init-data``: a participants table to fill in, for a folder of recordings."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

SHOWN = 5


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of WFDB, EDF and CSV recordings.")],
) -> None:
    """Write DIR/participants.csv with a row per recording, to fill in; never overwrites."""
    print(init_data(folder), flush=True)


def init_data(folder: Path) -> str:
    """Write a folder's template and return what to do next.

    Raises
    ------
    UserError
        If there is a table already, or nothing to list.
    """
    from transecg_core.cohorts import template

    made = template.write(folder)
    kinds = ", ".join(f"{count} {kind.upper()}" for kind, count in made.kinds.items())
    lines = [
        f"{made.table}: {sum(made.kinds.values())} recordings ({kinds}); every column is explained in {made.guide.name}"
    ]
    lines += _grouped(made.problems)
    needed = "fill in participant" + (
        ", and units, fs-hz and lead of CSV files" if "csv" in made.kinds else ""
    )
    lines.append(f"next: {needed}; session or date, age and sex if known. That makes it valid. Then:")
    return "\n".join([*lines, f"transecg inspect {shlex.quote(str(folder))}"])


def _grouped(problems: Sequence[tuple[str, str]]) -> list[str]:
    """Return a line per reason, with the first few recordings it holds for."""
    records: dict[str, list[str]] = {}
    for record, reason in problems:
        records.setdefault(reason.removeprefix("record: "), []).append(record)
    lines = []
    for reason, names in sorted(records.items()):
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        lines.append(f"  {reason}: {', '.join(names[:SHOWN])}{more}")
    return lines
