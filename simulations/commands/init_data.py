"""``transecg init-data``: a participants table to fill in, for a folder of recordings."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

PROBLEMS_SHOWN = 20


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
    lines += [f"  {record}: {reason}" for record, reason in made.problems[:PROBLEMS_SHOWN]]
    if len(made.problems) > PROBLEMS_SHOWN:
        lines.append(f"  and {len(made.problems) - PROBLEMS_SHOWN} more that can't be read as they are")
    needed = "fill in participant" + (
        ", and units, fs-hz and lead of CSV files" if "csv" in made.kinds else ""
    )
    lines.append(f"next: {needed}; session or date, age and sex if known. That makes it valid. Then:")
    return "\n".join([*lines, f"transecg inspect {shlex.quote(str(folder))}"])
