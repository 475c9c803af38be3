"""Arms that differ in privacy only, paired by seed: what privacy costs, and which risk it lowers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.special import stdtrit

from transecg_core.report.build import write_text
from transecg_core.report.compare_attribution import compared_attribution
from transecg_core.report.compare_page import comparison_page
from transecg_core.report.compare_words import LIMITS, comparison_verdict, criteria
from transecg_core.report.headline import (
    POOLED,
    Headline,
    Row,
    has_guarantee,
    headline,
    is_leaky,
    measured,
)
from transecg_core.report.leakage import attacks_told, reference
from transecg_core.report.schema import ReportError, canonical_json, plain, validate

Report = Mapping[str, Any]

REFERENCE = "best"
"""The arm that the others are held against: no privacy, its own recipe."""
SHARED_OPTIONS: tuple[str, ...] = (
    "cohort", "sites", "participants-per-site", "protocol", "audit-split", "patch", "profile",
    "max-windows-per-participant",
)  # fmt: skip
"""Options in which paired runs must agree: the same people, split and audit."""


def write_comparison(rows: Mapping[str, Sequence[Report]], folder: Path) -> Path:
    """Write ``compare.json`` and ``compare.html`` into `folder`.

    Parameters
    ----------
    rows
        Arm -> its runs' reports, one per seed. Arms are ``best`` (no privacy), ``matched`` (the
        private recipe without noise) and ``epsilon=...``; any other name is allowed.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ReportError
        If a report breaks its schema, a seed comes twice in an arm, or the runs can't be paired.
    """
    document = compare(rows)
    text, page = canonical_json(document), comparison_page(document)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "compare.json", text)
    return write_text(folder / "compare.html", page)


def compare(rows: Mapping[str, Sequence[Report]]) -> dict[str, Any]:
    """Return the comparison document (``compare.schema.json``)."""
    arms = _by_seed(rows)
    reports = [report for runs in arms.values() for report in runs.values()]
    options = _shared_options(reports)
    _same_data(arms)
    first = next(iter(arms.values()))
    picked = headline(next(iter(first.values()))["risks"])
    document: dict[str, Any] = {
        "schema_version": "1.2",
        "kind": reports[0]["data"]["kind"],
        "leaky": any(is_leaky(report) for report in reports),
        "options": options,
        "code_hashes": sorted({report["manifest"]["code_hash"] for report in reports}),
        "protocol": picked.protocol,
        "arms": [_arm(name, runs) for name, runs in arms.items()],
        "figures": _figures(arms, picked),
        "attribution": compared_attribution(arms, _cells),
        "limits": list(LIMITS),
    }
    document["criteria"] = criteria(document["figures"])
    document["verdict"] = comparison_verdict(document)
    document = plain(document)
    validate(document, "compare.schema.json")
    return document


def _by_seed(rows: Mapping[str, Sequence[Report]]) -> dict[str, dict[int, Report]]:
    """Return arm -> seed -> report, arms and seeds in order."""
    out: dict[str, dict[int, Report]] = {}
    for arm in sorted(rows, key=_arm_order):
        runs: dict[int, Report] = {}
        for report in rows[arm]:
            validate(report)
            seed = report["manifest"]["config"].get("seed")
            if not isinstance(seed, int):
                raise ReportError(f"arm '{arm}': a report has no integer seed in its manifest")
            if seed in runs:
                raise ReportError(f"arm '{arm}': seed {seed} comes twice")
            runs[seed] = report
        if runs:
            out[arm] = dict(sorted(runs.items()))
    if not out:
        raise ReportError("nothing to compare: no arm has a report")
    return out


def _arm_order(name: str) -> tuple[int, float, str]:
    """Best, matched, then from weak to strong privacy, then anything else."""
    if name in (REFERENCE, "matched"):
        return (0 if name == REFERENCE else 1, 0.0, name)
    try:
        epsilon = float(name.removeprefix("epsilon="))
    except ValueError:
        return (3, 0.0, name)
    return (2, -epsilon, name)


def _shared_options(reports: Sequence[Report]) -> dict[str, Any]:
    out = {}
    for key in SHARED_OPTIONS:
        values = {str(report["manifest"]["config"].get(key)) for report in reports}
        if len(values) > 1:
            raise ReportError(f"runs can't be paired: {key} is {' and '.join(sorted(values))}")
        out[key] = values.pop()
    return out


def _same_data(arms: Mapping[str, Mapping[int, Report]]) -> None:
    known: dict[tuple[int, str], str] = {}
    for arm, runs in arms.items():
        for seed, report in runs.items():
            for site, digest in report["manifest"]["data_hashes"].items():
                if known.setdefault((seed, site), digest) != digest:
                    raise ReportError(
                        f"arm '{arm}', seed {seed}: site '{site}' read other data than the other arms"
                    )


def _arm(name: str, runs: Mapping[int, Report]) -> dict[str, Any]:
    private = [report["privacy"] for report in runs.values()]
    spent = [site["epsilon_participant"] for p in private for site in p["sites"]]
    return {
        "name": name,
        "unit": private[0]["unit"],
        "guarantee": all(has_guarantee(report) for report in runs.values()),
        "simulation_noise": any(p["simulation_noise"] for p in private),
        "epsilon_participant": max(spent) if spent and None not in spent else None,
        "seeds": list(runs),
    }


def _figures(arms: Mapping[str, Mapping[int, Report]], picked: Headline) -> list[dict[str, Any]]:
    reports = [report for runs in arms.values() for report in runs.values()]
    out = []
    for task in sorted({task for report in reports for task in report["utility"]}):
        values = {arm: {s: _utility(r, task) for s, r in runs.items()} for arm, runs in arms.items()}
        metric = next(iter(next(r["utility"][task] for r in reports if task in r["utility"]).values()))[
            "metric"
        ]
        entry = _figure(f"utility/{task}", f"utility: {task}", "utility", metric, values)
        out.append({**entry, "start": _start(arms, task)})
    for row in _wanted(reports, picked):
        values = {arm: {s: _risk(r, row) for s, r in runs.items()} for arm, runs in arms.items()}
        key = f"{row['kind']}/{row['name']}/{row['protocol']}/{row['metric']}"
        label = f"{row['name']}, {row['protocol']}"
        entry = _figure(key, label, row["kind"], row["metric"], values)
        out.append(_with_bounds(entry, arms, row) if row["kind"] == "C" else entry)
    return out


def _with_bounds(
    entry: dict[str, Any], arms: Mapping[str, Mapping[int, Report]], wanted: Row
) -> dict[str, Any]:
    """Add to each arm the largest ceiling over its runs (none if one has none), and the mean reference."""
    for arm, runs in arms.items():
        rows = [row for row in (_row_of(report, wanted) for report in runs.values()) if row is not None]
        ceilings = [row["ceiling"] for row in rows if row["main"] is not None]
        known = [value for value in (reference(row) for row in rows) if value is not None]
        entry["arms"][arm] |= {
            "ceiling": max(ceilings) if ceilings and None not in ceilings else None,
            "reference": math.fsum(known) / len(known) if known else None,
        }
    return entry


def _wanted(reports: Sequence[Report], picked: Headline) -> list[Row]:
    """Return the risk rows to follow through all runs: chosen once, in the reference run."""
    rows = [
        row for row in (picked.floor, picked.model, picked.gain_floor, picked.membership) if row is not None
    ]
    told = {_key(row) for row in rows}
    for report in reports:  # an attack that the reference could not run may have a figure elsewhere
        for row in attacks_told(report, picked.protocol):
            if measured(row) and row["name"] not in {name for _, name, *_ in told}:
                rows.append(row)
                told.add(_key(row))
    return rows


def _key(row: Row) -> tuple[str, ...]:
    return tuple(str(row[part]) for part in ("kind", "name", "site", "protocol", "metric"))


def _utility(report: Report, task: str) -> float | None:
    score = report["utility"].get(task, {}).get(POOLED)
    return None if score is None else score["value"]


def _start(arms: Mapping[str, Mapping[int, Report]], task: str) -> dict[str, Any] | None:
    """Return the score of the weights that the first arm started from; None from random ones."""
    runs = next(iter(arms.values())).values()
    starts = [report["utility"].get(task, {}).get(POOLED, {}).get("start") for report in runs]
    values = [start["value"] for start in starts if start and start["value"] is not None]
    return over_seeds(values) if values else None


def _row_of(report: Report, wanted: Row) -> Row | None:
    return next((row for row in report["risks"] if _key(row) == _key(wanted)), None)


def _risk(report: Report, wanted: Row) -> float | None:
    row = _row_of(report, wanted)
    return None if row is None or row["main"] is None else float(row["main"])


def _figure(
    key: str, label: str, about: str, metric: str, values: Mapping[str, Mapping[int, float | None]]
) -> dict[str, Any]:
    good = "high" if about == "utility" else "low"
    return {
        "key": key,
        "label": label,
        "about": about,
        "metric": metric,
        "good": good,
        "arms": _cells(values),
    }


def _cells(values: Mapping[str, Mapping[int, float | None]]) -> dict[str, Any]:
    """Return each arm's values per seed, their mean, and the paired difference to the reference arm."""
    cells = {}
    for arm, by_seed in values.items():
        known = [v for v in by_seed.values() if v is not None]
        cells[arm] = {
            "values": {str(seed): value for seed, value in by_seed.items()},
            "estimate": over_seeds(known),
            "against_best": None
            if arm == REFERENCE
            else over_seeds(_paired(by_seed, values.get(REFERENCE, {}))),
        }
    return cells


def _paired(values: Mapping[int, float | None], best: Mapping[int, float | None]) -> list[float]:
    pairs = [(value, best.get(seed)) for seed, value in values.items()]
    return [value - other for value, other in pairs if value is not None and other is not None]


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Return mean, 95 % t interval (None below two values) and count."""
    n = len(values)
    if n == 0:
        return {"mean": None, "ci95": None, "n": 0}
    mean = math.fsum(values) / n
    if n == 1:
        return {"mean": mean, "ci95": None, "n": 1}
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    half = float(stdtrit(n - 1, 0.975)) * spread / math.sqrt(n)
    return {"mean": mean, "ci95": [mean - half, mean + half], "n": n}
