"""The audits' findings as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from transecg_core.privacy.audit.results import Claim, Findings

EVIDENCE = "An audit is evidence with the power stated here, not a proof: a claim that holds was not contradicted, no more."


def render(findings: Findings) -> str:
    """Return the table of claims, then controls and false alarms where there are any."""
    rows = [("instrument", "claimed", "lower bound", "at most", "holds", "what was run")]
    rows += [
        (c.instrument, f"{c.claimed:.3g}", f"{c.lower_bound:.3g}", _most(c), _verdict(c), c.setting)
        for c in findings.claims
    ]
    parts = [_aligned(rows)]
    problems = [f"{c.instrument}: {problem} ({c.setting})" for c in findings.claims for problem in c.problems]
    if problems:
        parts.append("\n".join(["Contradictions", *problems]))
    notes = [f"{c.instrument}: {note} ({c.setting})" for c in findings.claims for note in c.notes]
    if notes:
        parts.append("\n".join(["Notes", *notes]))
    if findings.controls:
        controls = [("negative control", "instrument", "caught", "seeds")]
        controls += [
            (c.name, c.instrument, "yes" if c.caught else "NO", f"{c.caught_seeds} of {c.seeds}")
            for c in findings.controls
        ]
        parts.append(_aligned(controls))
    if findings.false_alarms:
        alarms = [("right code", "false alarms", "its confidence allows")]
        alarms += [
            (f.instrument, f"{f.alarms} of {f.seeds} seeds", f"{100 * f.allowed:.2g} %")
            for f in findings.false_alarms
        ]
        parts.append(_aligned(alarms))
    return "\n\n".join([*parts, EVIDENCE])


def as_json(findings: Findings) -> dict[str, Any]:
    """Return the findings for ``--json``; an infinite lower bound, as without noise, is null."""
    return {
        "claims": [
            {**asdict(c), "lower_bound": c.lower_bound if math.isfinite(c.lower_bound) else None,
             "holds": c.holds, "power": c.power}
            for c in findings.claims
        ],
        "negative_controls": [{**asdict(c), "caught": c.caught} for c in findings.controls],
        "false_alarms": [{**asdict(f), "too_many": f.too_many} for f in findings.false_alarms],
        "passed": findings.passed,
        "note": EVIDENCE,
    }  # fmt: skip


def _most(claim: Claim) -> str:
    return "no limit" if claim.max_attainable is None else f"{claim.max_attainable:.3g}"


def _verdict(claim: Claim) -> str:
    if not claim.holds:
        return "NO"
    return "yes" if claim.power else "no power"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
