"""Whether a site's row of a report and the charges in its ledger tell the same story of one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from client.ledger import Charge

Absences = Sequence[str | None]
"""Round by round, why the site was absent; None where it took part. Empty where the report has no training log."""

_SAME = 1e-9
"""Part by which a number may change on its way through the report."""
_SEEN = "refused: "
"""How the server begins the reason of an absence whose update reached it: what it refused, it has seen."""


def contradictions(
    row: Mapping[str, Any], unit: str, charges: Sequence[Charge], absent: Absences
) -> tuple[str, ...]:
    """Return where report and ledger say different things about what was run.

    The report counts every round as planned, by one mechanism. So each round that the site took part in must stand in
    the ledger once, with that mechanism and its share of the steps; rounds may lack only where no update came.
    """
    return (*_steps(row, charges, absent), *_rounds(row, charges, absent), *_mechanisms(row, unit, charges))


def _needed(absent: Absences) -> list[int]:
    """Return the rounds (from 1) whose update the server has seen."""
    return [n for n, why in enumerate(absent, start=1) if why is None or why.startswith(_SEEN)]


def _steps(row: Mapping[str, Any], charges: Sequence[Charge], absent: Absences) -> Iterator[str]:
    taken, planned = sum(charge.steps for charge in charges), row["steps"] or 0
    least = planned * len(_needed(absent)) / len(absent) if absent else planned
    if not least - _SAME <= taken <= planned:
        yield f"steps: the report says {row['steps']}, the ledger {taken}"


def _rounds(row: Mapping[str, Any], charges: Sequence[Charge], absent: Absences) -> Iterator[str]:
    times = Counter(charge.key.round for charge in charges)
    yield from (f"round {n}: charged {k} times" for n, k in sorted(times.items()) if k > 1)
    if not absent:
        return
    yield from (f"round {n}: took part, and no charge" for n in _needed(absent) if n not in times)
    yield from (
        f"round {n}: charged, and the run has {len(absent)}"
        for n in sorted(times)
        if not 1 <= n <= len(absent)
    )
    share = (row["steps"] or 0) / len(absent)
    wrong = {charge.steps for charge in charges if abs(charge.steps - share) > _SAME}
    yield from (f"steps of a round: the report says {share:g}, the ledger {steps}" for steps in sorted(wrong))


def _mechanisms(row: Mapping[str, Any], unit: str, charges: Sequence[Charge]) -> Iterator[str]:
    found: dict[str, set[float]] = {
        "sigma": {charge.mechanism.sigma for charge in charges},
        "q": {charge.mechanism.q for charge in charges},
        "max_windows_per_participant": {charge.mechanism.max_windows for charge in charges},
    }
    for key, values in found.items():
        said = row[key]
        wrong = sorted(v for v in values if said is None or abs(said - v) > _SAME * abs(v))
        yield from (f"{key}: the report says {said}, the ledger {value}" for value in wrong)
    units = sorted({charge.mechanism.unit for charge in charges} - {unit})
    yield from (f"unit: the report says {unit}, the ledger {other}" for other in units)


def planned_only(row: Mapping[str, Any], charges: Sequence[Charge], absent: Absences) -> tuple[str, ...]:
    """Return what to say of rounds that the report counts and the ledger need not hold."""
    taken, took = sum(charge.steps for charge in charges), sum(why is None for why in absent)
    if took == len(absent) or taken >= row["steps"]:
        return ()
    if not charges:
        return (
            f"nothing was recounted: took part in none of {len(absent)} rounds, and no charge is of this run",
        )
    return (
        f"the report's {row['steps']} steps are planned; took part in {took} of {len(absent)} rounds, "
        f"{taken} steps are charged",
    )


def lifetime_problems(row: Mapping[str, Any], run: str, charges: Sequence[Charge]) -> tuple[str, ...]:
    """Return where a ledger that outlives its run can't be the one that the site told about when it last answered.

    The last charge that it counted then was this run's own, or one of a run beside it.
    """
    known = (row.get("lifetime") or {"events": 0})["events"]
    if len(charges) < known:
        return (f"the site counted {known} charges, its ledger holds {len(charges)}: charges are missing",)
    if known == 0:
        return ()
    last = charges[known - 1].key.run_id
    began = next(charge.number for charge in charges if charge.key.run_id == last)
    own = [charge.number for charge in charges if charge.key.run_id == run]
    if last == run or (own and own[-1] > began):
        return ()
    return (
        f"run: the last of the {known} charges that the site counted is of run {last}, which had nothing to do with "
        f"run {run}; is the number in run-id right?",
    )
