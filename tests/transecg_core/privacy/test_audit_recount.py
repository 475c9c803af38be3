"""The recount: right books pass, cooked ones don't, and it doesn't take the audited code's word."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from transecg_core.model.heads import SiteModel
from transecg_core.privacy.accounting import Mechanism, Unit, epsilon, epsilon_participant
from transecg_core.privacy.audit.books import CLAIMED, ROUNDS, STEPS, Bookkeeper, keep_books
from transecg_core.privacy.audit.broken import MECHANISM, RECOUNT
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
