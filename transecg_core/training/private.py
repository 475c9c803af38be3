"""Training with differential privacy: the only module that imports Opacus.

One step (DP-SGD, Abadi et al. 2016, with people or windows as units):

1. draw every unit independently with probability q (Poisson sampling);
2. a drawn participant contributes up to ``windows_per_draw`` of their windows, a drawn window itself;
3. take the unit's mean gradient over its windows, for all trainable parameters together;
4. clip it to ``clip_norm``, sum over units, add N(0, (sigma clip_norm)^2), divide by the fixed
   public expected count; then AdamW moves the weights.

An empty draw still adds its noise, moves the weights and counts as a step. A unit's clipped
gradient depends on that unit's windows, public constants and earlier noised state alone: losses
are per window, nothing is normalised across units, padding repeats the unit's own window.

`transecg_core.training.bookkeeping` gives the units' gradients, exactly and from one backward pass;
Opacus' `DPOptimizer` runs the step on them and its accountants check ours. The batch is folded so
that one "sample" is one unit: a person's windows are summed inside each layer's gradient, instead
of one gradient per window held in memory. The noise comes from `transecg_core.privacy.noise`,
because torch's CPU generator is not cryptographic.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from opacus.accountants import PRVAccountant, RDPAccountant
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn

from transecg_core.model.heads import SiteModel
from transecg_core.privacy.accounting import Mechanism
from transecg_core.privacy.noise import RandomSource, source_for
from transecg_core.training.bookkeeping import UnitGradients
from transecg_core.training.local import TrainingSet, TrainLog, augment, optimizer_for, window_losses
from transecg_core.training.sampling import PrivateSpec, check_cap, draw_units, pad_units

__all__ = ["PrivateSpec", "PrivateTrainer", "opacus_epsilon", "train_private"]

MAX_WINDOWS_PER_PASS = 256
"""Larger draws are accumulated in equal passes of at most this many windows, to bound memory."""

ROUNDING = 1e-4
"""What float32 may add to one unit's influence on the sum, as a part of the clip norm.

Gradients, norms and their sum are rounded, and another unit's gradient changes in its last bits
with the shape of the batch. Units are clipped to ``(1 - ROUNDING) clip_norm``, so that all of this
stays below ``clip_norm``, which the noise is scaled to.
"""


class _NoisyOptimizer(DPOptimizer):
    """Opacus' optimizer: its step, with our clipping in float64 sums and the noise of a `RandomSource`."""

    def __init__(self, optimizer: torch.optim.Optimizer, spec: PrivateSpec, source: RandomSource) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=spec.sigma,
            max_grad_norm=spec.clip_norm,
            expected_batch_size=spec.expected,
        )
        self._source = source
        self.steps_taken = 0

    def clip_and_accumulate(self) -> None:
        """Clip each unit's joint gradient and add the sum to ``summed_grad``, in float64."""
        rows = [p.grad_sample.flatten(1) for p in self.params]
        factor_U = _clip_factors(rows, self.max_grad_norm)
        summed = torch.cat([factor_U @ row for row in rows]).double()
        for p, part in zip(self.params, self._split(summed), strict=True):
            p.summed_grad = part if p.summed_grad is None else p.summed_grad + part

    def add_noise(self) -> None:
        """Add the noise to the sums in float64 and round once, into ``grad``."""
        std = self.noise_multiplier * self.max_grad_norm
        total = torch.cat([p.summed_grad.flatten() for p in self.params])
        if std > 0:
            noise = self._source.normal(len(total), "noise", self.steps_taken)
            total.add_(torch.from_numpy(noise), alpha=std)
        for p, part in zip(self.params, self._split(total), strict=True):
            p.grad = part.to(p.dtype)
        self.steps_taken += 1

    def scale_grad(self) -> None:
        """Divide by the public expected count, whatever was drawn."""
        for p in self.params:
            p.grad /= self.expected_batch_size

    def _split(self, flat: Tensor) -> list[Tensor]:
        parts = flat.split([p.numel() for p in self.params])
        return [part.view_as(p) for p, part in zip(self.params, parts, strict=True)]


def _clip_factors(rows: Sequence[Tensor], clip_norm: float) -> Tensor:
    """Return each unit's factor (U,), and zero out the rows of units whose norm is not finite.

    Such a unit counts as absent, and nobody can see that it was: stopping instead would answer,
    without noise and without a charge, whether somebody's data overflow under weights that the
    server chose. Its rows are zeroed because zero times NaN would reach everybody's sum.
    """
    norm_U = torch.stack([torch.linalg.vector_norm(row, dim=1) for row in rows]).norm(dim=0)
    finite_U = torch.isfinite(norm_U)
    if not bool(finite_U.all()):
        for row in rows:
            row[~finite_U] = 0.0
        norm_U = norm_U.where(finite_U, 0.0)
    return (clip_norm * (1 - ROUNDING) / norm_U).clamp(max=1.0)


class PrivateTrainer:
    """Trains a model in place, one noisy step at a time; a context manager that removes its hooks.

    Parameters
    ----------
    seed
        None: sampling and noise from the operating system's cryptographic generator. A number:
        repeatable, for simulations only.
    make_optimizer
        What moves the weights by the noised gradient (post-processing).
    augmentation
        Whether windows are shifted and noised; the random numbers don't depend on the data.
    """

    def __init__(
        self,
        model: SiteModel,
        spec: PrivateSpec,
        *,
        seed: int | None,
        make_optimizer: Callable[[nn.Module], torch.optim.Optimizer] = lambda model: optimizer_for(
            model, 1e-3
        ),
        augmentation: bool = True,
    ) -> None:
        self.model, self.spec = model, spec
        self._source = source_for(seed)
        self._augmentation = augmentation
        self._gradients = UnitGradients(model)
        self._optimizer = _NoisyOptimizer(make_optimizer(model), spec, self._source)
        self._optimizer.zero_grad(set_to_none=True)

    def __enter__(self) -> PrivateTrainer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._gradients.remove()
        for parameter in self._optimizer.params:
            del parameter.grad_sample, parameter.summed_grad
            parameter.grad = None

    @property
    def steps_taken(self) -> int:
        """Noisy steps so far, empty draws included: what the ledger is charged."""
        return self._optimizer.steps_taken

    def set_learning_rate(self, rate: float) -> None:
        """Set the step size of the next steps."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def step(self, data: TrainingSet) -> float | None:
        """Take one noisy step; return the mean loss of the drawn units, None for an empty draw.

        A unit whose gradient is not finite adds nothing; the step is noised and charged all the same.

        Raises
        ------
        ValueError
            If somebody has more windows than ``max_windows``, which the claim rests on.
        """
        check_cap(data, self.spec)
        self.model.train()
        groups = self.draw(data)
        size = max(1, MAX_WINDOWS_PER_PASS // self.spec.group)
        count = max(1, math.ceil(len(groups) / size))
        edges = [len(groups) * i // count for i in range(count + 1)]
        passes = [groups[start:end] for start, end in pairwise(edges)]
        loss = 0.0
        for index, some in enumerate(passes):
            self._optimizer.zero_grad(set_to_none=True)
            loss += self._backward(data, some, index)
            self._optimizer.signal_skip_step(index < len(passes) - 1)
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return loss / len(groups) if groups else None

    def draw(self, data: TrainingSet) -> list[np.ndarray]:
        """Return the rows of every unit drawn for the next step."""
        return draw_units(data, self.spec, self._source, self.steps_taken)

    def _backward(self, data: TrainingSet, groups: Sequence[np.ndarray], index: int) -> float:
        """Leave every unit's gradient in ``grad_sample``; return the sum of the units' losses."""
        if not groups:
            for p in self._optimizer.params:
                p.grad_sample = torch.zeros(0, *p.shape, dtype=p.dtype)
            return 0.0
        rows_UG, weight_UG = pad_units(groups, self.spec.group)
        rows_B = torch.from_numpy(rows_UG.ravel())
        x_BL = data.x_NL[rows_B]
        if self._augmentation:
            seed = self._source.seed("augment", self._optimizer.steps_taken, index)
            x_BL = augment(x_BL, torch.Generator().manual_seed(seed))
        targets_B = {task: target[rows_B] for task, target in data.targets.items()}
        weight_B = torch.from_numpy(weight_UG.ravel()).to(x_BL.dtype)
        loss, gradients = self._gradients.backward(
            lambda: (window_losses(self.model, x_BL, targets_B) * weight_B).sum(),
            self._optimizer.params,
            len(groups),
        )
        for p, g in zip(self._optimizer.params, gradients, strict=True):
            p.grad_sample = g
        return loss


def train_private(
    model: SiteModel,
    data: TrainingSet,
    spec: PrivateSpec,
    *,
    steps: int,
    lr_schedule: Callable[[int], float] | Sequence[float],
    seed: int | None,
    augmentation: bool = True,
) -> TrainLog:
    """Train in place for exactly `steps` noisy steps, empty draws included.

    `lr_schedule` is the rate by step of this call; `seed` as for `PrivateTrainer`. The losses are
    those of the steps that drew somebody and are finite, not noised: outside the guarantee.
    """
    rate = lr_schedule if callable(lr_schedule) else lr_schedule.__getitem__
    losses = []
    with PrivateTrainer(model, spec, seed=seed, augmentation=augmentation) as trainer:
        for step in range(steps):
            trainer.set_learning_rate(rate(step))
            loss = trainer.step(data)
            if loss is not None and np.isfinite(loss):
                losses.append(loss)
    return TrainLog(tuple(losses))


def opacus_epsilon(
    mech: Mechanism, steps: int, delta: float, accountant: Literal["prv", "rdp"] = "prv"
) -> float:
    """Return the epsilon that Opacus' own accountant gives, for cross-checks; for the mechanism's unit."""
    history = [(mech.sigma, mech.q, steps)]
    if accountant == "prv":
        prv = PRVAccountant()
        prv.history = history
        with np.errstate(divide="ignore"):  # it takes log(1 - q), also at q = 1
            return float(prv.get_epsilon(delta))
    rdp = RDPAccountant()
    rdp.history = history
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the", category=UserWarning)
        return float(rdp.get_epsilon(delta))
