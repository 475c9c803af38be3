"""The accountant against closed forms, independent accountants, special cases and Monte Carlo."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dp_accounting import get_epsilon_gaussian
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from transecg_core.errors import UserError
from transecg_core.privacy import losses as privacy_losses
from transecg_core.privacy.accounting import (
    SMALLEST_DELTA,
    Mechanism,
    calibrate_sigma,
    check_delta,
    epsilon,
    epsilon_participant,
    participant_account,
    trade_off,
)
from transecg_core.privacy.audit.least import least_epsilon
from transecg_core.training.private import opacus_epsilon

DELTA = 1e-5


def window(q: float, sigma: float, cap: int = 1) -> Mechanism:
    return Mechanism("window", q, sigma, cap)


def person(q: float, sigma: float) -> Mechanism:
    return Mechanism("participant", q, sigma, 48)


@pytest.mark.parametrize(("sigma", "steps"), [(1.0, 1), (4.0, 50), (20.0, 480), (0.7, 3)])
def test_without_sampling_epsilon_is_the_analytic_gaussian_s(sigma: float, steps: int) -> None:
    exact = get_epsilon_gaussian(sigma / math.sqrt(steps), DELTA)
    claimed = epsilon([(person(1.0, sigma), steps)], DELTA)
    assert exact <= claimed <= exact * 1.002


@pytest.mark.parametrize("miss", [1e-16, 2e-13, 5e-12, 1e-10, 2e-9, 1e-6])
@pytest.mark.parametrize("sigma", [0.1, 1.0, 8.0])
def test_somebody_nearly_always_drawn_costs_what_somebody_always_drawn_does(
    miss: float, sigma: float
) -> None:
    always = epsilon([(person(1.0, sigma), 3)], DELTA)
    assert epsilon([(person(1 - miss, sigma), 3)], DELTA) == pytest.approx(always, rel=1e-3)


@pytest.mark.parametrize("steps", [95, 105, 200, 1000])
def test_beyond_what_e_to_the_epsilon_can_hold_it_is_still_the_analytic_gaussian_s(steps: int) -> None:
    exact = get_epsilon_gaussian(0.3 / math.sqrt(steps), DELTA)  # 665, 728, 1311 and 6004; e^710 overflows
    claimed = epsilon([(person(1.0, 0.3), steps)], DELTA)
    assert exact <= claimed <= exact * 1.002


@pytest.mark.parametrize(("sigma", "steps"), [(3.8, 40), (7.81, 40), (20.0, 40)])
def test_at_the_smallest_delta_it_is_still_an_upper_bound_and_below_it_none_is_claimed(
    sigma: float, steps: int
) -> None:
    exact = get_epsilon_gaussian(sigma / math.sqrt(steps), SMALLEST_DELTA)
    claimed = epsilon([(person(1.0, sigma), steps)], SMALLEST_DELTA)
    assert exact <= claimed <= exact * 1.01
    with pytest.raises(ValueError, match="is not in"):
        epsilon([(person(1.0, sigma), steps)], SMALLEST_DELTA / 2)


@pytest.mark.parametrize(
    ("sigma", "cap", "expected"),
    [(1.0, 1, 12.9), (2.0, 1, 4.33), (2.0, 10, 89.9), (4.0, 10, 30.1), (8.0, 10, 11.8), (8.0, 50, 114)],
)
def test_known_answers_for_800_steps_at_rate_064(sigma: float, cap: int, expected: float) -> None:
    assert epsilon_participant([(window(0.064, sigma, cap), 800)], DELTA) == pytest.approx(
        expected, rel=0.006
    )


@pytest.mark.parametrize(
    ("q", "sigma", "steps"),
    [
        (0.03, 1.0, 480),
        (0.25, 3.0, 480),
        (0.5, 4.0, 50),
        (0.064, 2.0, 800),
        (0.5, 6.63, 480),
        (1.0, 5.0, 100),
    ],
)
def test_opacus_accountants_agree_within_their_bands(q: float, sigma: float, steps: int) -> None:
    claimed = epsilon([(person(q, sigma), steps)], DELTA)
    prv = opacus_epsilon(person(q, sigma), steps, DELTA, "prv")
    rdp = opacus_epsilon(person(q, sigma), steps, DELTA, "rdp")
    # PRV reports its upper estimate, whose stated absolute error is .01 to either side.
    assert abs(prv - claimed) <= max(0.02 * claimed, 0.02)
    assert 0.99 * claimed <= rdp <= 1.25 * claimed


def test_the_bands_would_notice_a_wrong_rate() -> None:
    claimed = epsilon([(person(0.03, 1.0), 480)], DELTA)
    assert abs(opacus_epsilon(person(0.033, 1.0), 480, DELTA) - claimed) > 0.02 * claimed


def test_composition_over_rounds_equals_one_shot_and_not_one_round() -> None:
    mechanism = window(0.064, 1.0)
    rounds = epsilon([(mechanism, 16)] * 50, DELTA)
    assert rounds == epsilon([(mechanism, 800)], DELTA)
    # What an accountant that forgets earlier rounds would print.
    assert epsilon([(mechanism, 16)], DELTA) < 0.2 * rounds


def test_mixed_settings_cost_more_than_either_and_no_more_than_the_worse_one_throughout() -> None:
    a, b = person(0.3, 4.0), person(0.5, 4.0)
    mixed = epsilon([(a, 100), (b, 50)], DELTA)
    assert max(epsilon([(a, 100)], DELTA), epsilon([(b, 50)], DELTA)) < mixed < epsilon([(b, 150)], DELTA)


@pytest.mark.parametrize("sigma", [0.8, 2.0])
def test_one_window_per_person_makes_both_views_equal(sigma: float) -> None:
    charges = [(window(0.03, sigma, 1), 480)]
    assert epsilon_participant(charges, DELTA) == epsilon(charges, DELTA)


def test_mixture_with_one_shift_equals_the_subsampled_gaussian_that_the_library_computes_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = epsilon([(person(0.2, 1.5), 60)], DELTA)
    monkeypatch.setattr(privacy_losses, "_is_single", lambda shift: False)
    for cache in (privacy_losses.composed_loss, privacy_losses._step_pld):
        cache.cache_clear()
    by_mixture = epsilon([(person(0.2, 1.5), 60)], DELTA)
    for cache in (privacy_losses.composed_loss, privacy_losses._step_pld):
        cache.cache_clear()
    assert by_mixture == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("delta", [1e-5, 1e-10])  # the second keeps a chance of 1e-16 that no window is drawn
def test_where_some_window_is_nearly_always_drawn_a_person_s_epsilon_is_still_just_above_the_least(
    delta: float,
) -> None:
    charges = ((window(256 / 480, 0.9, 48), 100),)  # overflows on the way, too
    least = least_epsilon(charges, delta, "participant")
    assert least <= epsilon_participant(charges, delta) <= least * 1.001


@pytest.mark.parametrize(("cap", "sigma", "steps"), [(7, 30.0, 20), (48, 200.0, 100)])
def test_all_windows_drawn_is_one_gaussian_with_the_cap_as_its_shift(
    cap: int, sigma: float, steps: int
) -> None:
    exact = get_epsilon_gaussian(sigma / (cap * math.sqrt(steps)), DELTA)
    claimed = epsilon_participant([(window(1.0, sigma, cap), steps)], DELTA)
    assert exact <= claimed <= exact * 1.002


def _monte_carlo_deltas(cap: int, q: float, sigma: float, steps: int, eps: float) -> tuple[float, float]:
    """Lower 99.9 % limits of delta(eps) in the remove and the add direction, from sampled losses."""
    rng = np.random.default_rng(5)
    counts = np.arange(cap + 1)
    weights = stats.binom.pmf(counts, cap, q)

    def loss(x: np.ndarray) -> np.ndarray:
        ratio: np.ndarray = np.log(np.exp((counts * x[..., None] - counts**2 / 2) / sigma**2) @ weights)
        return ratio.sum(axis=1)

    n = 40_000
    noise = sigma * rng.standard_normal((n, steps))
    present = loss(noise + rng.binomial(cap, q, (n, steps)))
    absent = -loss(noise)
    limits = []
    for losses in (present, absent):
        excess = np.maximum(0, -np.expm1(eps - losses))
        limits.append(float(excess.mean() - 3.1 * excess.std() / math.sqrt(n)))
    return limits[0], limits[1]


def test_mixture_of_gaussians_against_monte_carlo() -> None:
    cap, q, sigma, steps, delta = 10, 0.1, 4.0, 12, 0.02
    claimed = epsilon_participant([(window(q, sigma, cap), steps)], delta)
    remove, add = _monte_carlo_deltas(cap, q, sigma, steps, claimed)
    assert max(remove, add) <= delta  # an upper bound
    remove, add = _monte_carlo_deltas(cap, q, sigma, steps, 0.85 * claimed)
    assert max(remove, add) > delta  # and not a loose one


def test_a_person_with_many_windows_costs_more_than_windows_times_the_window_epsilon() -> None:
    charges = [(window(0.064, 2.0, 10), 800)]
    assert epsilon_participant(charges, DELTA) > 10 * epsilon(charges, DELTA)


def test_hopeless_settings_get_a_finite_bound_that_says_how_it_was_found() -> None:
    account = participant_account([(window(0.5, 0.01, 10_000), 480)], DELTA)
    assert account.method == "closed bound without sampling"
    assert math.isfinite(account.epsilon)
    assert account.epsilon > 1e6
    assert participant_account([(window(0.03, 0.6, 48), 480)], DELTA).method == "PLD"


def test_no_noise_is_no_guarantee_and_no_step_costs_nothing() -> None:
    assert epsilon([(person(0.5, 0.0), 1)], DELTA) == math.inf
    assert epsilon([(person(0.5, 0.0), 0)], DELTA) == 0.0
    assert epsilon([], DELTA) == 0.0


def test_units_that_share_no_guarantee_are_not_added() -> None:
    mixed = [(window(0.03, 2.0), 10), (person(0.5, 4.0), 10)]
    with pytest.raises(ValueError, match="no common unit"):
        epsilon(mixed, DELTA)
    assert epsilon_participant(mixed, DELTA) > epsilon([mixed[1]], DELTA)


@settings(max_examples=4, deadline=None)
@given(
    q=st.floats(0.01, 1.0),
    target=st.floats(0.5, 30.0),
    steps=st.integers(1, 500),
)
def test_calibrated_sigma_meets_the_target_and_is_the_smallest(q: float, target: float, steps: int) -> None:
    sigma = calibrate_sigma("participant", q, steps, target, DELTA, 48)
    assert epsilon([(person(q, sigma), steps)], DELTA) <= target
    if sigma > 0.0501:
        assert epsilon([(person(q, 0.999 * sigma), steps)], DELTA) > target


@pytest.mark.parametrize(
    "bad", [{"q": 0.0}, {"q": 1.1}, {"sigma": -1.0}, {"sigma": math.nan}, {"max_windows": 0}]
)
def test_impossible_mechanisms_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad)).replace("q", "rate").replace("sigma", "noise")):
        Mechanism(**{"unit": "window", "q": 0.1, "sigma": 1.0, "max_windows": 4, **bad})  # type: ignore[arg-type]


def test_delta_must_stay_below_a_tenth_of_one_person() -> None:
    check_delta(1e-3, 100)
    with pytest.raises(UserError, match=r"at most 1/\(10 n\) = 0.001"):
        check_delta(1.01e-3, 100)


def test_trade_off_is_the_gaussian_s_closed_form() -> None:
    fpr = np.array([0.0, 1e-3, 0.05, 0.3, 0.9, 1.0])
    exact = stats.norm.cdf(stats.norm.isf(fpr) - 2.0)
    curve = trade_off([(person(1.0, 5.0), 100)], fpr)
    assert np.all(curve <= exact)
    np.testing.assert_allclose(curve, exact, atol=1e-4)


def test_trade_off_is_the_weaker_direction_of_one_subsampled_step() -> None:
    q, sigma = 0.3, 1.0
    cut = np.linspace(-8, 8, 4001)
    out, present = (
        stats.norm.sf(cut / sigma),
        (1 - q) * stats.norm.sf(cut / sigma) + q * stats.norm.sf((cut - 1) / sigma),
    )
    fpr = np.array([0.01, 0.1, 0.4, 0.8])
    member = 1 - np.interp(fpr, out[::-1], present[::-1])  # H0: absent
    absent = 1 - np.interp(fpr, (1 - present), (1 - out))  # H0: present
    curve = trade_off([(person(q, sigma), 1)], fpr)
    assert np.all(curve <= np.minimum(member, absent) + 1e-6)
    # The two directions cross near .4, where the bound is their convex hull: a little lower.
    np.testing.assert_allclose(curve, np.minimum(member, absent), atol=4e-3)
    np.testing.assert_allclose(curve[[0, 1, 3]], np.minimum(member, absent)[[0, 1, 3]], atol=1e-4)


def test_trade_off_without_noise_or_without_steps() -> None:
    fpr = np.linspace(0, 1, 5)
    np.testing.assert_array_equal(trade_off([(person(0.5, 0.0), 3)], fpr), np.zeros(5))
    np.testing.assert_array_equal(trade_off([], fpr), 1 - fpr)
