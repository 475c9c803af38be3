"""What the rows of kind C say: above their reference, compatible with it, or beyond the ceiling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transecg_core.report.claim import ceiling_words
from transecg_core.report.families import WORST
from transecg_core.report.headline import POOLED, Row, measured
from transecg_core.report.numbers import count, with_interval
from transecg_core.report.words import plain_name

Report = Mapping[str, Any]


def reference(row: Row) -> float | None:
    """Return what a leakage figure must exceed: the naive guess, and the same attack where nothing was trained."""
    known = [float(value) for value in (row["baseline"], row["control"]) if value is not None]
    return max(known, default=None)


def exceeds_ceiling(row: Row) -> bool:
    """Return whether even the lower confidence limit lies above what the guarantee allows."""
    return row["ceiling"] is not None and row["ci95"] is not None and row["ci95"][0] > row["ceiling"]


def leaks(row: Row) -> bool:
    """Return whether a leakage row's interval lies wholly above its reference.

    The reference is a point: the spread of the control's own estimate is not counted in. The
    paired difference to the control stands in the row's notes.
    """
    known = reference(row)
    return measured(row) and row["ci95"] is not None and known is not None and row["ci95"][0] > known


def attacks_told(report: Report, protocol: str | None) -> list[Row]:
    """Return the pooled leakage rows that the verdict tells, one per attack.

    The first measured one; of an attack with several protocols that of the headline's. Rows about the most
    exposed people pick people by their scores, and are no test.
    """
    rows = [r for r in report["risks"] if r["kind"] == "C" and r["site"] == POOLED]
    out: dict[str, Row] = {}
    for row in sorted(rows, key=lambda r: (not measured(r), r["protocol"] != protocol)):
        if not row["name"].startswith((WORST, "cross-site ")):
            out.setdefault(row["name"], row)
    order = list(dict.fromkeys(row["name"] for row in rows))
    return sorted(out.values(), key=lambda row: order.index(row["name"]))


def one_by_one(report: Report, headline_row: Row | None, protocol: str | None) -> list[str]:
    """Return what each further leakage test says, in words, those above their reference first."""
    rows = [row for row in attacks_told(report, protocol) if row is not headline_row]
    known = [row for row in rows if measured(row) and row["ci95"] is not None and reference(row) is not None]
    loud, quiet = [row for row in known if leaks(row)], [row for row in known if not leaks(row)]
    blank = [plain_name(row["name"]) for row in rows if not measured(row)]
    out = []
    if loud:
        tests = count(len(known), "further test")
        out.append(f"Above their reference, of {tests}: {_told(loud)}.")
    if quiet:
        out.append(f"No conclusion, compatible with their reference: {_told(quiet)}.")
    if blank:
        out.append(f"Not measurable: {'; '.join(blank)}.")
    return out


def _told(rows: Sequence[Row]) -> str:
    return "; ".join(_one(row) for row in rows)


def _one(row: Row) -> str:
    known = (
        f"{plain_name(row['name'])} ({row['metric']} {with_interval(row['main'], row['ci95'], row['metric'])}"
    )
    against = with_interval(reference(row), None, row["metric"])
    bound = "" if row["ceiling"] is None else f"; the privacy guarantee {ceiling_words(row)}"
    return f"{known} against {against}{bound})"
