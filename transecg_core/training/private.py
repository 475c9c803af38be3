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

Opacus' per-layer samplers give the gradients, its `DPOptimizer` clips, sums and steps. Two things
are ours: the batch is folded so that one "sample" is one unit (a person's windows are summed
inside each layer's gradient, instead of one gradient per window held in memory), and the noise
comes from `transecg_core.privacy.noise`, because torch's CPU generator is not cryptographic.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from opacus.accountants import PRVAccountant, RDPAccountant
from opacus.grad_sample import register_grad_sampler
from opacus.grad_sample.grad_sample_module import GradSampleHooks
from opacus.grad_sample.layer_norm import compute_layer_norm_grad_sample
from opacus.optimizers import DPOptimizer
from timm.layers.norm import LayerNorm as TimmLayerNorm
from torch import Tensor, nn

from transecg_core.model.encoder import Tokens
from transecg_core.model.heads import SiteModel
from transecg_core.privacy.accounting import Mechanism
from transecg_core.privacy.noise import RandomSource, source_for
from transecg_core.training.local import TrainingSet, TrainLog, augment, optimizer_for, window_losses
from transecg_core.training.sampling import PrivateSpec, check_cap, draw_units, pad_units

__all__ = ["PrivateSpec", "PrivateTrainer", "opacus_epsilon", "train_private"]

MAX_WINDOWS_PER_PASS = 256
"""Larger draws are accumulated in passes of at most this many windows, to bound memory."""


# timm's LayerNorm is nn.LayerNorm under another name, which Opacus' exact type match doesn't see.
register_grad_sampler(TimmLayerNorm)(compute_layer_norm_grad_sample)


@register_grad_sampler(Tokens)  # type: ignore[untyped-decorator]
def _tokens_grad_sample(
    layer: Tokens, activations: list[Tensor], backprops: Tensor
) -> dict[nn.Parameter, Tensor]:
    """Return the gradients (units, 1, 1, D) and (units, 1, T + 1, D) of class token and positions."""
    g_UTD = backprops.reshape(backprops.shape[0], -1, *layer.pos.shape[1:]).sum(dim=1)
    out = {}
    if layer.pos.requires_grad:
        out[layer.pos] = g_UTD[:, None]
    if layer.cls.requires_grad:
        out[layer.cls] = g_UTD[:, None, :1]
    return out


class _UnitGradients:
    """Per-unit gradients by Opacus' samplers; equally many consecutive rows of the batch are one unit.

    The forward pass notes every layer's input and output; one backward pass then asks only for the
    gradients of the outputs, so the ordinary weight gradients, which DP has no use for, are never
    computed. Each layer's sampler turns input and output gradient into the unit's weight gradient.
    """

    def __init__(self, model: nn.Module) -> None:
        self._calls: list[tuple[nn.Module, Tensor, Tensor]] = []
        watched = [
            (name, module)
            for name, module in model.named_modules()
            if any(p.requires_grad for p in module.parameters(recurse=False))
        ]
        for name, module in watched:
            if type(module) not in GradSampleHooks.GRAD_SAMPLERS:
                raise TypeError(f"{name}: no per-unit gradient is known for {type(module).__name__}")
        self._handles = [module.register_forward_hook(self._note) for _, module in watched]

    def _note(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if torch.is_grad_enabled():
            self._calls.append((module, inputs[0].detach(), output))

    def backward(self, loss: Callable[[], Tensor], parameters: Sequence[Any], units: int) -> float:
        """Leave every parameter's gradients (units, ...) in ``grad_sample``; return the loss.

        A parameter that no loss reached (a head without labels) gets zeros; it is noised too.
        """
        self._calls.clear()
        total = loss()
        outputs = [output for *_, output in self._calls] if total.requires_grad else []
        grads = torch.autograd.grad(total, outputs, allow_unused=True) if outputs else ()
        for (module, x, _), grad in zip(self._calls, grads, strict=bool(outputs)):
            if grad is not None:
                sampler = GradSampleHooks.GRAD_SAMPLERS[type(module)]
                for p, g in sampler(module, [_fold(x, units)], _fold(grad, units)).items():
                    p.grad_sample = g if p.grad_sample is None else p.grad_sample + g
        self._calls.clear()
        for p in parameters:
            if p.grad_sample is None:
                p.grad_sample = torch.zeros(units, *p.shape, dtype=p.dtype)
        return float(total.detach())

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()


def _fold(x: Tensor, units: int) -> Tensor:
    """Return (units * group, ..., D) as (units, group * ..., D): the samplers sum over the middle."""
    return x.reshape(units, -1, x.shape[-1])


class _NoisyOptimizer(DPOptimizer):
    """Opacus' optimizer with the noise of a `RandomSource`."""

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
        self._drop_non_finite_units()
        super().clip_and_accumulate()

    def _drop_non_finite_units(self) -> None:
        """Zero a unit whose gradient is not finite: it counts as absent, and nobody can see that it was.

        Stopping instead would answer, without noise and without a charge, whether somebody's data
        overflow under weights that the server chose.
        """
        finite_U = torch.stack([torch.isfinite(p.grad_sample).flatten(1).all(1) for p in self.params]).all(0)
        if not bool(finite_U.all()):
            for p in self.params:
                p.grad_sample[~finite_U] = 0.0

    def add_noise(self) -> None:
        std = self.noise_multiplier * self.max_grad_norm
        count = sum(p.numel() for p in self.params)
        noise = std * self._source.normal(count, "noise", self.steps_taken) if std > 0 else np.zeros(count)
        start = 0
        for p in self.params:
            part = torch.from_numpy(noise[start : start + p.numel()]).view_as(p)
            p.grad = (p.summed_grad.double().view_as(p) + part).to(p.dtype)
            start += p.numel()
        self.steps_taken += 1

    def scale_grad(self) -> None:
        for p in self.params:
            p.grad /= self.expected_batch_size


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
        self._gradients = _UnitGradients(model)
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
        passes = [groups[i : i + size] for i in range(0, len(groups), size)] or [[]]
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
        return self._gradients.backward(
            lambda: (window_losses(self.model, x_BL, targets_B) * weight_B).sum(),
            self._optimizer.params,
            len(groups),
        )


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
