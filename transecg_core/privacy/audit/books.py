"""A small run of several rounds whose books are kept and watched: the recount's material.

The site is idle: one person with windows and no label, so that everything released is noise, half
of the draws are empty, and the observer sees the noise itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from transecg_core.model.heads import SiteModel, new_site_model
from transecg_core.privacy.accounting import calibrate_sigma, epsilon
from transecg_core.privacy.audit.least import Charges
from transecg_core.privacy.audit.observe import watching
from transecg_core.privacy.audit.recount import Book
from transecg_core.seeds import seed_for
from transecg_core.signals.schema import WINDOW
from transecg_core.training.local import MISSING, TrainingSet, TrainLog
from transecg_core.training.sampling import PrivateSpec

ROUNDS = 4
STEPS = 3
CLAIMED = 2.0
DELTA = 1e-5
WINDOWS = 2
_Q = 0.5
_PATCH = 5


def idle_site() -> TrainingSet:
    """Return one person's windows without a label."""
    x_NL = torch.zeros(WINDOWS, WINDOW)
    missing = torch.full((WINDOWS,), MISSING)
    return TrainingSet(x_NL, torch.zeros(WINDOWS, dtype=torch.int64), {"sex": missing})


def _train(model: SiteModel, data: TrainingSet, spec: PrivateSpec, seed: int) -> TrainLog:
    from transecg_core.training.private import train_private  # Opacus takes seconds to import

    return train_private(model, data, spec, steps=STEPS, lr_schedule=lambda step: 1e-3, seed=seed)


def _charge(_log: TrainLog) -> int:
    return STEPS


def _claim(charges: Charges) -> float:
    return epsilon(charges, DELTA)


@dataclass(frozen=True)
class Bookkeeper:
    """How a run is trained, charged and claimed; as it stands, right."""

    train: Callable[[SiteModel, TrainingSet, PrivateSpec, int], TrainLog] = _train
    charge: Callable[[TrainLog], int] = _charge
    claim: Callable[[Charges], float] = _claim


def keep_books(keeper: Bookkeeper, *, seed: int) -> Book:
    """Run all rounds under watch and return the book."""
    sigma = calibrate_sigma("participant", _Q, ROUNDS * STEPS, CLAIMED, DELTA, WINDOWS)
    spec = PrivateSpec("participant", sigma, 1.0, _Q, 1.0, WINDOWS, WINDOWS)
    model = new_site_model(_PATCH, ("sex",), seed_for(seed, "model"))
    charges, seen = [], []
    for number in range(ROUNDS):
        with watching(spec.clip_norm, spec.expected) as watch:
            log = keeper.train(model, idle_site(), spec, seed_for(seed, "round", number))
        charges.append((spec.mechanism, keeper.charge(log)))
        seen.append(watch.seen)
    setting = f"{ROUNDS} rounds of {STEPS} steps, seeded, delta {DELTA:g}"
    return Book(setting, tuple(charges), keeper.claim(tuple(charges)), DELTA, seen=tuple(seen))
