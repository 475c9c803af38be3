"""Relevance per sample: five methods behind one function.

Every method works per token (patch); a token's relevance is spread evenly over its samples,
so that sums over samples and over tokens agree.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from transecg_core.attribution.attention import (
    captured_attention,
    cls_attention,
    evaluating,
    gradient_weighted,
    rollout,
)
from transecg_core.attribution.targets import Target
from transecg_core.model.encoder import Encoder
from transecg_core.model.heads import SiteModel

METHODS: tuple[str, ...] = ("cls-attention", "rollout", "gradient-attention", "occlusion", "random")
TASK_BLIND: frozenset[str] = frozenset({"cls-attention", "rollout", "random"})
"""Methods that never see the target: on a shared trunk they give one map for all tasks."""

OCCLUSION_FILL = 0.0
"""What an occluded patch is replaced by: the z-normed window's own mean. Insertion and deletion
fill with the mean training beat instead, so that occlusion isn't judged by its own yardstick."""

CHUNK = 256
"""Windows per forward pass; larger batches aren't faster on a CPU."""


def relevance(
    model: SiteModel, x_BL: np.ndarray, target: Target, method: str, *, seed: int = 0
) -> np.ndarray:
    """Return how much each sample speaks for `target`, float32 (B, L).

    Parameters
    ----------
    model
        Encoder and heads; left as it was found.
    x_BL
        z-normed windows, float32.
    target
        The scalar to explain, made for exactly these windows.
    method
        One of `METHODS`. ``cls-attention``, ``rollout`` and ``random`` don't depend on `target`.
        Only ``occlusion`` has a sign: negative samples speak against the target.
    seed
        Seed of the ``random`` scores; other methods draw nothing.

    Raises
    ------
    ValueError
        For an unknown method.
    """
    return relevances(model, x_BL, {"target": target}, method, seed=seed)["target"]


def relevances(
    model: SiteModel, x_BL: np.ndarray, targets: Mapping[str, Target], method: str, *, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return name -> `relevance` for several targets on the same windows, sharing the passes."""
    encoder = model.encoder
    if method == "random":
        rng = np.random.default_rng(seed)
        token_BT = rng.random((len(x_BL), x_BL.shape[1] // encoder.patch)).astype(np.float32)
        return {name: _per_sample(token_BT, encoder.patch) for name in targets}
    if method == "occlusion":
        token = _occlusion(encoder, x_BL, targets)
    elif method == "gradient-attention":
        token = _gradient_attention(encoder, x_BL, targets)
    elif method in TASK_BLIND:
        blind_BT = _attention(encoder, x_BL, method)
        token = {name: blind_BT for name in targets}
    else:
        raise ValueError(f"no relevance method '{method}'; one of {', '.join(METHODS)}")
    return {name: _per_sample(value_BT, encoder.patch) for name, value_BT in token.items()}


def per_token(relevance_BL: np.ndarray, patch: int) -> np.ndarray:
    """Return the relevance of each token (B, T): the sum over its samples."""
    token_BT: np.ndarray = relevance_BL.reshape(len(relevance_BL), relevance_BL.shape[1] // patch, patch).sum(
        axis=2
    )
    return token_BT


def _per_sample(token_BT: np.ndarray, patch: int) -> np.ndarray:
    return np.repeat(token_BT / patch, patch, axis=1).astype(np.float32)


def embed(encoder: Encoder, x_BL: np.ndarray) -> Tensor:
    """Return the embeddings (B, D) of windows, without a graph."""
    with torch.no_grad(), evaluating(encoder):
        return torch.cat([encoder(part) for part in _chunks(x_BL)])


def _chunks(x_BL: np.ndarray) -> tuple[Tensor, ...]:
    return torch.tensor_split(
        torch.from_numpy(np.ascontiguousarray(x_BL, dtype=np.float32)), tuple(range(CHUNK, len(x_BL), CHUNK))
    )


def _attention(encoder: Encoder, x_BL: np.ndarray, method: str) -> np.ndarray:
    parts = []
    for part in _chunks(x_BL):
        with torch.no_grad(), captured_attention(encoder) as maps:
            encoder(part)
        parts.append(cls_attention(maps) if method == "cls-attention" else rollout(maps)[:, 0, 1:])
    return torch.cat(parts).numpy()


def _gradient_attention(
    encoder: Encoder, x_BL: np.ndarray, targets: Mapping[str, Target]
) -> dict[str, np.ndarray]:
    parts: dict[str, list[Tensor]] = {name: [] for name in targets}
    start = 0
    for part in _chunks(x_BL):
        row_M = torch.arange(start, start + len(part))
        start += len(part)
        with torch.enable_grad(), captured_attention(encoder) as maps:
            # Differentiable input: the maps are in the graph even where all weights are frozen.
            z_MD = encoder(part.clone().requires_grad_())
            for name, target in targets.items():
                total = target.score(z_MD, row_M).sum()
                gradients = torch.autograd.grad(total, maps, retain_graph=True)
                detached = [attention.detach() for attention in maps]
                parts[name].append(gradient_weighted(detached, gradients))
    return {name: torch.cat(pieces).numpy() for name, pieces in parts.items()}


def occluded(x_BL: np.ndarray, patch: int, fill: float = OCCLUSION_FILL) -> np.ndarray:
    """Return every window with each patch in turn replaced by `fill`, (B, T, L)."""
    batch, length = x_BL.shape
    tokens = length // patch
    covered_TL = np.repeat(np.eye(tokens, dtype=bool), patch, axis=1)
    return np.where(covered_TL[None], np.float32(fill), x_BL[:, None, :]).reshape(batch, tokens, length)


def _occlusion(encoder: Encoder, x_BL: np.ndarray, targets: Mapping[str, Target]) -> dict[str, np.ndarray]:
    tokens = x_BL.shape[1] // encoder.patch
    z_BD = embed(encoder, x_BL)
    rows_per_chunk = max(1, 4 * CHUNK // tokens)
    z_parts = [
        embed(
            encoder, occluded(x_BL[start : start + rows_per_chunk], encoder.patch).reshape(-1, x_BL.shape[1])
        )
        for start in range(0, len(x_BL), rows_per_chunk)
    ]
    z_MD = torch.cat(z_parts)
    row_B = torch.arange(len(x_BL))
    row_M = row_B.repeat_interleave(tokens)
    drops = {}
    with torch.no_grad():
        for name, target in targets.items():
            without_BT = target.score(z_MD, row_M).reshape(-1, tokens)
            drops[name] = (target.score(z_BD, row_B)[:, None] - without_BT).numpy()
    return drops
