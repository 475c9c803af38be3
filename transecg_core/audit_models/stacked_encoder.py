"""The encoder's embeddings under many weights at once: a model's own windows, or a unit's, under each.

The arithmetic is that of `Encoder.forward`; sums are taken in another order, so that results agree to
rounding, not to the bit. The embedding is the class token, so the last block's queries, projection and
MLP are computed for that token alone.

Shapes: M weights (of models, or of one model's units), B windows under each, L samples, T tokens (the
class token included), D embedding. A weight that all share may stand once, as (1, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transecg_core.model.encoder import HEADS, Encoder

CACHED_WINDOWS = 32
"""Windows whose attention is computed at a time, so that their shares stay in a core's cache."""

Weights = Mapping[str, Tensor]


def embed(w: Weights, x_MBL: Tensor, like: Encoder) -> Tensor:
    """Return the embeddings (M, B, D) of the windows under each weight; `like` gives what is no weight."""
    models, batch, length = x_MBL.shape
    x_MRI = x_MBL.reshape(models, -1, like.patch)
    x_MBTD = linear(x_MRI, w, "encoder.embed").view(models, batch, length // like.patch, -1)
    cls_MBTD = w["encoder.tokens.cls"][:, None, 0].expand(models, batch, -1, -1)
    z_MBTD = torch.cat([cls_MBTD, x_MBTD], dim=2) + w["encoder.tokens.pos"]
    for i, block in enumerate(like.blocks):
        z_MBTD = _block(z_MBTD, w, f"encoder.blocks.{i}", block, last=i == len(like.blocks) - 1)
    z_MBD = _normed(z_MBTD[:, :, 0], like.norm)
    return torch.addcmul(w["encoder.norm.bias"][:, None], z_MBD, w["encoder.norm.weight"][:, None])


def linear(x_MRI: Tensor, w: Weights, name: str) -> Tensor:
    """Return the layer's output (M, R, O)."""
    return _affine(x_MRI, w[f"{name}.weight"], w[f"{name}.bias"])


def _affine(x_MRI: Tensor, weight_MOI: Tensor, bias_MO: Tensor) -> Tensor:
    if len(weight_MOI) == len(x_MRI):
        return torch.baddbmm(bias_MO[:, None], x_MRI, weight_MOI.mT)
    y_MRO = (x_MRI.flatten(0, 1) @ weight_MOI[0].mT).view(*x_MRI.shape[:2], -1)
    return y_MRO + bias_MO[:, None]


def _block(z_MBTD: Tensor, w: Weights, name: str, block: Any, last: bool) -> Tensor:
    """Return the block's output (M, B, T, D); of the last one the class token's alone (M, B, 1, D)."""
    dim = z_MBTD.shape[-1]
    y_MBTD, weight_MOI, bias_MO = _before(z_MBTD, w, block.norm1, f"{name}.norm1", f"{name}.attn.qkv")
    (wq, wkv), (bq, bkv) = (torch.split(of, [dim, 2 * dim], dim=1) for of in (weight_MOI, bias_MO))
    kv_MRD = _affine(y_MBTD.flatten(1, 2), wkv, bkv)
    if last:
        y_MBTD, z_MBTD = y_MBTD[:, :, :1], z_MBTD[:, :, :1]
    q_MRD = _affine(y_MBTD.flatten(1, 2), wq, bq)
    a_MRD = linear(_attended(q_MRD, kv_MRD, z_MBTD.shape[1]), w, f"{name}.attn.proj")
    z_MBTD = z_MBTD + a_MRD.view_as(z_MBTD)
    y_MBTD, weight_MOI, bias_MO = _before(z_MBTD, w, block.norm2, f"{name}.norm2", f"{name}.mlp.fc1")
    y_MRO = F.gelu(_affine(y_MBTD.flatten(1, 2), weight_MOI, bias_MO))
    return z_MBTD + linear(y_MRO, w, f"{name}.mlp.fc2").view_as(z_MBTD)


def _before(z_MBTD: Tensor, w: Weights, norm: nn.LayerNorm, normed: str, after: str) -> tuple[Tensor, ...]:
    """Return a layer's input, weight and bias, with the layer norm before it.

    The norm's affine part is folded into the layer where that is smaller: one small weight for many tokens.
    """
    y_MBTD = _normed(z_MBTD, norm)
    scale_MD, shift_MD = w[f"{normed}.weight"], w[f"{normed}.bias"]
    weight_MOI, bias_MO = w[f"{after}.weight"], w[f"{after}.bias"]
    if len(weight_MOI) < len(scale_MD) or weight_MOI.shape[1] > y_MBTD.shape[1] * y_MBTD.shape[2]:
        y_MBTD = torch.addcmul(shift_MD[:, None, None], y_MBTD, scale_MD[:, None, None])
        return y_MBTD, weight_MOI, bias_MO
    bias_MO = bias_MO + (weight_MOI @ shift_MD[:, :, None])[:, :, 0]
    return y_MBTD, weight_MOI * scale_MD[:, None], bias_MO


def _attended(q_MRD: Tensor, kv_MRD: Tensor, batch: int) -> Tensor:
    """Return the values (M, B S, D) that queries (M, B S, D) take from keys and values (M, B T, 2 D)."""
    mixed: Tensor = Attention.apply(q_MRD.flatten(0, 1), kv_MRD.flatten(0, 1), len(q_MRD) * batch)
    return mixed.view_as(q_MRD)


class Attention(torch.autograd.Function):
    """Softmax attention: queries (B S, D), keys and values (B T, 2 D) of B windows -> (B S, D).

    Some windows at a time, for the shares (B, heads, S, T) of all of them would not fit a core's cache.
    torch's fused kernel is slower at 41 tokens of 16 numbers, and its own derivative copies more.
    """

    @staticmethod
    def forward(ctx: Any, q_RD: Tensor, kv_RD: Tensor, batch: int) -> Tensor:
        """Return the mixed values."""
        parts = max(1, round(batch / CACHED_WINDOWS))
        ctx.sizes = [batch * (i + 1) // parts - batch * i // parts for i in range(parts)]
        mixed, saved = [], []
        for size, q, kv in _rows(ctx.sizes, batch, q_RD, kv_RD):
            q_NSE, (k_NTE, v_NTE) = _by_head(q, size, 1)[0], _by_head(kv, size, 2)
            q_NSE = q_NSE * q_NSE.shape[-1] ** -0.5
            share_NST = torch.bmm(q_NSE, k_NTE.mT).softmax(dim=-1)
            mixed.append(_by_token(torch.bmm(share_NST, v_NTE)[None], size))
            saved += [q_NSE, k_NTE, v_NTE, share_NST]
        ctx.save_for_backward(*saved)
        return torch.cat(mixed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients of queries and of keys and values."""
        saved, gq, gkv = ctx.saved_tensors, [], []
        for i, (size, g_RD) in enumerate(_rows(ctx.sizes, sum(ctx.sizes), gradients[0])):
            q_NSE, k_NTE, v_NTE, share_NST = saved[4 * i : 4 * i + 4]
            (g_NSE,) = _by_head(g_RD, size, 1)
            gshare_NST = torch.bmm(g_NSE, v_NTE.mT)
            gscore_NST = torch._softmax_backward_data(gshare_NST, share_NST, -1, share_NST.dtype)
            gq_NSE = torch.bmm(gscore_NST, k_NTE) * q_NSE.shape[-1] ** -0.5
            gkv_2NTE = torch.stack([torch.bmm(gscore_NST.mT, q_NSE), torch.bmm(share_NST.mT, g_NSE)])
            gq.append(_by_token(gq_NSE[None], size))
            gkv.append(_by_token(gkv_2NTE, size))
        return torch.cat(gq), torch.cat(gkv), None


def _rows(sizes: list[int], batch: int, *of: Tensor) -> Any:
    """Return for each part of so many windows its size and its rows of every tensor (B T, D)."""
    return zip(sizes, *(t.split([size * (len(t) // batch) for size in sizes]) for t in of), strict=True)  # type: ignore[no-untyped-call]


def _by_head(y_RD: Tensor, batch: int, parts: int) -> Tensor:
    """Return (B T, parts D) as (parts, B heads, T, E), copied."""
    y_BTPHE = y_RD.view(batch, -1, parts, HEADS, y_RD.shape[1] // (parts * HEADS))
    return y_BTPHE.permute(2, 0, 3, 1, 4).flatten(1, 2).contiguous()


def _by_token(y_PNTE: Tensor, batch: int) -> Tensor:
    """Undo `_by_head`."""
    parts, _, tokens, size = y_PNTE.shape
    y_PBHTE = y_PNTE.view(parts, batch, HEADS, tokens, size)
    return y_PBHTE.permute(1, 3, 0, 2, 4).reshape(batch * tokens, parts * HEADS * size)


def _normed(z: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Return the layer norm before its weight and bias."""
    return F.layer_norm(z, (z.shape[-1],), eps=norm.eps)
