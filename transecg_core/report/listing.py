"""What stays where the data is: every record left out or mended, and every pair of copies, by name."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transecg_core.risk.codes import person_codes
from transecg_core.risk.context import AuditContext

SKIPPED, DUPLICATES, PEOPLE = "skipped.csv", "duplicates.csv", "people.csv"
_PAIR = (
    *("site_a", "participant_a", "record_a", "site_b", "participant_b", "record_b"),
    *("offset_s", "beats", "correlation", "rate_ppm"),
)


def write_listing(ctx: AuditContext, folder: Path) -> tuple[Path, Path]:
    """Write ``skipped.csv`` and ``duplicates.csv``: names of records, for the people who hold the data.

    They belong beside a *local* report only, never beside a shareable one.

    Raises
    ------
    ValueError
        If the context is a pilot server's: it holds nobody's data, so there is nothing to list.
    """
    if ctx.strangers:
        raise ValueError("a listing by name is local: a pilot's server has none to write")
    skipped = [
        (site.name, skip.record, skip.reason, skip.count) for site in ctx.sites for skip in site.windows.skips
    ]
    pairs = ctx.duplicates.pairs if ctx.duplicates is not None else ()
    rows = [tuple(getattr(pair, column) for column in _PAIR) for pair in pairs]
    return (
        _write(folder / SKIPPED, ("site", "record", "reason", "count"), skipped),
        _write(folder / DUPLICATES, _PAIR, rows),
    )


def write_people(ctx: AuditContext, people: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Write ``people.csv``: whose each code of the report's ``people_at_risk`` is, and their figures.

    The one place that ties a risk to a local id: it belongs beside a *local* report only.

    Raises
    ------
    ValueError
        If the context is a pilot server's.
    """
    if ctx.strangers:
        raise ValueError("a listing by name is local: a pilot's server has none to write")
    names = {
        (site.name, code): name
        for site in ctx.sites
        for code, name in zip(person_codes(site), site.windows.participants, strict=True)
    }
    columns = sorted({name for person in people for name in person["figures"]})
    rows = [
        (
            *(person["site"], names[person["site"], person["participant"]], person["participant"]),
            *(person["group"], person["protocol"] or ""),
            *("" if person["figures"].get(name) is None else person["figures"][name] for name in columns),
        )
        for person in people
    ]
    return _write(folder / PEOPLE, ("site", "participant", "code", "group", "protocol", *columns), rows)


def _cell(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: names come from files, numbers from us."""
    if isinstance(value, float):
        return f"{value:.3f}"
    formula = isinstance(value, str) and (value[:1] in ("\t", "\r") or value.lstrip()[:1] in tuple("=+-@"))
    return f"'{value}" if formula else value


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)  # its own line ends, so that one inside a name is quoted
        writer.writerow(header)
        writer.writerows([_cell(value) for value in row] for row in rows)
    return path
