"""Attention maps of the encoder, and what is read off them.

``timm`` uses fused attention, which never forms the attention matrix. It is switched off
while maps are captured and restored afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from transecg_core.model.encoder import Encoder


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put `module` in evaluation mode and restore its mode afterwards."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


@contextmanager
def captured_attention(encoder: Encoder) -> Iterator[list[Tensor]]:
    """Yield a list that a forward pass fills with one attention tensor (B, H, T + 1, T + 1) per block.

    The tensors belong to the graph, so scores can be differentiated by them.
    """
    maps: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        maps.append(output)

    attentions: list[Any] = [block.attn for block in encoder.blocks]
    fused = [attention.fused_attn for attention in attentions]
    # The attention dropout sees the softmaxed weights, and in evaluation mode passes them on as they are.
    hooks = [attention.attn_drop.register_forward_hook(keep) for attention in attentions]
    try:
        for attention in attentions:
            attention.fused_attn = False
        with evaluating(encoder):
            yield maps
    finally:
        for attention, was_fused, hook in zip(attentions, fused, hooks, strict=True):
            attention.fused_attn = was_fused
            hook.remove()


def cls_attention(maps: Sequence[Tensor]) -> Tensor:
    """Return the last block's attention from the class token to the T patches, mean over heads, (B, T)."""
    return maps[-1].mean(dim=1)[:, 0, 1:]


def rollout(maps: Sequence[Tensor]) -> Tensor:
    """Return attention rollout, (B, T + 1, T + 1): the product over blocks of (attention + identity) / 2.

    Rows sum to 1. Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers".
    """
    identity = torch.eye(maps[0].shape[-1])
    flow = identity.expand(maps[0].shape[0], -1, -1)
    for attention in maps:
        flow = (0.5 * attention.mean(dim=1) + 0.5 * identity) @ flow
    return flow


def gradient_weighted(maps: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """Return class-specific gradient-weighted attention from the class token to the patches, (B, T).

    Per block, attention times the gradient of the explained score by it, negative products set to
    zero, mean over heads; accumulated as R <- R + A R from the identity. Source: Chefer, Gur and Wolf
    2021, "Generic Attention-model Explainability" (the rule without layer-wise relevance propagation).
    """
    flow = torch.eye(maps[0].shape[-1]).expand(maps[0].shape[0], -1, -1)
    for attention, gradient in zip(maps, gradients, strict=True):
        flow = flow + (attention * gradient).clamp(min=0).mean(dim=1) @ flow
    return flow[:, 0, 1:]
