"""What a ledger says, summed up by run and over its life: for people, and as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from client.chain import Charge
from client.ledger import Contents
from client.spending import MOST_ROUNDS, Budget, rounds_that_fit, spent, steps_of
from transecg_core.errors import UserError
from transecg_core.privacy.accounting import Mechanism
from transecg_core.text import plural


@dataclass(frozen=True)
class RunAccount:
    """One run in a ledger.

    Attributes
    ----------
    rounds
        Rounds charged; a description or an attribution without a guarantee is charged as round 0, which is none.
    settings
        Distinct mechanisms with the steps that each ran, in order of first use.
    epsilon_person, epsilon_window
        Of this run alone, at the account's delta; the window's is None where a participant was the unit.
    """

    run_id: str
    rounds: int
    charges: int
    steps: int
    settings: tuple[tuple[Mechanism, int], ...]
    epsilon_person: float
    epsilon_window: float | None
    first: float
    last: float


@dataclass(frozen=True)
class LedgerAccount:
    """One ledger, summed up.

    Attributes
    ----------
    epsilon_person
        Of everything in it, composed; infinite after a round without a guarantee.
    more_rounds
        How many more rounds of the last charge's setting fit into `budget`; None without one.
    """

    contents: Contents
    runs: tuple[RunAccount, ...]
    delta: float
    epsilon_person: float
    budget: Budget | None
    more_rounds: int | None

    @property
    def left(self) -> float | None:
        """Epsilon up to the budget; not what a further run may cost, since costs don't simply add."""
        return None if self.budget is None else max(0.0, self.budget.epsilon - self.epsilon_person)

    @property
    def overspent(self) -> bool:
        """Whether more was spent than the budget allows."""
        return self.budget is not None and self.epsilon_person > self.budget.epsilon


def account(contents: Contents, delta: float, budget: Budget | None = None) -> LedgerAccount:
    """Sum a ledger up, recomputing every epsilon from the charges."""
    charges, more = contents.charges, None
    if budget is not None and charges:
        last = charges[-1]
        more = rounds_that_fit(steps_of(charges), last.mechanism, last.steps, budget)
    runs = dict.fromkeys(charge.key.run_id for charge in charges)
    return LedgerAccount(
        contents, tuple(_run(run, [c for c in charges if c.key.run_id == run], delta) for run in runs), delta,
        spent(charges, delta)[1], budget, more,
    )  # fmt: skip


def _run(run: str, charges: Sequence[Charge], delta: float) -> RunAccount:
    settings: dict[Mechanism, int] = {}
    for charge in charges:
        settings[charge.mechanism] = settings.get(charge.mechanism, 0) + charge.steps
    window, person = spent(charges, delta)
    times = [charge.unix_time for charge in charges]
    return RunAccount(
        run, len({charge.key.round for charge in charges} - {0}), len(charges), sum(settings.values()),
        tuple(settings.items()), person, window, min(times), max(times),
    )  # fmt: skip


def find(paths: Iterable[Path]) -> list[Path]:
    """Return the ledger files that `paths` name: files, or folders with ``*.sqlite`` in them.

    Raises
    ------
    UserError
        If one is missing, or a folder holds none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        inside = sorted(path.glob("*.sqlite")) if path.is_dir() else [path]
        if not path.exists():
            raise UserError(f"ledger {path}: no such file or folder")
        if not inside:
            raise UserError(f"ledger {path}: no *.sqlite in this folder; {_where_instead(path)}")
        found |= dict.fromkeys(inside)
    return list(found)


def _where_instead(folder: Path) -> str:
    """Return what to give instead of a folder without ledgers, which may well be a run's."""
    if (folder / "ledger").is_dir():
        return f"it is a run's, whose ledgers are in {folder / 'ledger'}"
    if (folder / "report.json").is_file():
        return (
            "it is a run's, whose ledgers lie elsewhere: in the folder that ledger=DIR named, if it kept any"
        )
    return "give the ledger itself"


def as_data(found: LedgerAccount) -> dict[str, Any]:
    """Return an account as JSON-ready data; an unbounded epsilon is null."""
    return {
        "ledger": str(found.contents.path),
        "site": found.contents.site,
        "simulated_noise": found.contents.simulated,
        "charges": len(found.contents.charges),
        "head": found.contents.head,
        "delta": found.delta,
        "epsilon_participant": _finite(found.epsilon_person),
        "bounded": math.isfinite(found.epsilon_person),
        "budget": None if found.budget is None else found.budget.epsilon,
        "left": found.left,
        "more_rounds_of_last_setting": found.more_rounds,
        "runs": [_run_data(run) for run in found.runs],
    }


def _run_data(run: RunAccount) -> dict[str, Any]:
    return {
        "run": run.run_id, "rounds": run.rounds, "charges": run.charges, "steps": run.steps,
        "settings": [
            {"unit": m.unit, "sigma": m.sigma, "q": m.q, "max_windows_per_participant": m.max_windows, "steps": steps}
            for m, steps in run.settings
        ],
        "epsilon_participant": _finite(run.epsilon_person),
        "epsilon_window": None if run.epsilon_window is None else _finite(run.epsilon_window),
        "first": utc(run.first), "last": utc(run.last),
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def utc(unix_time: float) -> str:
    """Return a time as ISO 8601 in UTC, to the second."""
    try:
        return datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # a clock may say anything
        return f"unix {unix_time:g}"


CHARGE_COLUMNS = (
    "ledger", "site", "noise", "number", "run", "round", "unit", "q", "sigma", "max_windows_per_participant", "steps",
    "time", "code_hash", "input_hash", "update_hash", "chain",
)  # fmt: skip
"""Columns of an export: every charge, without the update's bytes."""


def charge_rows(contents: Contents) -> list[dict[str, Any]]:
    """Return one row per charge, under `CHARGE_COLUMNS`."""
    noise = "seeded: protects nobody" if contents.simulated else "unseeded"
    return [
        dict(zip(CHARGE_COLUMNS, (
            contents.path.name, charge.key.site, noise, charge.number, charge.key.run_id, charge.key.round,
            charge.mechanism.unit, charge.mechanism.q, charge.mechanism.sigma, charge.mechanism.max_windows,
            charge.steps, utc(charge.unix_time), charge.key.code_hash, charge.key.input_hash, charge.update_hash,
            charge.chain,
        ), strict=True))
        for charge in contents.charges
    ]  # fmt: skip


def page(found: LedgerAccount) -> str:
    """Return an account as text for people."""
    contents = found.contents
    lines = [
        f"ledger {contents.path}",
        f"site {contents.site}, {plural(len(contents.charges), 'charge')} in {plural(len(found.runs), 'run')}",
        f"head {contents.head}",
        *([contents.mark] if contents.mark else []),
    ]
    head = (
        "run",
        "rounds",
        "charges",
        "steps",
        "unit",
        "sigma",
        "q",
        "person eps",
        "window eps",
        "last charge",
    )
    rows = [row for run in found.runs for row in _rows(run)]
    if rows:
        lines += ["", *(f"  {line}" for line in aligned([head, *rows], left=(0, 4, 9))), ""]
    lines += [f"lifetime: person epsilon {number(found.epsilon_person)} at delta {found.delta:g}"]
    if found.budget is not None:
        lines.append(_budget_line(found))
    return "\n".join(lines)


def _rows(run: RunAccount) -> list[tuple[str, ...]]:
    """Return one row per setting of a run; its epsilons, which cover them all, in the first."""
    rows: list[tuple[str, ...]] = []
    for index, (mechanism, steps) in enumerate(run.settings):
        first = index == 0
        window = "-" if run.epsilon_window is None else number(run.epsilon_window)
        rows.append((
            run.run_id[:8] if first else "", str(run.rounds) if first else "", str(run.charges) if first else "",
            str(steps), mechanism.unit, f"{mechanism.sigma:.4g}", f"{mechanism.q:.4g}",
            number(run.epsilon_person) if first else "", window if first else "", utc(run.last) if first else "",
        ))  # fmt: skip
    return rows


def _budget_line(found: LedgerAccount) -> str:
    budget = found.budget
    if budget is None:
        return ""
    if found.overspent:
        return f"budget {budget.epsilon:g}: OVERSPENT; no run fits"
    line = f"budget {budget.epsilon:g}: {number(found.left or 0.0)} left"
    if not found.contents.charges:
        return line
    last = found.contents.charges[-1]
    more = f"over {MOST_ROUNDS} more rounds of the last setting fit"
    if found.more_rounds is not None and found.more_rounds < MOST_ROUNDS:
        rounds, verb = plural(found.more_rounds, "more round"), "fits" if found.more_rounds == 1 else "fit"
        more = f"{rounds} of the last setting {verb}"
    return f"{line}; {more} ({last.steps} steps, sigma {last.mechanism.sigma:.4g}, q {last.mechanism.q:.4g})"


def number(value: float) -> str:
    """Return an epsilon for people."""
    return "infinite" if math.isinf(value) else f"{value:.3f}"


def aligned(rows: Sequence[Sequence[str]], left: Iterable[int] = ()) -> list[str]:
    """Return rows as lines of aligned columns; those of `left` to the left, the others to the right."""
    left = set(left)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if k in left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
