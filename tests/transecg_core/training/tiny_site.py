"""A site of five people and the smallest federation model, for tests of private training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from transecg_core.model.heads import SiteModel, new_site_model, set_trainable
from transecg_core.training.local import MISSING, TrainingSet, window_losses
from transecg_core.training.private import PrivateTrainer
from transecg_core.training.sampling import PrivateSpec

TASKS = ("sex", "age", "beat", "diagnosis")
PEOPLE = 5
CLIP = 0.7


def cohort(people: int = PEOPLE, seed: int = 0, without: int | None = None) -> TrainingSet:
    """People with 1, 2, 3, ... windows; `without` zeroes one of them out."""
    g = torch.Generator().manual_seed(seed)
    participant_N = torch.cat([torch.full((p + 1,), p) for p in range(people)])
    n = len(participant_N)
    x_NL = torch.randn(n, 200, generator=g)
    targets = {"sex": torch.randint(0, 2, (n,), generator=g), "beat": torch.randint(0, 3, (n,), generator=g)}
    targets["sex"][::3] = MISSING
    keep = participant_N != (-1 if without is None else without)
    return TrainingSet(x_NL[keep], participant_N[keep], {t: v[keep] for t, v in targets.items()})


def model(trainable: str = "full", tasks: Sequence[str] = TASKS) -> SiteModel:
    out = new_site_model(5, tasks, seed=3, participants=PEOPLE)
    with torch.no_grad():  # a fresh class token is nearly zero: move it, so that its gradient matters
        out.encoder.tokens.cls.normal_(std=0.5, generator=torch.Generator().manual_seed(1))
    set_trainable(out, trainable)
    return out


def spec(unit: Any = "participant", **changes: Any) -> PrivateSpec:
    options = {"sigma": 0.0, "clip_norm": CLIP, "q": 0.6, "expected": 2.0, "max_windows": 50}
    options["windows_per_draw"] = 3 if unit == "participant" else 1
    return PrivateSpec(unit=unit, **{**options, **changes})


def sgd(m: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for p in m.parameters() if p.requires_grad], lr=1.0)


def trainer(m: SiteModel, s: PrivateSpec, seed: int | None = 0) -> PrivateTrainer:
    return PrivateTrainer(m, s, seed=seed, make_optimizer=sgd, augmentation=False)


def flat(m: SiteModel) -> torch.Tensor:
    return torch.cat([p.detach().flatten().double() for p in m.parameters() if p.requires_grad])


def loop_gradients(
    m: SiteModel, data: TrainingSet, groups: Sequence[np.ndarray]
) -> list[dict[str, torch.Tensor]]:
    """Each unit's mean gradient by an ordinary backward pass over that unit alone."""
    out = []
    for rows in groups:
        m.zero_grad()
        loss = window_losses(m, data.x_NL[rows], {t: v[rows] for t, v in data.targets.items()}).mean()
        named = [(n, p) for n, p in m.named_parameters() if p.requires_grad]
        grads = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
        out.append(
            {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(named, grads, strict=True)}
        )
    return out


def sum_of_clipped(data: TrainingSet, s: PrivateSpec, seed: int, kind: type[PrivateTrainer]) -> torch.Tensor:
    """Everybody's clipped gradient, summed: one step of SGD at rate 1."""
    m = model()
    before = flat(m)
    with kind(m, s, seed=seed, make_optimizer=sgd, augmentation=False) as t:
        t.step(data)
    return (before - flat(m)) * s.expected
