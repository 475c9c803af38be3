"""What-if de-identification: what a data owner gains and loses by changing one component before sharing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transecg_core.report.numbers import count, figure, is_rate, low_is_risky, with_interval
from transecg_core.report.words import plain_name

Report = Mapping[str, Any]
Row = Mapping[str, Any]

CHANGES: Mapping[str, str] = {
    "mean": "everybody's mean shape",
    "flat": "a straight line",
    "swap": "somebody else's",
}
_ORDER = ("P", "PQ", "QRS", "ST", "T", "TP")
_UTILITY = "balanced accuracy"
ADAPTED = "-adapted"
"""Behind an attack's name: the attacker knows of the change and makes it on everything it holds."""


def what_if_parts(report: Report) -> dict[str, Any] | None:
    """Return the table in words and the figures behind it; None where the report has none."""
    entries = report.get("what_if")
    if not entries:
        return None
    groups: dict[tuple[str, str], list[Row]] = {}
    for entry in sorted(entries, key=_key):
        groups.setdefault((entry["component"], entry["change"]), []).append(entry)
    rows = [_in_words(component, change, rows) for (component, change), rows in groups.items()]
    figures = [_figures(row) for group in groups.values() for row in group]
    tasks = sorted({task for entry in entries for task in entry["utility"]})
    return {"rows": rows, "figures": figures, "tasks": tasks, "sentence": what_if_sentence(entries)}


def _key(entry: Row) -> tuple[int, str, int, str, str]:
    component, change = entry["component"], entry["change"]
    place = _ORDER.index(component) if component in _ORDER else len(_ORDER)
    return (place, component, list(CHANGES).index(change), entry["attack"], entry["metric"])


def _gain(row: Row) -> float | None:
    """Return the difference so that a gain of the data owner is positive."""
    if row["difference"] is None:
        return None
    return float(row["difference"] if low_is_risky(row["metric"]) else -row["difference"])


def _reading(difference: float | None, ci95: Sequence[float] | None) -> str:
    """Return ``up``, ``down``, ``open`` or ``absent`` of a difference with its interval."""
    if difference is None:
        return "absent"
    if ci95 is None:
        return "open"
    return "up" if ci95[0] > 0 else "down" if ci95[1] < 0 else "open"


def _name(attack: str) -> str:
    adapted = attack.endswith(ADAPTED)
    return plain_name(attack.removesuffix(ADAPTED)) + (", adapted" if adapted else "")


def _by(cell: Row, metric: str) -> str:
    return with_interval(cell["difference"], cell["ci95"], f"{metric} difference")


def _attack(row: Row) -> str:
    metric = row["metric"]
    known = with_interval(row["difference"], row["ci95"], f"{metric} difference")
    return f"{_name(row['attack'])}: {metric} {figure(row['before'], metric)} → {figure(row['after'], metric)}, {known}"


def _task(task: str, cell: Row) -> str:
    metric = _UTILITY
    known = with_interval(cell["difference"], cell["ci95"], f"{metric} difference")
    return f"{task} {figure(cell['before'], metric)} → {figure(cell['after'], metric)}, {known}"


def _in_words(component: str, change: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Sort what happened into gains, losses, and what the figures can't tell."""
    gains: list[str] = []
    losses: list[str] = []
    unclear: list[str] = []
    for row in _told(rows):
        read = _reading(row["difference"], row["ci95"])
        good = "up" if low_is_risky(row["metric"]) else "down"
        if read == "absent":
            unclear.append(f"{_name(row['attack'])}: {row['notes'] or 'not measured'}")
        elif read == "open":
            unclear.append(f"{_name(row['attack'])}: {row['metric']} {_by(row, row['metric'])}")
        else:
            (gains if read == good else losses).append(_attack(row))
    for task, cell in sorted(_utility(rows).items()):
        read = _reading(cell["difference"], cell["ci95"])
        if read == "absent":
            unclear.append(f"{task}: not measured")
        elif read == "open":
            unclear.append(f"{task} {_by(cell, _UTILITY)}")
        else:
            (gains if read == "up" else losses).append(_task(task, cell))
    return {
        "component": component,
        "change": CHANGES[change],
        "gains": gains,
        "losses": losses,
        "unclear": unclear,
    }


def _utility(rows: Sequence[Row]) -> dict[str, Row]:
    """Return the utility of one change: that of the first attack's row that holds a task."""
    out: dict[str, Row] = {}
    for row in rows:
        for task, cell in row["utility"].items():
            out.setdefault(task, cell)
    return out


def _told(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that words are made of: rates, where there are any; errors stand in the figures."""
    rates = [row for row in rows if is_rate(row["metric"])]
    return rates or list(rows)


def what_if_sentence(entries: Sequence[Row]) -> str:
    """Return one sentence: the change that lowers identification most, and what it costs.

    Only attackers who know of the change count, where there are any: it shows in what is shared.
    """
    tried = len({(entry["component"], entry["change"]) for entry in entries})
    known = [entry for entry in entries if entry["attack"].endswith(ADAPTED)]
    sure = [
        entry
        for entry in _told(known or entries)
        if _reading(entry["difference"], entry["ci95"]) == ("up" if low_is_risky(entry["metric"]) else "down")
    ]
    whom = " by an attacker who knows of the change" if known else ""
    if not sure:
        return f"None of {count(tried, 'change')} of one component was shown to lower identification{whom}."
    best = max(sorted(sure, key=_key), key=lambda entry: _gain(entry) or 0.0)
    costs = [
        _task(task, cell)
        for task, cell in sorted(best["utility"].items())
        if _reading(cell["difference"], cell["ci95"]) == "down"
    ]
    open_ = [
        task
        for task, cell in sorted(best["utility"].items())
        if _reading(cell["difference"], cell["ci95"]) == "open"
    ]
    cost = f"it costs {'; '.join(costs)}" if costs else "no cost was shown"
    left = f" (no conclusion for {'; '.join(open_)})" if open_ else ""
    return (
        f"Of {count(tried, 'change')}, {CHANGES[best['change']]} in place of {best['component']} lowers "
        f"identification{whom} most: {_attack(best)}; {cost}{left}.{_left(known or entries, best)}"
    )


def _left(entries: Sequence[Row], best: Row) -> str:
    """Say what the strongest attacker still finds after the best change, which another attack may be."""
    same = [
        entry
        for entry in entries
        if all(entry[key] == best[key] for key in ("component", "change", "metric"))
        and entry["after"] is not None
    ]
    if low_is_risky(best["metric"]) or not same:
        return ""
    worst = max(sorted(same, key=_key), key=lambda entry: float(entry["after"]))
    return f" The strongest of them still reaches {figure(worst['after'], worst['metric'])} ({_name(worst['attack'])})."


def _figures(row: Row) -> dict[str, Any]:
    metric = row["metric"]
    utility = {
        task: with_interval(cell["difference"], cell["ci95"], f"{_UTILITY} difference")
        for task, cell in row["utility"].items()
    }
    return {
        "component": row["component"], "change": CHANGES[row["change"]], "attack": row["attack"], "metric": metric,
        "before": figure(row["before"], metric), "after": figure(row["after"], metric),
        "difference": with_interval(row["difference"], row["ci95"], f"{metric} difference"),
        "utility": utility, "n": count(row["n_participants"]), "notes": row["notes"] or "",
    }  # fmt: skip
