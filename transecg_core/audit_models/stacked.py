"""One round's plain steps at several sites at once: their weights side by side, one product for all.

The arithmetic is that of `train_local` and `Encoder.forward`; sums are taken in another order, so that
results agree to rounding, not to the bit. Three things make it faster: the sites share every call; the
embedding is the class token, so the last block's queries, projection and MLP are computed for that token
alone; and all parameters lie in one array, which the optimizer moves in one call.

Shapes: M models, B windows each, L samples, T tokens (the class token included), D embedding, P parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transecg_core.config import RunConfig
from transecg_core.model.encoder import HEADS, Encoder
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

Weights = Mapping[str, Tensor]


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
            y_MBC = _linear(z_MBD, w, f"heads.{task}")
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


def embed(w: Weights, x_MBL: Tensor, like: Encoder) -> Tensor:
    """Return the embeddings (M, B, D) of each model's own windows; `like` gives what is no weight."""
    models, batch, length = x_MBL.shape
    x_MRI = x_MBL.reshape(models, -1, like.patch)
    x_MBTD = _linear(x_MRI, w, "encoder.embed")
    x_MBTD = x_MBTD.view(models, batch, length // like.patch, -1)
    cls_MBTD = w["encoder.tokens.cls"][:, None, 0].expand(-1, batch, -1, -1)
    z_MBTD = torch.cat([cls_MBTD, x_MBTD], dim=2) + w["encoder.tokens.pos"]
    for i, block in enumerate(like.blocks):
        z_MBTD = _block(z_MBTD, w, f"encoder.blocks.{i}", block, last=i == len(like.blocks) - 1)
    z_MBD = _normed(z_MBTD[:, :, 0], like.norm)
    return torch.addcmul(w["encoder.norm.bias"][:, None], z_MBD, w["encoder.norm.weight"][:, None])


def _block(z_MBTD: Tensor, w: Weights, name: str, block: Any, last: bool) -> Tensor:
    """Return the block's output (M, B, T, D); of the last one the class token's alone (M, B, 1, D)."""
    dim = z_MBTD.shape[-1]
    y_MBTD = _normed(z_MBTD, block.norm1)
    weight, bias = _folded(w, f"{name}.norm1", f"{name}.attn.qkv")
    (wq, wkv), (bq, bkv) = (torch.split(of, [dim, 2 * dim], dim=1) for of in (weight, bias))
    kv_MRD = torch.baddbmm(bkv[:, None], y_MBTD.flatten(1, 2), wkv.mT)
    if last:
        y_MBTD, z_MBTD = y_MBTD[:, :, :1], z_MBTD[:, :, :1]
    q_MRD = torch.baddbmm(bq[:, None], y_MBTD.flatten(1, 2), wq.mT)
    a_MRD = _linear(Attention.apply(q_MRD, kv_MRD, z_MBTD.shape[1]), w, f"{name}.attn.proj")
    z_MBTD = z_MBTD + a_MRD.view_as(z_MBTD)
    weight, bias = _folded(w, f"{name}.norm2", f"{name}.mlp.fc1")
    y_MRD = torch.baddbmm(bias[:, None], _normed(z_MBTD, block.norm2).flatten(1, 2), weight.mT)
    return z_MBTD + _linear(F.gelu(y_MRD), w, f"{name}.mlp.fc2").view_as(z_MBTD)


class Attention(torch.autograd.Function):
    """Softmax attention of a stack: queries (M, B S, D), keys and values (M, B T, 2 D) -> (M, B S, D).

    Model by model, for the shares (B, heads, S, T) of all of them would not fit a core's cache. torch's
    fused kernel is slower at 41 tokens of 16 numbers, and its own derivative copies more.
    """

    @staticmethod
    def forward(ctx: Any, q_MRD: Tensor, kv_MRD: Tensor, batch: int) -> Tensor:
        """Return the mixed values."""
        mixed, saved = [], []
        for q_RD, kv_RD in zip(q_MRD, kv_MRD, strict=True):
            q_NSE, (k_NTE, v_NTE) = _by_head(q_RD, batch, 1)[0], _by_head(kv_RD, batch, 2)
            q_NSE = q_NSE * q_NSE.shape[-1] ** -0.5
            share_NST = torch.bmm(q_NSE, k_NTE.mT).softmax(dim=-1)
            mixed.append(_by_token(torch.bmm(share_NST, v_NTE)[None], batch))
            saved += [q_NSE, k_NTE, v_NTE, share_NST]
        ctx.save_for_backward(*saved)
        ctx.batch = batch
        return torch.stack(mixed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients of queries and of keys and values."""
        saved, gq, gkv = ctx.saved_tensors, [], []
        for i, g_RD in enumerate(gradients[0]):
            q_NSE, k_NTE, v_NTE, share_NST = saved[4 * i : 4 * i + 4]
            (g_NSE,) = _by_head(g_RD, ctx.batch, 1)
            gshare_NST = torch.bmm(g_NSE, v_NTE.mT)
            gscore_NST = torch._softmax_backward_data(gshare_NST, share_NST, -1, share_NST.dtype)
            gq_NSE = torch.bmm(gscore_NST, k_NTE) * q_NSE.shape[-1] ** -0.5
            gkv_2NTE = torch.stack([torch.bmm(gscore_NST.mT, q_NSE), torch.bmm(share_NST.mT, g_NSE)])
            gq.append(_by_token(gq_NSE[None], ctx.batch))
            gkv.append(_by_token(gkv_2NTE, ctx.batch))
        return torch.stack(gq), torch.stack(gkv), None


def _by_head(y_RD: Tensor, batch: int, parts: int) -> Tensor:
    """Return (B T, parts D) as (parts, B heads, T, E), copied."""
    y_BTPHE = y_RD.view(batch, -1, parts, HEADS, y_RD.shape[1] // (parts * HEADS))
    return y_BTPHE.permute(2, 0, 3, 1, 4).flatten(1, 2).contiguous()


def _by_token(y_PNTE: Tensor, batch: int) -> Tensor:
    """Undo `_by_head`."""
    parts, _, tokens, size = y_PNTE.shape
    y_PBHTE = y_PNTE.view(parts, batch, HEADS, tokens, size)
    return y_PBHTE.permute(1, 3, 0, 2, 4).reshape(batch * tokens, parts * HEADS * size)


def _linear(x_MRI: Tensor, w: Weights, name: str) -> Tensor:
    return torch.baddbmm(w[f"{name}.bias"][:, None], x_MRI, w[f"{name}.weight"].mT)


def _normed(z: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Return the layer norm before its weight and bias."""
    return F.layer_norm(z, (z.shape[-1],), eps=norm.eps)


def _folded(w: Weights, norm: str, linear: str) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a layer norm's affine part and the linear layer after it, as one layer."""
    weight_MOI = w[f"{linear}.weight"]
    bias_MO = w[f"{linear}.bias"] + (weight_MOI @ w[f"{norm}.bias"][:, :, None])[:, :, 0]
    return weight_MOI * w[f"{norm}.weight"][:, None], bias_MO


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
