"""The command ``transecg cache``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from transecg_core.errors import UserError
from transecg_core.text import escaped

if TYPE_CHECKING:
    from simulations.cachefolder import CacheEntry


def command(
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what no run can use: damaged, of other code, left over.")
    ] = False,
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, help="With --prune: also what wasn't used so long.")
    ] = None,
    keep_gb: Annotated[
        float | None, typer.Option(metavar="GB", min=0, help="With --prune: keep only this much, newest use.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="With --prune: remove all entries.")] = False,
) -> None:
    """Show the cache of windows, or prune it."""
    from simulations import cachefolder
    from transecg_core.signals.cache import default_dir

    root = default_dir()
    if not prune:
        if older_than is not None or keep_gb is not None or everything:
            raise UserError("cache: --older-than, --keep-gb and --all say what to remove; give --prune too")
        print(table(cachefolder.entries(root)))
        print(f"in {root}")
        return
    freed = cachefolder.prune(root, older_than, keep_gb, everything)
    print(
        f"removed {freed.entries} entries and {freed.scratch} left-over folders, "
        f"{freed.size / 1e6:.1f} MB freed in {root}"
    )
    if freed.strange:
        print(f"left alone, not ours: {', '.join(map(escaped, freed.strange))}")


def table(entries: list[CacheEntry]) -> str:
    """Return the entries as text, least recently used first, and their total."""
    head = ("site", "kind", "participants", "records", "windows", "MB", "built", "last used", "")
    rows = [
        (
            escaped(entry.site),
            entry.kind,
            str(entry.participants),
            str(entry.records),
            str(entry.windows),
            f"{entry.size / 1e6:.1f}",
            _when(entry.built),
            _when(entry.used),
            entry.useless or "",
        )
        for entry in entries
    ]
    total = sum(entry.size for entry in entries) / 1e6
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    left = (0, 1, 6, 7, 8)
    lines = [
        "  ".join(
            cell.ljust(width) if k in left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
    return "\n".join([*(lines if rows else ()), f"{len(rows)} entries, {total:.1f} MB"])


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "?"
