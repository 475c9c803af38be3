"""Relevance per sample: all methods behind one function.

Methods that look at tokens (patches) spread a token's relevance evenly over its samples, and
``component-occlusion`` a component's, so that sums over samples and over tokens agree.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from transecg_core.attribution.attention import cls_attention, gradient_weighted, rollout
from transecg_core.attribution.embedding import chunks, class_token, embed, evaluating
from transecg_core.attribution.integrated_gradients import integrated_gradients
from transecg_core.attribution.knockout import drops, spread
from transecg_core.attribution.methods import METHODS, TASK_BLIND
from transecg_core.attribution.targets import Target
from transecg_core.model.encoder import Encoder
from transecg_core.model.heads import SiteModel

__all__ = ["METHODS", "TASK_BLIND", "embed", "occluded", "per_token", "relevance", "relevances"]

FILLED: frozenset[str] = frozenset({"integrated-gradients", "occlusion", "component-occlusion"})
"""Methods that compare a window with other people's."""


def relevance(
    model: SiteModel,
    x_BL: np.ndarray,
    target: Target,
    method: str,
    *,
    fill_KBL: np.ndarray | None = None,
    component_BL: np.ndarray | None = None,
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
        Those of `transecg_core.attribution.methods.SIGNED` have negative samples, which speak against
        the target.
    fill_KBL
        K windows per window that stand for "somebody else", see `transecg_core.attribution.cohort.donors`;
        the effect is averaged over K. ``occlusion`` takes patches from them, one at a time,
        ``component-occlusion`` whole components, and ``integrated-gradients`` starts from them.
    component_BL
        Component code per sample, for ``component-occlusion``.
    seed
        Seed of the ``random`` scores; other methods draw nothing.

    Raises
    ------
    ValueError
        For an unknown method, or one without the fill or the components that it needs.
    """
    targets = {"target": target}
    return relevances(model, x_BL, targets, method, fill_KBL=fill_KBL, component_BL=component_BL, seed=seed)[
        "target"
    ]


def relevances(
    model: SiteModel,
    x_BL: np.ndarray,
    targets: Mapping[str, Target],
    method: str,
    *,
    fill_KBL: np.ndarray | None = None,
    component_BL: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Return name -> `relevance` for several targets on the same windows, sharing the passes."""
    encoder = model.encoder
    if method in FILLED:
        if fill_KBL is None:
            raise ValueError(f"{method} needs fill_KBL, windows of other people")
        return _filled(encoder, x_BL, targets, method, fill_KBL, component_BL)
    if method == "random":
        rng = np.random.default_rng(seed)
        blind_BT = rng.random((len(x_BL), x_BL.shape[1] // encoder.patch)).astype(np.float32)
        token = dict.fromkeys(targets, blind_BT)
    elif method == "gradient-attention":
        token = _gradient_attention(encoder, x_BL, targets)
    elif method in TASK_BLIND:
        token = dict.fromkeys(targets, _attention(encoder, x_BL, method))
    else:
        raise ValueError(f"no relevance method '{method}'; one of {', '.join(METHODS)}")
    return {name: _per_sample(value_BT, encoder.patch) for name, value_BT in token.items()}


def _filled(
    encoder: Encoder,
    x_BL: np.ndarray,
    targets: Mapping[str, Target],
    method: str,
    fill_KBL: np.ndarray,
    component_BL: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """Return name -> relevance (B, L) by a method that compares a window with other people's."""
    if method == "component-occlusion":
        if component_BL is None:
            raise ValueError("component-occlusion needs component_BL, the component of every sample")
        found = drops(encoder, x_BL, component_BL, targets, "people", fill_KBL)
        return {name: spread(drop_BK, component_BL) for name, drop_BK in found.items()}
    if method == "occlusion":
        token = _occlusion(encoder, x_BL, fill_KBL, targets)
    else:
        # Samples of one patch pull in both directions; what the model gets of it is their sum.
        token = {
            name: per_token(integrated_gradients(encoder, x_BL, fill_KBL, target), encoder.patch)
            for name, target in targets.items()
        }
    return {name: _per_sample(value_BT, encoder.patch) for name, value_BT in token.items()}


def per_token(relevance_BL: np.ndarray, patch: int) -> np.ndarray:
    """Return the relevance of each token (B, T): the sum over its samples."""
    token_BT: np.ndarray = relevance_BL.reshape(len(relevance_BL), relevance_BL.shape[1] // patch, patch).sum(
        axis=2
    )
    return token_BT


def _per_sample(token_BT: np.ndarray, patch: int) -> np.ndarray:
    return np.repeat(token_BT / patch, patch, axis=1).astype(np.float32)


def _attention(encoder: Encoder, x_BL: np.ndarray, method: str) -> np.ndarray:
    parts = []
    with torch.no_grad(), evaluating(encoder):
        for part in chunks(x_BL):
            maps: list[Tensor] = []
            class_token(encoder, part, maps)
            parts.append(cls_attention(maps) if method == "cls-attention" else rollout(maps)[:, 1:])
    return torch.cat(parts).numpy()


def _gradient_attention(
    encoder: Encoder, x_BL: np.ndarray, targets: Mapping[str, Target]
) -> dict[str, np.ndarray]:
    parts: dict[str, list[Tensor]] = {name: [] for name in targets}
    start = 0
    for part in chunks(x_BL):
        row_M = torch.arange(start, start + len(part))
        start += len(part)
        maps: list[Tensor] = []
        with torch.enable_grad(), evaluating(encoder):
            # Differentiable input: the maps are in the graph even where all weights are frozen.
            z_MD = class_token(encoder, part.clone().requires_grad_(), maps)
            detached = [attention.detach() for attention in maps]
            for number, (name, target) in enumerate(targets.items(), start=1):
                total = target.score(z_MD, row_M).sum()
                gradients = torch.autograd.grad(total, maps, retain_graph=number < len(targets))
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
    lost = {name: np.zeros((len(x_BL), tokens)) for name in targets}
    for fill_BL in fill_KBL:
        z_parts = [
            embed(encoder, occluded(x_BL[part], fill_BL[part], encoder.patch).reshape(-1, length))
            for part in np.array_split(np.arange(len(x_BL)), max(1, len(x_BL) // 32))
        ]
        z_MD = torch.cat(z_parts)
        with torch.no_grad():
            for name, target in targets.items():
                without_BT = target.score(z_MD, row_M).reshape(-1, tokens)
                lost[name] += (target.score(z_BD, row_B)[:, None] - without_BT).numpy() / len(fill_KBL)
    return lost
