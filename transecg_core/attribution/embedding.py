"""Embeddings of many windows, fast, and the attention they were made with.

An embedding is the class token of the last block, so the last block needs one query (the class token's)
and one feed-forward row instead of T + 1. And with 41 tokens, attention written out is faster on a CPU
than the fused kernel that ``timm`` uses. Together about 0.6 of the time of `Encoder.forward` (see
benchmarks/attribution_speed.py), the same numbers to rounding (tested), and the attention weights at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from transecg_core.model.encoder import Encoder

CHUNK = 256
"""Windows per forward pass; larger batches aren't faster on a CPU."""


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put `module` in evaluation mode and restore its mode afterwards."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


def class_token(encoder: nn.Module, x_BL: Tensor, maps: list[Tensor] | None = None) -> Tensor:
    """Return the embeddings (B, D) of windows (B, L), as `Encoder.forward` in evaluation mode does.

    Parameters
    ----------
    encoder
        An `Encoder`; any other module is called as it is.
    maps
        A list to which every block's attention weights are appended, in the graph, so that scores can be
        differentiated by them: (B, H, T + 1, T + 1), and of the last block the class token's row,
        (B, H, 1, T + 1).
    """
    if not isinstance(encoder, Encoder):
        other_BD: Tensor = encoder(x_BL)
        return other_BD
    x_BTD = encoder.tokens(encoder.embed(x_BL.reshape(len(x_BL), -1, encoder.patch)))
    blocks: list[Any] = list(encoder.blocks)
    for number, block in enumerate(blocks, start=1):
        queries = 1 if number == len(blocks) else x_BTD.shape[1]
        update_BQD, weight_BHQT = _attend(block.attn, block.norm1(x_BTD), queries)
        if maps is not None:
            maps.append(weight_BHQT)
        x_BTD = x_BTD[:, :queries] + block.drop_path1(block.ls1(update_BQD))
        x_BTD = x_BTD + block.drop_path2(block.ls2(block.mlp(block.norm2(x_BTD))))
    z_BD: Tensor = encoder.norm(x_BTD[:, 0])
    return z_BD


def _attend(attention: Any, x_BTD: Tensor, queries: int) -> tuple[Tensor, Tensor]:
    """Return what the first `queries` tokens take up (B, Q, D), and with which weights (B, H, Q, T)."""
    batch, _, dim = x_BTD.shape
    shape = (batch, -1, attention.num_heads, attention.head_dim)
    weight, bias = attention.qkv.weight, attention.qkv.bias
    q_BQD = functional.linear(x_BTD[:, :queries], weight[:dim], bias[:dim])
    k_BTD, v_BTD = functional.linear(x_BTD, weight[dim:], bias[dim:]).chunk(2, dim=2)
    q, k, v = (part.reshape(shape).transpose(1, 2) for part in (q_BQD * attention.scale, k_BTD, v_BTD))
    weight_BHQT = (q @ k.transpose(2, 3)).softmax(dim=3)
    taken_BQD = (weight_BHQT @ v).transpose(1, 2).reshape(batch, queries, dim)
    return attention.proj(taken_BQD), weight_BHQT


def embed(encoder: Encoder, x_BL: np.ndarray) -> Tensor:
    """Return the embeddings (B, D) of windows, without a graph."""
    with torch.no_grad(), evaluating(encoder):
        return torch.cat([class_token(encoder, part) for part in chunks(x_BL)])


def chunks(x_BL: np.ndarray, size: int = CHUNK) -> tuple[Tensor, ...]:
    """Return windows as tensors of at most `size` rows each, in order."""
    x = torch.from_numpy(np.ascontiguousarray(x_BL, dtype=np.float32))
    return torch.tensor_split(x, tuple(range(size, len(x_BL), size)))
