"""Arithmetic of budgets: what charges cost together, and how much more would fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from client.chain import Charge
from client.refusal import Overspend
from transecg_core.privacy.accounting import Charges, Mechanism, Unit, epsilon, epsilon_participant

Scope = Literal["run", "lifetime"]
MOST_ROUNDS = 10_000
"""`rounds_that_fit` looks no further."""


@dataclass(frozen=True)
class Budget:
    """The most that may be spent: `epsilon` at `delta`, for a person or for a window.

    ``scope`` says which charges count: those of the charge's own run, or all in the file.
    """

    epsilon: float
    delta: float
    unit: Unit = "participant"
    scope: Scope = "lifetime"


def steps_of(charges: Sequence[Charge]) -> list[tuple[Mechanism, int]]:
    """Return what the accountant composes."""
    return [(charge.mechanism, charge.steps) for charge in charges]


def cost(mech_steps: Charges, budget: Budget) -> float:
    """Return the composed epsilon in the budget's own unit, at its own delta."""
    if budget.unit == "window":
        return epsilon(mech_steps, budget.delta)
    return epsilon_participant(mech_steps, budget.delta)


def spent(charges: Sequence[Charge], delta: float) -> tuple[float | None, float]:
    """Return (epsilon for a window, epsilon for a participant) of some charges.

    The window epsilon is None as soon as a participant mechanism was charged: its adjacency
    says nothing about one window of somebody who stays.
    """
    pairs = steps_of(charges)
    window = epsilon(pairs, delta) if all(m.unit == "window" for m, _ in pairs) else None
    return window, epsilon_participant(pairs, delta)


def counted(charges: Sequence[Charge], run_id: str, budget: Budget) -> list[tuple[Mechanism, int]]:
    """Return the charges that count against `budget` for the run `run_id`."""
    return steps_of([c for c in charges if budget.scope == "lifetime" or c.key.run_id == run_id])


def refuse_overspend(
    charges: Sequence[Charge], run_id: str, mechanism: Mechanism, steps: int, budget: Budget
) -> None:
    """Refuse `steps` more of `mechanism` if they would exceed `budget`.

    Raises
    ------
    Overspend
        With what it would come to.
    """
    total = cost([*counted(charges, run_id, budget), (mechanism, steps)], budget)
    if total > budget.epsilon:
        raise Overspend(
            f"budget: {budget.scope}",
            f"{steps} steps at sigma {mechanism.sigma:.4g} would bring the {budget.scope}'s {budget.unit} epsilon to "
            f"{total:.3g}, over the budget of {budget.epsilon:g} at delta {budget.delta:g}; nothing was charged",
        )


def rounds_that_fit(
    mech_steps: Charges, mechanism: Mechanism, steps: int, budget: Budget, most: int = MOST_ROUNDS
) -> int:
    """Return how many more rounds of `steps` steps fit into `budget`; `most` at most."""

    def fits(rounds: int) -> bool:
        return cost([*mech_steps, (mechanism, rounds * steps)], budget) <= budget.epsilon

    if not fits(1):
        return 0
    low, high = 1, 2  # fits(low) holds
    while high <= most and fits(high):
        low, high = high, 2 * high
    high = min(high, most + 1)  # more than `most` is not asked
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
