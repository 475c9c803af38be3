"""Code that breaks a privacy promise on purpose; the audits must catch it.

Each is the release code with one mistake, made through its public interface where that can be,
so that the mistake survives a rewrite of its inside. Nothing else imports this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from transecg_core.model.heads import SiteModel
from transecg_core.privacy.accounting import epsilon
from transecg_core.privacy.audit.books import DELTA, Bookkeeper
from transecg_core.privacy.noise import source_for
from transecg_core.seeds import seed_for
from transecg_core.training.local import TrainingSet, TrainLog
from transecg_core.training.private import PrivateTrainer
from transecg_core.training.sampling import PrivateSpec, draw_units

Maker = Callable[[nn.Module], torch.optim.Optimizer]
Trainer = Callable[[Any, PrivateSpec, int, Maker], PrivateTrainer]

Alter = Callable[[PrivateSpec], PrivateSpec]
"""The claimed step -> the step really taken."""

_NO_CLIP = 1e6


def right(model: Any, spec: PrivateSpec, seed: int | None, make_optimizer: Maker) -> PrivateTrainer:
    """Return the release code as it is."""
    return PrivateTrainer(model, spec, seed=seed, make_optimizer=make_optimizer, augmentation=False)


def secure(model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> PrivateTrainer:
    """Return the release code on the operating system's generator: `seed` is ignored, nothing repeats."""
    return right(model, spec, None, make_optimizer)


def no_noise_spec(spec: PrivateSpec) -> PrivateSpec:
    """Return what adds no noise while `spec` is claimed."""
    return replace(spec, sigma=0.0)


def half_noise_spec(spec: PrivateSpec) -> PrivateSpec:
    """Return what adds half the noise of the claim."""
    return replace(spec, sigma=spec.sigma / 2)


def no_clipping_spec(spec: PrivateSpec) -> PrivateSpec:
    """Return what adds the claim's noise to sums that nothing clips."""
    factor = _NO_CLIP / spec.clip_norm
    return replace(spec, clip_norm=_NO_CLIP, sigma=spec.sigma / factor)


def no_noise(model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> PrivateTrainer:
    """Add no noise."""
    return right(model, no_noise_spec(spec), seed, make_optimizer)


def half_noise(model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> PrivateTrainer:
    """Add half the noise."""
    return right(model, half_noise_spec(spec), seed, make_optimizer)


def no_clipping(model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> PrivateTrainer:
    """Leave gradients as long as they are."""
    return right(model, no_clipping_spec(spec), seed, make_optimizer)


def no_sampling(model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> PrivateTrainer:
    """Take everybody into every step, and claim the amplification by sampling all the same."""
    return right(model, replace(spec, q=1.0), seed, make_optimizer)


class _WindowClips(PrivateTrainer):
    """Makes every window of a drawn person a unit of its own: clipped by itself, then summed."""

    def __init__(self, model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> None:
        options: dict[str, Any] = {"make_optimizer": make_optimizer, "augmentation": False}
        super().__init__(model, replace(spec, windows_per_draw=1), seed=seed, **options)
        self._claimed, self._coins = spec, source_for(seed_for(seed, "coins"))

    def draw(self, data: TrainingSet) -> list[np.ndarray]:
        drawn = draw_units(data, self._claimed, self._coins, self.steps_taken)
        return [np.array([row]) for rows in drawn for row in rows]


class _SkipsEmptyDraws(PrivateTrainer):
    """Takes no step, and so adds no noise, when nobody was drawn; such a step isn't counted either."""

    def __init__(self, model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> None:
        super().__init__(model, spec, seed=seed, make_optimizer=make_optimizer, augmentation=False)
        self._coins, self._asked, self._drawn = source_for(seed_for(seed, "coins")), 0, list[np.ndarray]()

    def draw(self, data: TrainingSet) -> list[np.ndarray]:
        return self._drawn

    def step(self, data: TrainingSet) -> float | None:
        self._asked += 1
        self._drawn = draw_units(data, self.spec, self._coins, self._asked)
        return super().step(data) if self._drawn else None


class _CentresOnTheBatch(PrivateTrainer):
    """Subtracts the drawn windows' mean, as normalisation over a batch does: who is there turns everybody's gradient."""

    share = -1.0

    def __init__(self, model: Any, spec: PrivateSpec, seed: int, make_optimizer: Maker) -> None:
        super().__init__(model, spec, seed=seed, make_optimizer=make_optimizer, augmentation=False)
        self._coins, self._drawn = source_for(seed_for(seed, "coins")), list[np.ndarray]()

    def draw(self, data: TrainingSet) -> list[np.ndarray]:
        return self._drawn

    def step(self, data: TrainingSet) -> float | None:
        self._drawn = draw_units(data, self.spec, self._coins, self.steps_taken)
        x_NL = data.x_NL.clone()
        if self._drawn:
            rows = np.concatenate(self._drawn)
            x_NL[rows] += self.share * data.x_NL[rows].mean(dim=0)
        return super().step(TrainingSet(x_NL, data.participant_N, data.targets))


CROWD: Mapping[str, Trainer] = {"windows centred on the batch": _CentresOnTheBatch}
"""What the mechanism audit must catch in a crowd: alone, there is nobody whose gradient could be turned."""

MECHANISM: Mapping[str, Trainer] = {
    "no noise (sigma 0)": no_noise,
    "half the noise": half_noise,
    "no clipping": no_clipping,
    "window clips summed, sold as participant clipping": _WindowClips,
    "empty draws skipped: no noise, not counted": _SkipsEmptyDraws,
    "everybody in every step, sold as sampled": no_sampling,
}
"""What the mechanism audit must catch."""

CANARIES: Mapping[str, Alter] = {
    "no noise (sigma 0)": no_noise_spec,
    "no clipping": no_clipping_spec,
}
"""What the canaries must catch; half the noise is below their power."""


def _half_noise_round(model: SiteModel, data: TrainingSet, spec: PrivateSpec, seed: int) -> TrainLog:
    return Bookkeeper().train(model, data, half_noise_spec(spec), seed)


RECOUNT: Mapping[str, Bookkeeper] = {
    "accountant reset every round": Bookkeeper(claim=lambda charges: epsilon(charges[-1:], DELTA)),
    "steps of empty draws not charged": Bookkeeper(charge=lambda log: len(log.losses)),
    "half the noise, the full sigma in the ledger": Bookkeeper(train=_half_noise_round),
}
"""What the recount must catch."""
