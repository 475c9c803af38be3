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

CHUNK = 256
"""Windows per forward pass; larger batches aren't faster on a CPU."""


def relevance(
    model: SiteModel,
    x_BL: np.ndarray,
    target: Target,
    method: str,
    *,
    fill_KBL: np.ndarray | None = None,
    seed: int = 0,
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
    fill_KBL
        For ``occlusion``: K windows per window whose patches take the place of its own, one patch
        at a time; the effect is averaged over K. See `transecg_core.attribution.cohort.donors`.
    seed
        Seed of the ``random`` scores; other methods draw nothing.

    Raises
    ------
    ValueError
        For an unknown method, or occlusion without a fill.
    """
    return relevances(model, x_BL, {"target": target}, method, fill_KBL=fill_KBL, seed=seed)["target"]


def relevances(
    model: SiteModel,
    x_BL: np.ndarray,
    targets: Mapping[str, Target],
    method: str,
    *,
    fill_KBL: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Return name -> `relevance` for several targets on the same windows, sharing the passes."""
    encoder = model.encoder
    if method == "random":
        rng = np.random.default_rng(seed)
        token_BT = rng.random((len(x_BL), x_BL.shape[1] // encoder.patch)).astype(np.float32)
        return {name: _per_sample(token_BT, encoder.patch) for name in targets}
    if method == "occlusion":
        if fill_KBL is None:
            raise ValueError("occlusion needs fill_KBL, the windows to take patches from")
        token = _occlusion(encoder, x_BL, fill_KBL, targets)
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


def occluded(x_BL: np.ndarray, fill_BL: np.ndarray, patch: int) -> np.ndarray:
    """Return every window with each patch in turn taken from its fill, (B, T, L)."""
    covered_TL = np.repeat(np.eye(x_BL.shape[1] // patch, dtype=bool), patch, axis=1)
    return np.where(covered_TL[None], fill_BL[:, None, :], x_BL[:, None, :])


def _occlusion(
    encoder: Encoder, x_BL: np.ndarray, fill_KBL: np.ndarray, targets: Mapping[str, Target]
) -> dict[str, np.ndarray]:
    length, tokens = x_BL.shape[1], x_BL.shape[1] // encoder.patch
    z_BD = embed(encoder, x_BL)
    row_B = torch.arange(len(x_BL))
    row_M = row_B.repeat_interleave(tokens)
    drops = {name: np.zeros((len(x_BL), tokens)) for name in targets}
    for fill_BL in fill_KBL:
        z_parts = [
            embed(encoder, occluded(x_BL[part], fill_BL[part], encoder.patch).reshape(-1, length))
            for part in np.array_split(np.arange(len(x_BL)), max(1, len(x_BL) // 32))
        ]
        z_MD = torch.cat(z_parts)
        with torch.no_grad():
            for name, target in targets.items():
                without_BT = target.score(z_MD, row_M).reshape(-1, tokens)
                drops[name] += (target.score(z_BD, row_B)[:, None] - without_BT).numpy() / len(fill_KBL)
    return drops
