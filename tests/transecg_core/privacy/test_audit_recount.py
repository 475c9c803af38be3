"""The recount: right books pass, cooked ones don't, and it doesn't take the audited code's word."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from transecg_core.model.heads import SiteModel
from transecg_core.privacy.accounting import (
    Mechanism,
    Unit,
    calibrate_sigma,
    epsilon,
    epsilon_participant,
)
from transecg_core.privacy.audit.books import CLAIMED, ROUNDS, STEPS, Bookkeeper, keep_books
from transecg_core.privacy.audit.broken import MECHANISM, RECOUNT
from transecg_core.privacy.audit.least import least_epsilon
from transecg_core.privacy.audit.observe import Seen, watching
from transecg_core.privacy.audit.recount import AGREEMENT, Book, pld_epsilon, recount
from transecg_core.training.local import TrainingSet, TrainLog
from transecg_core.training.sampling import PrivateSpec

PERSON = Mechanism("participant", 0.25, 2.0, 10)
DELTA = 1e-5


def book(charges: tuple[tuple[Mechanism, int], ...], claimed: float, **more: object) -> Book:
    return Book("a test", charges, claimed, DELTA, **more)  # type: ignore[arg-type]


def test_right_books_pass_and_the_bound_is_tight() -> None:
    kept = keep_books(Bookkeeper(), seed=0)
    claim = recount(kept)
    assert claim.holds
    assert claim.problems == ()
    assert claim.lower_bound == pytest.approx(CLAIMED, rel=2 * AGREEMENT)
    assert kept.seen is not None
    assert [seen.steps for seen in kept.seen] == [STEPS] * ROUNDS


def right_book(target: float, q: float, steps: int, delta: float = DELTA) -> Book:
    sigma = calibrate_sigma("participant", q, steps, target, delta, 48)
    charges = ((Mechanism("participant", q, sigma, 48), steps),)
    return Book("a right claim", charges, epsilon(charges, delta), delta)


def stands_just_above(right: Book, gap: float) -> None:
    claim = recount(right)
    assert claim.holds, claim
    assert claim.lower_bound > right.claimed * (1 - gap)
    # The audit has power at every setting: a claim that is too low by twice the gap is caught.
    assert not recount(Book("too low", right.charges, right.claimed * (1 - 2 * gap), right.delta)).holds


@pytest.mark.parametrize("steps", [10, 300])
@pytest.mark.parametrize("q", [0.01, 0.1, 1.0])
def test_a_right_claim_stands_just_above_the_bound(q: float, steps: int) -> None:
    for target in (0.05, 1.0):
        stands_just_above(right_book(target, q, steps), gap=2e-3)


@pytest.mark.audit
@pytest.mark.parametrize("steps", [10, 300])
@pytest.mark.parametrize("q", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("target", [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0])
def test_right_claims_over_the_whole_grid(target: float, q: float, steps: int) -> None:
    stands_just_above(right_book(target, q, steps), gap=2e-3)


def test_few_steps_at_a_large_delta_have_a_wider_gap() -> None:
    stands_just_above(right_book(0.1, 0.1, 300, delta=0.05), gap=2e-2)


def test_the_lower_bound_is_below_the_closed_form_of_the_gaussian() -> None:
    # Balle and Wang 2018, eq. 6, at sigma / sqrt(steps): q = 1 composes to one Gaussian.
    for sigma, steps in ((2.0, 1), (20.0, 100), (100.0, 30)):
        found = least_epsilon(((Mechanism("participant", 1.0, sigma, 1), steps),), DELTA, "participant")
        s = sigma / math.sqrt(steps)

        def delta(eps: float, s: float = s) -> float:
            phi = stats.norm.cdf
            return float(phi(0.5 / s - eps * s) - math.exp(eps) * phi(-0.5 / s - eps * s))

        assert delta(found) >= DELTA
        assert delta(found * 1.003) < DELTA


def test_the_lower_bound_of_a_person_s_windows_is_below_a_sampled_one() -> None:
    # One step, J ~ Binomial(8, .2): P[mixture] - e^eps P[alone] on loss > eps, integrated on a grid of its own.
    mechanism = Mechanism("window", 0.2, 2.0, 8)
    found = least_epsilon(((mechanism, 1),), DELTA, "participant")
    x = np.linspace(-20, 40, 600_001)
    mixed = sum(stats.binom(8, 0.2).pmf(j) * stats.norm.pdf(x, j, 2.0) for j in range(9))
    alone = stats.norm.pdf(x, 0, 2.0)

    def delta(eps: float) -> float:
        return float(np.trapezoid(np.clip(mixed - math.exp(eps) * alone, 0, None), x))

    assert delta(found) >= DELTA
    assert delta(found * 1.003) < DELTA


@pytest.mark.parametrize(
    ("accountant", "factor", "words"),
    [("rdp", 0.3, "RDP, an upper bound"), ("prv", 0.9, "PRV says"), ("prv", 1.1, "PRV says")],
)
def test_an_accountant_that_contradicts_the_others_is_named(
    accountant: str, factor: float, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transecg_core.training import private

    asked = private.opacus_epsilon

    def off(mech: Mechanism, steps: int, delta: float, which: str = "prv") -> float:
        return asked(mech, steps, delta, which) * (factor if which == accountant else 1.0)  # type: ignore[arg-type]

    monkeypatch.setattr(private, "opacus_epsilon", off)
    charges = ((Mechanism("participant", 0.25, 2.0 + factor, 10), 17),)
    claim = recount(book(charges, epsilon(charges, DELTA)))
    assert not claim.holds
    assert words in claim.problems[0]


def test_a_loose_rdp_is_noted_and_contradicts_nothing() -> None:
    claim = recount(right_book(1.0, 0.01, 300))
    assert claim.holds
    assert "looser upper bound" in claim.notes[0]


@pytest.mark.parametrize("name", RECOUNT)
def test_cooked_books_are_caught(name: str) -> None:
    claim = recount(keep_books(RECOUNT[name], seed=0))
    assert not claim.holds, claim


@pytest.mark.parametrize(
    ("mechanism", "steps", "unit"),
    [
        (PERSON, 40, "participant"),
        (Mechanism("participant", 1.0, 2.0, 1), 5, "participant"),
        (Mechanism("window", 0.05, 1.0, 10), 50, "window"),
        (Mechanism("window", 0.2, 2.0, 8), 12, "participant"),
    ],
)
def test_both_pld_ways_agree(mechanism: Mechanism, steps: int, unit: Unit) -> None:
    charges = ((mechanism, steps),)
    ours = epsilon_participant(charges, DELTA) if unit == "participant" else epsilon(charges, DELTA)
    assert pld_epsilon(charges, DELTA, unit) == pytest.approx(ours, rel=AGREEMENT)


def test_one_gaussian_step_has_the_closed_form() -> None:
    # Balle and Wang 2018, eq. 6: delta = Phi(1/2s - eps s) - e^eps Phi(-1/2s - eps s).
    sigma, found = 2.0, pld_epsilon(((Mechanism("participant", 1.0, 2.0, 1), 1),), DELTA, "participant")
    phi = stats.norm.cdf
    upper, lower = 1 / (2 * sigma) - found * sigma, -1 / (2 * sigma) - found * sigma
    assert phi(upper) - math.exp(found) * phi(lower) == pytest.approx(DELTA, rel=5e-3)


def test_settings_that_change_between_rounds_are_composed() -> None:
    other = Mechanism("participant", 0.5, 3.0, 10)
    charges = ((PERSON, 20), (other, 10))
    claim = recount(book(charges, epsilon(charges, DELTA)))
    assert claim.holds
    assert not recount(book(charges, max(epsilon([c], DELTA) for c in charges))).holds


def test_no_noise_costs_without_bound() -> None:
    assert not recount(book(((Mechanism("participant", 0.5, 0.0, 1), 1),), 100.0)).holds


def test_a_round_without_a_charge_is_seen() -> None:
    one = Seen(10, 1.99, 2.01)
    cost = epsilon([(PERSON, 20)], DELTA)
    assert recount(book(((PERSON, 10), (PERSON, 10)), cost, seen=(one, one))).holds
    claim = recount(book(((PERSON, 10), (PERSON, 10)), cost, seen=(one, one, one)))
    assert claim.problems == ("30 noisy steps were taken, 20 are charged",)
    assert claim.lower_bound > cost


def test_a_trainer_that_skips_empty_draws_is_seen() -> None:
    def train(model: SiteModel, data: TrainingSet, spec: PrivateSpec, seed: int) -> TrainLog:
        skips = MECHANISM["empty draws skipped: no noise, not counted"]
        with skips(model, spec, seed, lambda m: torch.optim.SGD(m.parameters(), lr=1e-3)) as trainer:
            for _ in range(STEPS):
                trainer.step(data)
        return TrainLog(())

    claim = recount(keep_books(Bookkeeper(train=train), seed=0))
    assert not claim.holds
    assert "a step without its noise" in claim.problems[0]


def test_noise_is_measured_and_its_interval_covers() -> None:
    weight = torch.nn.Parameter(torch.zeros(40_000))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    generator = torch.Generator().manual_seed(0)
    with watching(clip_norm=0.5, expected=8.0) as watch:
        for _ in range(3):
            weight.grad = torch.randn(40_000, generator=generator) * 1.5 * 0.5 / 8.0
            optimizer.step()
    assert watch.seen.steps == 3
    assert watch.seen.sigma_low < 1.5 < watch.seen.sigma_high
    assert watch.seen.sigma_high / watch.seen.sigma_low < 1.02
    optimizer.step()
    assert watch.seen.steps == 3  # it looks no longer
