"""One round's private steps at a site for an audit model: every unit under its own copy of the weights.

The recipe is that of `train_private`, with the same draws, windows and noise; the gradient of a unit's
copy is the unit's gradient. Sums are taken in another order, so that results agree to rounding, not to
the bit. It is faster because the encoder computes no more than the class token needs (`stacked_encoder`).

It protects nobody: its noise is seeded, and no audit model is released. What leaves a site is trained by
`transecg_core.training.private` alone.

Shapes: U units, W windows of each, L samples, P trainable parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from transecg_core.audit_models.stacked_encoder import embed, linear
from transecg_core.config import RunConfig
from transecg_core.model.heads import SiteModel
from transecg_core.privacy.account import planned_mechanism
from transecg_core.privacy.noise import RandomSource, source_for
from transecg_core.sites import Site, public_counts
from transecg_core.training.local import cosine, losses_of, optimizer_for
from transecg_core.training.private import check_weights, clip_factors
from transecg_core.training.sampling import Batch, PrivateSpec, check_cap, draw_units, passes, unit_batch
from transecg_core.training.site_round import SiteRound, first_step, noise_seed, private_spec


class UnitWeights(nn.Module):
    """A model's trainable parameters in one array (P,), and copies of them for units.

    Parameters
    ----------
    model
        Whose weights; `write_back` moves them.
    """

    def __init__(self, model: SiteModel) -> None:
        super().__init__()
        self._model = model
        named = dict(model.named_parameters())
        self._trained = {name: p for name, p in named.items() if p.requires_grad}
        self._frozen = {name: p.detach()[None] for name, p in named.items() if not p.requires_grad}
        self.flat_P = nn.Parameter(torch.cat([p.detach().flatten() for p in self._trained.values()]))

    def gradients(self, batch: Batch) -> Tensor:
        """Return the gradient (U, P) of every unit's loss; zeros where the site has no label of any task."""
        if not batch.targets_B:
            return torch.zeros(batch.units, len(self.flat_P))
        copies_UP = self.flat_P.detach().expand(batch.units, -1).requires_grad_()
        parts = copies_UP.split([p.numel() for p in self._trained.values()], dim=1)  # type: ignore[no-untyped-call]
        own = zip(self._trained.items(), parts, strict=True)
        w = self._frozen | {name: part.view(-1, *p.shape) for (name, p), part in own}
        x_UWL = batch.x_BL.view(batch.units, -1, batch.x_BL.shape[1])
        z_UWD = embed(w, x_UWL, self._model.encoder)
        logits = {task: linear(z_UWD, w, f"heads.{task}").flatten(0, 1) for task in batch.targets_B}
        loss = (losses_of(logits, batch.targets_B, len(batch.x_BL)) * batch.weight_B).sum()
        (gradient_UP,) = torch.autograd.grad(loss, copies_UP)
        return gradient_UP

    def write_back(self) -> None:
        """Write the array into the model."""
        parts = self.flat_P.detach().split([p.numel() for p in self._trained.values()])  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for p, part in zip(self._trained.values(), parts, strict=True):
                p.copy_(part.view_as(p))


def private_side_by_side(cfg: RunConfig, round_: Sequence[tuple[Site, SiteRound]]) -> None:
    """Take one round's private steps, in place: what `recipe.one_by_one` does with ``bound=False``, to rounding.

    The noise of a run hangs on the weights that it covers, bit by bit, so that a site which is asked
    twice never covers two updates by one noise. Nobody asks an audit model: here the seed, the site
    and the round decide, and rounding doesn't.
    """
    for site, at in round_:
        counts = public_counts(cfg, site.people)
        spec = private_spec(cfg, planned_mechanism(cfg, *counts), counts)
        _train(cfg, at, spec, source_for(noise_seed(cfg, at.name, at.number, "")))


def _train(cfg: RunConfig, at: SiteRound, spec: PrivateSpec, source: RandomSource) -> None:
    check_weights(at.model)
    check_cap(at.data, spec)
    rate, first = cosine(cfg.rate, cfg.rounds * cfg.steps), first_step(cfg, at.number)
    weights = UnitWeights(at.model)
    optimizer = optimizer_for(weights, rate(first))
    for step in range(cfg.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(first + step)
        total_P = torch.zeros(len(weights.flat_P), dtype=torch.float64)
        for index, groups in enumerate(passes(draw_units(at.data, spec, source, step), spec)):
            batch = unit_batch(at.data, groups, spec, source.seed("augment", step, index))
            total_P += _clipped_sum(weights.gradients(batch), spec.clip_norm)
        weights.flat_P.grad = _noised(total_P, spec, source.normal(len(total_P), "noise", step))
        optimizer.step()
    weights.write_back()


def _clipped_sum(gradient_UP: Tensor, clip_norm: float) -> Tensor:
    factor_U = clip_factors(torch.linalg.vector_norm(gradient_UP, dim=1), clip_norm)
    gradient_UP[factor_U == 0] = 0.0  # zero times NaN would reach everybody's sum
    return (factor_U @ gradient_UP).double()


def _noised(total_P: Tensor, spec: PrivateSpec, noise_P: np.ndarray) -> Tensor:
    total_P.add_(torch.from_numpy(noise_P), alpha=spec.sigma * spec.clip_norm)
    return total_P.float().div_(spec.expected)
