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
    wave = component.split(",")[0]
    place = _ORDER.index(wave) if wave in _ORDER else len(_ORDER)
    return (place, component, list(CHANGES).index(change), entry["attack"], entry["metric"])


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
    """Return the change that leaves the strongest attacker least, what it costs, and from how many it was chosen.

    Only attackers who know of the change count: it shows in what is shared. A change is worth what it leaves
    the strongest of them, who may be another one than before; putting off a weaker one protects nobody.
    """
    strongest = _strongest(entries)
    tried = count(len(strongest), "change")
    if not strongest:
        return "No change could be measured against attackers who know of it."
    sure = [row for row in strongest if _reading(row["difference"], row["ci95"]) == "down"]
    if not sure:
        return (
            "No change tried here lowers what the strongest attacker reaches: "
            f"of {tried}, none has an interval of that attacker's difference that excludes 0."
        )
    best = min(sure, key=lambda row: float(row["after"]))
    metric = best["metric"]
    return (
        f"Of {tried} tried, {len(sure)} {'lower' if len(sure) > 1 else 'lowers'} what the strongest attacker "
        f"who knows of the change reaches. Least is left by {CHANGES[best['change']]} in place of "
        f"{best['component'].replace(', ', ' between ')}: the strongest is then {_name(best['attack'])}, at "
        f"{metric} {figure(best['after'], metric)}, before {figure(best['before'], metric)}, "
        f"{_by(best, metric)}; {_cost(best)}. The best of {tried}, chosen on the same people, so optimistic."
    )


def _strongest(entries: Sequence[Row]) -> list[Row]:
    """Return for every change the adapted attacker who reaches most after it.

    A change that an attacker wasn't measured on is left out: that attacker may be the strongest.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(entries, key=_key):
        if row["attack"].endswith(ADAPTED) and is_rate(row["metric"]) and row["after"] is not None:
            groups.setdefault((row["component"], row["change"]), []).append(row)
    attackers = {row["attack"] for rows in groups.values() for row in rows}
    return [
        max(rows, key=lambda row: float(row["after"]))
        for rows in groups.values()
        if {row["attack"] for row in rows} == attackers
    ]


def _cost(row: Row) -> str:
    """Say what a change costs; where nothing could be measured, that it wasn't."""
    read = {task: _reading(cell["difference"], cell["ci95"]) for task, cell in sorted(row["utility"].items())}
    named = {
        reading: [task for task, found in read.items() if found == reading] for reading in ("open", "absent")
    }
    if len(named["absent"]) == len(read):
        return "utility was not measured"
    costs = [_task(task, row["utility"][task]) for task, found in read.items() if found == "down"]
    left = [f"no conclusion for {'; '.join(named['open'])}"] * bool(named["open"])
    left += [f"not measured for {'; '.join(named['absent'])}"] * bool(named["absent"])
    cost = f"it costs {'; '.join(costs)}" if costs else "no cost was shown"
    return cost + (f" ({', '.join(left)})" if left else "")


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
