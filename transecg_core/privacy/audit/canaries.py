"""Hiding many people in one real training run, and guessing who was in it.

Each canary person has a fair coin of its own: heads, and it trains. One run of `train_private` with
the real encoder follows; then each canary is scored by how far the released weights lowered the loss
on its own windows. The highest scores are guessed in, the lowest out, the rest is passed over. The
count of right guesses bounds epsilon from below (`one_run_lower_bound`), whatever else happened in
the run: the bound needs no second run.

Its power is small and stated: even perfect guesses prove no more than `max_attainable`, which is
printed beside the claim and called "no power" where it is not above it. So it catches noise or
clipping that is not there, not noise that is merely too small; that is what the mechanism audit
and the recount are for.

Canaries are white noise with a class of their own, and the head starts at zero: then nothing but
their own class' weights carries them at first, they stand in each other's way as little as can be,
and a server could have shipped such weights (Steinke, Nasr and Jagielski 2023, section 6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from transecg_core.model.heads import SiteModel, new_site_model
from transecg_core.privacy.accounting import calibrate_sigma
from transecg_core.privacy.audit.bounds import one_run_lower_bound
from transecg_core.privacy.audit.broken import Alter
from transecg_core.privacy.audit.results import Claim
from transecg_core.seeds import seed_for
from transecg_core.signals.schema import WINDOW
from transecg_core.training.local import TrainingSet, window_losses
from transecg_core.training.sampling import PrivateSpec

DELTA = 1e-5
CONFIDENCE = 0.95
Q = 0.5
WINDOWS = 2
RATE = 1e-3
PATCH = 5
_TASK = "participant"


@dataclass(frozen=True)
class Plan:
    """One audited run, fixed before anything is run.

    Attributes
    ----------
    claimed
        Participant epsilon of the whole run at delta 1e-5.
    canaries
        People with a coin: all of the site's.
    guesses
        Half of them are guessed in, half out.
    """

    claimed: float = 2.0
    canaries: int = 400
    guesses: int = 160
    steps: int = 8

    @property
    def spec(self) -> PrivateSpec:
        """The claimed step; roster and sampling rate don't depend on the coins."""
        sigma = calibrate_sigma("participant", Q, self.steps, self.claimed, DELTA, WINDOWS)
        return PrivateSpec("participant", sigma, 1.0, Q, Q * self.canaries, WINDOWS, WINDOWS)


def attainable(plan: Plan) -> float:
    """Return the bound that perfect guesses would give."""
    return one_run_lower_bound(plan.canaries, plan.guesses, plan.guesses, DELTA, CONFIDENCE)


def audit_canaries(plan: Plan, alter: Alter = lambda spec: spec, *, seed: int) -> Claim:
    """Train once and guess; `alter` is what the code does with the claimed step (nothing, if it's right)."""
    coin_P = np.random.default_rng(seed_for(seed, "coins")).random(plan.canaries) < 0.5
    score_P = _scores(plan, alter(plan.spec), coin_P, seed)
    correct = right_guesses(score_P, coin_P, plan.guesses)
    bound = one_run_lower_bound(plan.canaries, plan.guesses, correct, DELTA, CONFIDENCE)
    setting = (
        f"{plan.steps} steps, {plan.canaries} canaries, {correct} of {plan.guesses} right, delta {DELTA:g}"
    )
    return Claim("canaries", setting, plan.claimed, bound, attainable(plan))


def right_guesses(score_P: np.ndarray, coin_P: np.ndarray, guesses: int) -> int:
    """Return how many are right when the highest half of `guesses` is guessed in, the lowest half out."""
    order = np.argsort(score_P, kind="stable")
    half = guesses // 2
    return int(coin_P[order[len(order) - half :]].sum() + (~coin_P[order[:half]]).sum())


def _scores(plan: Plan, spec: PrivateSpec, coin_P: np.ndarray, seed: int) -> np.ndarray:
    """Return how far the run lowered each canary's loss, whether it trained or not."""
    from transecg_core.training.private import train_private  # Opacus takes seconds to import

    x_PWL = torch.randn(
        plan.canaries, WINDOWS, WINDOW, generator=torch.Generator().manual_seed(seed_for(seed, "canaries"))
    )
    model = new_site_model(PATCH, (_TASK,), seed_for(seed, "model"), plan.canaries)
    for parameter in model.heads[_TASK].parameters():
        nn.init.zeros_(parameter)
    everybody, inside = np.arange(plan.canaries), np.flatnonzero(coin_P)
    before_P = _losses(model, _people(x_PWL, everybody), plan.canaries)
    train_private(
        model, _people(x_PWL, inside), spec,
        steps=plan.steps, lr_schedule=lambda step: RATE, seed=seed_for(seed, "run"),
    )  # fmt: skip
    return before_P - _losses(model, _people(x_PWL, everybody), plan.canaries)


def _people(x_PWL: Tensor, chosen: np.ndarray) -> TrainingSet:
    """Return the chosen canaries' windows; each one's class is its own, whoever else is there."""
    rows = torch.from_numpy(chosen)
    return TrainingSet(
        x_PWL[rows].reshape(-1, WINDOW),
        torch.arange(len(chosen)).repeat_interleave(WINDOWS),
        {_TASK: rows.repeat_interleave(WINDOWS)},
    )


@torch.no_grad()
def _losses(model: SiteModel, people: TrainingSet, count: int) -> np.ndarray:
    loss_N: Tensor = window_losses(model, people.x_NL, people.targets)
    return np.asarray(loss_N.reshape(count, WINDOWS).mean(dim=1).numpy())
