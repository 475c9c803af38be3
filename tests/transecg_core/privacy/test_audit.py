"""The mechanism audit: it must pass the right code and catch every broken one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from transecg_core.privacy.audit import CLAIM, AuditResult, audit_mechanism, claimed_spec, epsilon_lower_bound
from transecg_core.training.private import PrivateTrainer
from transecg_core.training.sampling import PrivateSpec

DRAWS = 1000
Maker = Callable[[nn.Module], torch.optim.Optimizer]


def right(model: Any, spec: PrivateSpec, seed: int | None, make_optimizer: Maker) -> PrivateTrainer:
    return PrivateTrainer(model, spec, seed=seed, make_optimizer=make_optimizer, augmentation=False)


def no_noise(model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> PrivateTrainer:
    return right(model, replace(spec, sigma=0.0), seed, make_optimizer)


def half_noise(model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> PrivateTrainer:
    return right(model, replace(spec, sigma=spec.sigma / 2), seed, make_optimizer)


def no_clipping(model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> PrivateTrainer:
    trainer = right(model, spec, seed, make_optimizer)
    optimizer = trainer._optimizer
    clip = optimizer.clip_and_accumulate

    def unclipped() -> None:
        optimizer.max_grad_norm = 1e9
        clip()
        optimizer.max_grad_norm = spec.clip_norm

    optimizer.clip_and_accumulate = unclipped
    return trainer


class WindowClips(PrivateTrainer):
    """Clips every window by itself, sums, and sells that as participant clipping."""

    def __init__(self, model: Any, spec: PrivateSpec, **options: Any) -> None:
        super().__init__(model, replace(spec, windows_per_draw=1), **options)
        self._per_draw = spec

    def draw(self, data: Any) -> list[np.ndarray]:
        from transecg_core.training.sampling import draw_units

        drawn = draw_units(data, self._per_draw, self._source, self.steps_taken)
        return [np.array([row]) for rows in drawn for row in rows]


def window_clips_summed(model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> PrivateTrainer:
    return WindowClips(model, spec, seed=seed, make_optimizer=make_optimizer, augmentation=False)


class SkipsEmptyDraws(PrivateTrainer):
    """Takes no step, and so adds no noise, when nobody was drawn."""

    def step(self, data: Any) -> float | None:
        if self.draw(data):
            return super().step(data)
        self._optimizer.steps_taken += 1
        return None


def empty_draws_skipped(model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> PrivateTrainer:
    return SkipsEmptyDraws(model, spec, seed=seed, make_optimizer=make_optimizer, augmentation=False)


def test_lower_bound_known_answers() -> None:
    # Perfect guesses on 1000 + 1000 draws: log((.9947 - .05) / .0053).
    assert epsilon_lower_bound(1000, 0, 1000, 0.05) == pytest.approx(5.18, abs=0.01)
    assert epsilon_lower_bound(300, 300, 1000, 0.05) == 0.0
    assert epsilon_lower_bound(0, 0, 1000, 0.05) == 0.0


def test_the_right_code_passes_and_the_audit_has_power() -> None:
    result = audit_mechanism(right, draws=DRAWS, seed=0)
    assert result.holds
    assert result.lower_bound > 0.2 * CLAIM
    assert result.max_attainable > 4 * CLAIM


def test_the_secure_source_passes_too() -> None:
    def secure(model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> PrivateTrainer:
        return right(model, spec, None, make_optimizer)

    # A false alarm has probability below 1 %, and twice as much noise as claimed would give about 0.
    result = audit_mechanism(secure, draws=DRAWS, seed=0)
    assert result.holds
    assert result.lower_bound > 0.1 * CLAIM


@pytest.mark.parametrize(
    "broken",
    [no_noise, half_noise, no_clipping, window_clips_summed, empty_draws_skipped],
    ids=lambda f: f.__name__,
)
def test_broken_code_is_caught(broken: Any) -> None:
    result = audit_mechanism(broken, draws=DRAWS, seed=0)
    assert not result.holds, result


@pytest.mark.audit
def test_false_alarms_on_the_right_code_over_twenty_seeds() -> None:
    results: list[AuditResult] = [audit_mechanism(right, draws=DRAWS, seed=seed) for seed in range(1, 21)]
    assert sum(not result.holds for result in results) == 0, results


@pytest.mark.audit
@pytest.mark.parametrize(
    "broken",
    [no_noise, half_noise, no_clipping, window_clips_summed, empty_draws_skipped],
    ids=lambda f: f.__name__,
)
def test_broken_code_is_caught_at_every_seed(broken: Any) -> None:
    assert not any(audit_mechanism(broken, draws=DRAWS, seed=seed).holds for seed in range(1, 6))


def test_the_audited_claim_is_the_accountant_s() -> None:
    from transecg_core.privacy.accounting import epsilon

    spec = claimed_spec()
    assert epsilon([(spec.mechanism, 1)], 0.05) == pytest.approx(CLAIM, rel=1e-3)
