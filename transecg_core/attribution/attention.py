"""What is read off the encoder's attention maps (see `transecg_core.attribution.embedding`).

A map is (B, H, T + 1, T + 1), class token first; of the last block the class token's row is enough.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def cls_attention(maps: Sequence[Tensor]) -> Tensor:
    """Return the last block's attention from the class token to the T patches, mean over heads, (B, T)."""
    return maps[-1].mean(dim=1)[:, 0, 1:]


def rollout(maps: Sequence[Tensor]) -> Tensor:
    """Return attention rollout from the class token, (B, T + 1): the product over blocks of (A + I) / 2.

    A row sums to 1. Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers".
    """
    row_B1T = _class_row(maps)
    for attention in reversed(maps):
        row_B1T = 0.5 * _through(row_B1T, attention.mean(dim=1)) + 0.5 * row_B1T
    return row_B1T[:, 0]


def gradient_weighted(maps: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """Return class-specific gradient-weighted attention from the class token to the patches, (B, T).

    Per block, attention times the gradient of the explained score by it, negative products set to
    zero, mean over heads; accumulated as R <- R + A R from the identity. Source: Chefer, Gur and Wolf
    2021, "Generic Attention-model Explainability" (the rule without layer-wise relevance propagation).
    """
    row_B1T = _class_row(maps)
    for attention, gradient in zip(reversed(maps), reversed(gradients), strict=True):
        row_B1T = row_B1T + _through(row_B1T, (attention * gradient).clamp(min=0).mean(dim=1))
    return row_B1T[:, 0, 1:]


def _class_row(maps: Sequence[Tensor]) -> Tensor:
    """Return the class token's row of the identity, (B, 1, T + 1): both products are formed from the top down."""
    row_B1T = maps[0].new_zeros(maps[0].shape[0], 1, maps[0].shape[-1])
    row_B1T[:, :, 0] = 1.0
    return row_B1T


def _through(row_B1T: Tensor, weight_BQT: Tensor) -> Tensor:
    # Rows left out of a block's map are those that the row has no weight on yet.
    return row_B1T[:, :, : weight_BQT.shape[1]] @ weight_BQT
