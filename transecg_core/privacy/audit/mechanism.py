"""Running the release code many times on a worst case, and bounding epsilon from below.

The worst case for the claim is one person whose gradient is clipped and always points the same
way (a Dirac canary), at a site with nobody else. One world has the canary, the other doesn't;
the score is the released weights' movement along the canary's direction. Clopper-Pearson limits
on how often each world exceeds a threshold give an epsilon that the mechanism exceeds with the
stated confidence. A lower bound above the claim proves the code (or the accountant) wrong; one
below proves nothing.

In a crowd, other people are there in both worlds. Their gradients stand at right angles to the canary's, and
their score is 0, unless the canary's presence turns them: their own input is small beside the canary's, so
that whatever they take over from it shows, and their label is the other one, so that it adds to the score.

The claim is checked at a large delta, where thousands of draws can tell 1 from 3; at delta 1e-5
they could not. Thresholds and draws are fixed beforehand and equal for right and broken code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from transecg_core.privacy.accounting import calibrate_sigma
from transecg_core.privacy.audit.bounds import epsilon_lower_bound
from transecg_core.privacy.audit.results import Claim
from transecg_core.seeds import seed_for
from transecg_core.training.local import TrainingSet
from transecg_core.training.sampling import PrivateSpec

if TYPE_CHECKING:
    from transecg_core.model.heads import SiteModel
    from transecg_core.training.private import PrivateTrainer

CLAIM = 1.0
DELTA = 0.05
Q = 0.5
WINDOWS = 4
CONFIDENCE = 0.99
DRAWS = 2000
"""Draws of each world."""
THRESHOLDS = (0.4, 0.6, 0.8, 1.1, 1.4)
"""Scores (in clip norms) at which the worlds are told apart; fixed, and paid for by Bonferroni."""
_CANARY, _OTHER = 20.0, 2.0
"""Inputs of the canary and of each of the others: large enough that both are clipped."""
CROWD = 8
_RATE = 1e-3
"""Learning rate: small enough that the canary's gradient is the same at every draw."""

MakeTrainer = Callable[
    ["SiteModel", PrivateSpec, int, Callable[[nn.Module], torch.optim.Optimizer]], "PrivateTrainer"
]
"""(model, claimed spec, seed, optimizer maker) -> the trainer to audit."""


def claimed_spec() -> PrivateSpec:
    """Return the audited setting: participant unit, epsilon 1 for one step at delta .05."""
    sigma = calibrate_sigma("participant", Q, 1, CLAIM, DELTA, WINDOWS)
    return PrivateSpec("participant", sigma, 1.0, Q, 1.0, WINDOWS, WINDOWS)


def audit_mechanism(make_trainer: MakeTrainer, *, seed: int, draws: int = DRAWS, others: int = 0) -> Claim:
    """Audit a trainer against the claim of `claimed_spec` with `draws` draws of each world.

    Parameters
    ----------
    others
        People who are there in both worlds.
    """
    spec = claimed_spec()
    first = seed_for(seed, "crowd", others) if others else 2 * seed
    present, absent = (
        np.array(_scores(make_trainer, spec, world, draws, first + index))
        for index, world in enumerate((_world(WINDOWS, others), _world(0, others)))
    )
    bounds = [_bound(int((present > cut).sum()), int((absent > cut).sum()), draws) for cut in THRESHOLDS]
    setting = f"one step, {2 * draws} draws, delta {DELTA:g}{f', among {others} others' if others else ''}"
    return Claim("crowd" if others else "mechanism", setting, CLAIM, max(bounds), _bound(draws, 0, draws))


def _bound(hits_in: int, hits_out: int, draws: int) -> float:
    # Bonferroni: the best of all thresholds still holds with `CONFIDENCE`.
    return epsilon_lower_bound(hits_in, hits_out, draws, DELTA, 1 - (1 - CONFIDENCE) / len(THRESHOLDS))


class _Canaried(nn.Module):
    """The smallest model that the release code accepts: one head on a two-sample window."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({"sex": nn.Linear(2, 2, bias=False)})

    def forward(self, x_BL: Tensor) -> dict[str, Tensor]:
        return {task: head(x_BL) for task, head in self.heads.items()}


def _world(windows: int, others: int = 0) -> TrainingSet:
    """Return the canary's windows, or none, and one window of each of the others."""
    x_NL = torch.zeros(windows + others, 2)
    x_NL[:windows, 0], x_NL[windows:, 1] = _CANARY, _OTHER
    person_N = torch.zeros(windows + others, dtype=torch.int64)
    person_N[windows:] = torch.arange(1, others + 1)
    return TrainingSet(x_NL, person_N, {"sex": (person_N > 0).long()})


def _scores(
    make_trainer: MakeTrainer, spec: PrivateSpec, world: TrainingSet, draws: int, seed: int
) -> list[float]:
    """Return the released movement along the canary's direction, in clip norms, once per draw."""
    model = cast("SiteModel", _Canaried())
    weight = next(model.parameters())
    direction = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]) / math.sqrt(2)
    scores = []
    with make_trainer(model, spec, seed, lambda m: torch.optim.SGD(m.parameters(), lr=_RATE)) as trainer:
        for _ in range(draws):
            nn.init.zeros_(weight)
            trainer.step(world)
            moved = float((weight.detach() * direction).sum())
            scores.append(moved * spec.expected / (_RATE * spec.clip_norm))
    return scores
