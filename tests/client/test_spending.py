"""What charges cost together, and how many more would fit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.chain import Charge, ReleaseKey
from client.refusal import Overspend
from client.spending import Budget, cost, refuse_overspend, rounds_that_fit, spent
from transecg_core.privacy.accounting import Mechanism, epsilon

DELTA = 1e-5
PERSON = Mechanism("participant", 1.0, 8.0, 48)  # without sampling: fast, and known in closed form


def charge(run: str, steps: int, mechanism: Mechanism = PERSON) -> Charge:
    return Charge(1, ReleaseKey(run, 1, "a", "c", "w"), mechanism, steps, 0.0, "", "")


@settings(max_examples=15, deadline=None)
@given(before=st.integers(0, 30), steps=st.integers(1, 5), most=st.integers(1, 40), over=st.floats(0.01, 4.0))
def test_what_fits_fits_and_one_round_more_does_not(before: int, steps: int, most: int, over: float) -> None:
    spent_before = [(PERSON, before)] if before else []
    budget = Budget(cost(spent_before, Budget(1, DELTA)) + over, DELTA)
    rounds = rounds_that_fit(spent_before, PERSON, steps, budget, most)
    assert 0 <= rounds <= most
    assert epsilon([(PERSON, before + rounds * steps)], DELTA) <= budget.epsilon
    if rounds < most:
        assert epsilon([(PERSON, before + (rounds + 1) * steps)], DELTA) > budget.epsilon


def test_no_noise_fits_nowhere() -> None:
    assert rounds_that_fit([], Mechanism("participant", 1.0, 0.0, 1), 1, Budget(1e9, DELTA)) == 0


def test_a_run_s_budget_forgets_other_runs_and_a_lifetime_s_does_not() -> None:
    charges = [charge("one", 10), charge("two", 10)]
    ten, twenty = (epsilon([(PERSON, steps)], DELTA) for steps in (10, 20))
    refuse_overspend(charges, "three", PERSON, 10, Budget(ten, DELTA, scope="run"))
    refuse_overspend(charges, "two", PERSON, 10, Budget(twenty, DELTA, scope="run"))
    for run, budget in (("two", Budget(ten, DELTA, scope="run")), ("three", Budget(twenty, DELTA))):
        with pytest.raises(Overspend, match=f"the {budget.scope}'s participant epsilon") as error:
            refuse_overspend(charges, run, PERSON, 10, budget)
        assert error.value.code == f"budget: {budget.scope}"


def test_a_window_s_budget_counts_windows() -> None:
    window = Mechanism("window", 1.0, 8.0, 1)
    assert cost([(window, 5)], Budget(1, DELTA, "window")) == epsilon([(window, 5)], DELTA)
    assert spent([charge("r", 5, window)], DELTA) == (epsilon([(window, 5)], DELTA),) * 2
    assert spent([charge("r", 5, window), charge("r", 5)], DELTA)[0] is None
