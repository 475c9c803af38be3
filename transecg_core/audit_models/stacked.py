"""One round's plain steps at several sites at once: their weights side by side, one product for all.

The arithmetic is that of `train_local`; sums are taken in another order, so that results agree to rounding,
not to the bit. Three things make it faster: the sites share every call; the encoder computes no more than
the class token needs (`stacked_encoder`); and all parameters lie in one array, which the optimizer moves in
one call.

Shapes: M models, B windows each, L samples, D embedding, P parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from transecg_core.audit_models.stacked_encoder import Weights, embed, linear
from transecg_core.config import RunConfig
from transecg_core.model.heads import SiteModel
from transecg_core.sites import Site
from transecg_core.training.local import (
    LARGEST_GRADIENT,
    MISSING,
    TrainingSet,
    cosine,
    draw_batch,
    losses_of,
    optimizer_for,
)
from transecg_core.training.site_round import SiteRound, batch_seed, first_step

SIDE_BY_SIDE = 4
"""Most models of a stack: more share the calls, fewer stay in a core's cache."""


class Stack(nn.Module):
    """The weights of M models of one architecture in one array (M, P).

    Participant heads may differ in size: smaller ones are filled up with classes that nobody has.

    Parameters
    ----------
    models
        What is stacked; `unstack` writes back into them.
    heads
        Per model, the tasks whose heads a loss reaches; the others stay as they are.
    """

    def __init__(self, models: Sequence[SiteModel], heads: Sequence[set[str]]) -> None:
        super().__init__()
        self._models = list(models)
        named = [dict(model.named_parameters()) for model in models]
        self._shapes = {
            name: torch.Size(max(sizes) for sizes in zip(*(own[name].shape for own in named), strict=True))
            for name in named[0]
        }
        start_MP = torch.stack([self._flat({n: p.detach() for n, p in own.items()}) for own in named])
        self.weights_MP = nn.Parameter(start_MP)
        moving = [
            self._flat({n: torch.full_like(p, float(p.requires_grad and _reached(n, tasks))) for n, p in own.items()})
            for own, tasks in zip(named, heads, strict=True)
        ]  # fmt: skip
        self._still_MP = torch.stack(moving) == 0
        self._start_MP = start_MP.clone() if bool(self._still_MP.any()) else None

    def _flat(self, own: Weights) -> Tensor:
        return torch.cat([_padded(own[name], shape).flatten() for name, shape in self._shapes.items()])

    def weights(self) -> dict[str, Tensor]:
        """Return name -> weights (M, ...), as one differentiable view."""
        parts = torch.split(self.weights_MP, [shape.numel() for shape in self._shapes.values()], dim=1)
        return {n: p.view(-1, *s) for p, (n, s) in zip(parts, self._shapes.items(), strict=True)}

    def logits(self, x_MBL: Tensor) -> dict[str, Tensor]:
        """Return task -> logits (M B, classes); those of classes that nobody has are -inf."""
        w = self.weights()
        z_MBD = embed(w, x_MBL, self._models[0].encoder)
        out = {}
        for task in self._models[0].heads:
            y_MBC = linear(z_MBD, w, f"heads.{task}")
            own = [len(model.get_parameter(f"heads.{task}.bias")) for model in self._models]
            if min(own) < max(own):
                beyond_MC = torch.arange(max(own)) >= torch.tensor(own)[:, None]
                y_MBC = y_MBC.masked_fill(beyond_MC[:, None], -math.inf)
            out[task] = y_MBC.flatten(0, 1)
        return out

    def clip(self) -> None:
        """Scale each model's gradient down to `LARGEST_GRADIENT`, as `torch.nn.utils.clip_grad_norm_` does."""
        gradient_MP = self.weights_MP.grad
        assert gradient_MP is not None
        if self._start_MP is not None:
            gradient_MP[self._still_MP] = 0.0
        norm_M1 = torch.linalg.vector_norm(gradient_MP, dim=1, keepdim=True)
        gradient_MP.mul_((LARGEST_GRADIENT / (norm_M1 + 1e-6)).clamp(max=1.0))

    def put_back(self) -> None:
        """Undo what weight decay did to parameters that don't train."""
        if self._start_MP is not None:
            with torch.no_grad():
                self.weights_MP.copy_(torch.where(self._still_MP, self._start_MP, self.weights_MP))

    def unstack(self) -> None:
        """Write the weights into the models."""
        stacked = {name: w.detach() for name, w in self.weights().items()}
        for i, model in enumerate(self._models):
            own = model.state_dict()
            model.load_state_dict({
                name: stacked[name][i][tuple(slice(size) for size in value.shape)] for name, value in own.items()
            })  # fmt: skip


def _reached(name: str, tasks: set[str]) -> bool:
    return not name.startswith("heads.") or name.split(".")[1] in tasks


def _padded(value: Tensor, shape: torch.Size) -> Tensor:
    """Return `value` with zeros appended to its first dimension."""
    out = value.new_zeros(shape)
    out[: len(value)] = value
    return out


def side_by_side(cfg: RunConfig, round_: Sequence[tuple[Site, SiteRound]]) -> None:
    """Take one round's plain steps at all sites, in place: what `recipe.one_by_one` does, to rounding."""
    for first in range(0, len(round_), SIDE_BY_SIDE):
        _train(cfg, [at for _, at in round_[first : first + SIDE_BY_SIDE]])


def _train(cfg: RunConfig, sites: Sequence[SiteRound]) -> None:
    rate, first = cosine(cfg.rate, cfg.rounds * cfg.steps), first_step(cfg, sites[0].number)
    generators = [torch.Generator().manual_seed(batch_seed(cfg, at.name, at.number)) for at in sites]
    stack = Stack([at.model for at in sites], [set(at.data.targets) for at in sites])
    optimizer = optimizer_for(stack, rate(first))
    for step in range(first, first + cfg.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        x_MBL, targets = _batches([at.data for at in sites], cfg.batch, generators)
        loss_M = losses_of(stack.logits(x_MBL), targets, len(sites) * cfg.batch).view(len(sites), -1).mean(1)
        if not bool(torch.isfinite(loss_M).all()):
            raise FloatingPointError(f"loss is {loss_M.tolist()} at step {step}")
        optimizer.zero_grad()
        loss_M.sum().backward()  # type: ignore[no-untyped-call]
        stack.clip()
        optimizer.step()
        stack.put_back()
    stack.unstack()


def _batches(
    data: Sequence[TrainingSet], size: int, generators: Sequence[torch.Generator]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return every site's next batch (M, B, L), and the targets (M B) of all tasks that some site has."""
    drawn = [draw_batch(own, size, generator) for own, generator in zip(data, generators, strict=True)]
    missing = torch.full((size,), MISSING)
    targets = {
        task: torch.cat([own.get(task, missing) for _, own in drawn])
        for task in dict.fromkeys(task for _, own in drawn for task in own)
    }
    return torch.stack([x_BL for x_BL, _ in drawn]), targets
