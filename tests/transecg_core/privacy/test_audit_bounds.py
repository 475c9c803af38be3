"""Bounds of the audits, against published and hand-computed answers, and against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.privacy.audit.bounds import epsilon_lower_bound, one_run_lower_bound, one_run_p_value


def test_clopper_pearson_known_answers() -> None:
    # Perfect guesses on 1000 + 1000 draws: log((.9947 - .05) / .0053).
    assert epsilon_lower_bound(1000, 0, 1000, 0.05, 0.99) == pytest.approx(5.18, abs=0.01)
    assert epsilon_lower_bound(300, 300, 1000, 0.05, 0.99) == 0.0
    assert epsilon_lower_bound(0, 0, 1000, 0.05, 0.99) == 0.0


@pytest.mark.parametrize(
    ("canaries", "guesses", "correct", "delta", "printed"),
    [
        (1000, 100, 75, 1e-4, 0.673),  # arXiv 2305.08846, Appendix D
        (100_000, 1510, 1439, 1e-5, 2.675),  # section 7, cut after three digits
    ],
)
def test_one_run_bounds_of_the_paper(
    canaries: int, guesses: int, correct: int, delta: float, printed: float
) -> None:
    assert one_run_lower_bound(canaries, guesses, correct, delta, 0.95) == pytest.approx(printed, abs=1e-3)


def test_perfect_guesses_on_88_canaries_prove_no_more_than_3_4() -> None:
    # Pure privacy has the closed form p = 1 - confidence = (e^eps / (1 + e^eps))^88.
    exact = -math.log(0.05 ** (-1 / 88) - 1)
    assert one_run_lower_bound(88, 88, 88, 0.0, 0.95) == pytest.approx(exact, abs=1e-5)
    assert one_run_lower_bound(88, 88, 88, 1e-5, 0.95) == pytest.approx(3.36, abs=0.01)


def test_p_value_by_hand() -> None:
    # Two guesses, both right, delta .01, epsilon 0: 1/4 + 2 * 2 * .01 * max(P[W=1] / 1, P[W<2] / 2).
    assert one_run_p_value(2, 2, 2, 0.0, 0.01) == pytest.approx(0.25 + 0.04 * 0.5)
    assert one_run_p_value(5, 0, 0, 1.0, 0.01) == 1.0
    assert one_run_p_value(10, 10, 0, 0.0, 0.0) == 1.0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.data(), st.floats(0, 5), st.floats(0, 1e-2))
def test_p_value_falls_with_right_guesses_and_rises_with_epsilon_and_delta(
    guesses: int, data: st.DataObject, epsilon: float, delta: float
) -> None:
    correct = data.draw(st.integers(1, guesses))
    p = one_run_p_value(80, guesses, correct, epsilon, delta)
    assert 0 <= p <= 1
    assert p <= one_run_p_value(80, guesses, correct, epsilon + 0.5, 0.0) + 2 * 80 * delta + 1e-12
    assert p >= one_run_p_value(80, guesses, correct, epsilon, 0.0)
    bound = one_run_lower_bound(80, guesses, correct, delta, 0.95)
    assert bound == 0.0 or one_run_p_value(80, guesses, correct, bound, delta) <= 0.05


def test_randomised_response_is_accused_no_more_often_than_allowed() -> None:
    # The tight case: every guess is right with probability e^eps / (1 + e^eps).
    rng, epsilon, guesses = np.random.default_rng(0), 1.0, 100
    correct = rng.binomial(guesses, math.exp(epsilon) / (1 + math.exp(epsilon)), 2000)
    values, counts = np.unique(correct, return_counts=True)
    accused = sum(
        int(count)
        for value, count in zip(values, counts, strict=True)
        if one_run_lower_bound(guesses, guesses, int(value), 0.0, 0.95) > epsilon
    )
    assert 0 < accused / 2000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize(
    "wrong", [(10, 11, 5, 0.0, 0.0), (10, 5, 6, 0.0, 0.0), (10, 5, 4, -1.0, 0.0), (10, 5, 4, 0.0, 1.0)]
)
def test_impossible_counts_are_refused(wrong: tuple[int, int, int, float, float]) -> None:
    with pytest.raises(ValueError, match=r"need 0|epsilon|delta"):
        one_run_p_value(*wrong)
