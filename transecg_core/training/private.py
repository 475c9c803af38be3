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
Opacus' optimizer runs the step on them and its accountants check ours. The batch is folded so
that one "sample" is one unit: a person's windows are summed inside each layer's gradient, instead
of one gradient per window held in memory. The noise comes from `transecg_core.privacy.noise`,
because torch's CPU generator is not cryptographic.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from opacus.accountants import PRVAccountant, RDPAccountant
from opacus.optimizers.optimizer_fast_gradient_clipping import DPOptimizerFastGradientClipping
from torch import Tensor, nn

from transecg_core.model.heads import SiteModel
from transecg_core.privacy.accounting import Mechanism
from transecg_core.privacy.noise import RandomSource, source_for
from transecg_core.training.bookkeeping import BookKeeper, UnitGradients
from transecg_core.training.local import TrainingSet, TrainLog, optimizer_for, window_losses
from transecg_core.training.sampling import PrivateSpec, check_cap, draw_units, passes, unit_batch

__all__ = ["PrivateSpec", "PrivateTrainer", "opacus_epsilon", "train_private"]

LARGEST_WEIGHT = 100.0
"""In the weights that private training starts from; trained ones stay below 10."""

ROUNDING = 1e-4
"""What float32 may add to one unit's influence on the sum, as a part of the clip norm.

Gradients, norms and their sum are rounded, and another unit's gradient changes in its last bits
with the shape of the batch. Units are clipped to ``(1 - ROUNDING) clip_norm``, so that all of this
stays below ``clip_norm``, which the noise is scaled to.
"""


class _NoisyOptimizer(DPOptimizerFastGradientClipping):
    """Opacus' optimizer: its step, with our clipping, sums in float64 and the noise of a `RandomSource`."""

    def __init__(self, optimizer: torch.optim.Optimizer, spec: PrivateSpec, source: RandomSource) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=spec.sigma,
            max_grad_norm=spec.clip_norm,
            expected_batch_size=spec.expected,
        )
        self._source = source
        self._noised = torch.zeros(0)
        self.steps_taken = 0
        self.unit_gradients: UnitGradients | None = None
        """Of the pass that the next call clips and adds; None where nobody was drawn."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the noised gradients, and the sums unless more passes of the step are to come."""
        for p in self.params:
            p.grad = None
            if not self._is_last_step_skipped:
                p.summed_grad = None

    def begin(self) -> None:
        """Start a step with nothing left of one that was broken off."""
        self._step_skip_queue.clear()
        self._is_last_step_skipped = False
        self.unit_gradients = None
        self.zero_grad()

    def accumulate(self) -> None:
        """Opacus' name for what follows the backward pass."""
        self.clip_and_accumulate()

    def clip_and_accumulate(self) -> None:
        """Clip each unit's joint gradient and add the sum to ``summed_grad``, in float64."""
        found, params = self.unit_gradients, self.params
        if found is None:
            total = torch.zeros(sum(p.numel() for p in params), dtype=torch.float64)
        else:
            factor_U = clip_factors(found.norm_U, self.max_grad_norm)
            total = found.weighted_sum(factor_U, params).double()
        self.unit_gradients = None  # used once: a pass that leaves none must not add the last one again
        for p, part in _split(total, params):
            p.summed_grad = part if p.summed_grad is None else p.summed_grad + part

    def add_noise(self) -> None:
        """Add the noise to the sums in float64 and round once, into ``grad``."""
        std = self.noise_multiplier * self.max_grad_norm
        total = torch.cat([p.summed_grad.flatten() for p in self.params])
        if std > 0:
            noise = self._source.normal(len(total), "noise", self.steps_taken)
            total.add_(torch.from_numpy(noise), alpha=std)
        self._noised = total.float()
        for p, part in _split(self._noised, self.params):
            p.grad = part
        self.steps_taken += 1

    def scale_grad(self) -> None:
        """Divide by the public expected count, whatever was drawn."""
        self._noised.div_(self.expected_batch_size)


def _split(flat: Tensor, parameters: Sequence[Any]) -> Iterator[tuple[Any, Tensor]]:
    """Yield each parameter with its part of a flat vector."""
    parts = flat.split([p.numel() for p in parameters])
    for p, part in zip(parameters, parts, strict=True):
        yield p, part.view_as(p)


def clip_factors(norm_U: Tensor, clip_norm: float) -> Tensor:
    """Return what each unit's gradient is multiplied by (U,); 0 where its norm is not finite.

    Such a unit counts as absent, and nobody can see that it was: stopping instead would answer,
    without noise and without a charge, whether somebody's data overflow under weights that the
    server chose.
    """
    factor_U = (clip_norm * (1 - ROUNDING) / norm_U).clamp(max=1.0)
    return factor_U.where(torch.isfinite(norm_U), 0.0)


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
        self._gradients = BookKeeper(model)
        self._optimizer = _NoisyOptimizer(make_optimizer(model), spec, self._source)
        self._optimizer.zero_grad()

    def __enter__(self) -> PrivateTrainer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._gradients.remove()
        for parameter in self._optimizer.params:
            del parameter.summed_grad
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
        if not self.model.training:
            self.model.train()
        groups = self.draw(data)
        parts = passes(groups, self.spec) or [[]]  # an empty draw, too, is a step
        loss = 0.0
        self._optimizer.begin()
        for index, some in enumerate(parts):
            loss += self._backward(data, some, index)
            self._optimizer.signal_skip_step(index < len(parts) - 1)
            self._optimizer.step()
        self._optimizer.zero_grad()
        return loss / len(groups) if groups else None

    def draw(self, data: TrainingSet) -> list[np.ndarray]:
        """Return the rows of every unit drawn for the next step."""
        return draw_units(data, self.spec, self._source, self.steps_taken)

    def _backward(self, data: TrainingSet, groups: Sequence[np.ndarray], index: int) -> float:
        """Leave every unit's gradient to the optimizer; return the sum of the units' losses."""
        if not groups:
            return 0.0
        seed = (
            self._source.seed("augment", self._optimizer.steps_taken, index) if self._augmentation else None
        )
        batch = unit_batch(data, groups, self.spec, seed)
        loss, self._optimizer.unit_gradients = self._gradients.backward(
            lambda: (window_losses(self.model, batch.x_BL, batch.targets_B) * batch.weight_B).sum(),
            batch.units,
        )
        return loss


def check_weights(model: nn.Module) -> None:
    """Refuse weights that no training leads to, before anything of anybody is looked at.

    They would make rounding errors as large as gradients (see `ROUNDING`).

    Raises
    ------
    ValueError
        If a weight is larger than `LARGEST_WEIGHT`, or not finite.
    """
    for name, p in model.named_parameters():
        if not float(p.detach().abs().amax()) <= LARGEST_WEIGHT:
            raise ValueError(f"{name} has a weight over {LARGEST_WEIGHT:g}, or none that is a number")


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
    check_weights(model)
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
