"""Plain local training: what a site does with the shared model in one round, without privacy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transecg_core.cohorts.schema import UNKNOWN, age_band
from transecg_core.model.heads import CLASS_WEIGHT, TASK_WEIGHT, SiteModel
from transecg_core.signals.schema import Windows

MISSING = -100
"""Target of a window whose label is not known: it adds nothing to the loss."""

SHIFT = 5
NOISE_STD = 0.05
"""Augmentation: a shift of up to +-5 samples (20 ms) and Gaussian noise, in z-normed units."""

LARGEST_GRADIENT = 5.0
"""L2 norm that a plain step's gradient is scaled down to."""

_SEX = {"F": 0, "M": 1}
_DIAGNOSIS = {"normal": 0, "abnormal": 1}


@dataclass(frozen=True)
class TrainingSet:
    """A site's training windows.

    Attributes
    ----------
    x_NL
        float32 windows.
    participant_N
        int64, 0-based, dense over the training participants.
    targets
        Task -> int64 targets (N,), `MISSING` where unknown. A task that the site has no
        label for is absent.
    """

    x_NL: Tensor
    participant_N: Tensor
    targets: Mapping[str, Tensor]

    def __len__(self) -> int:
        return int(self.x_NL.shape[0])

    @property
    def participants(self) -> int:
        """Number of training participants."""
        return int(self.participant_N.max()) + 1 if len(self) else 0


@dataclass(frozen=True)
class TrainLog:
    """Losses of one call, one per step (NaN-free; a private step's loss is not a release)."""

    losses: tuple[float, ...]


def task_codes(windows: Windows, rows_N: np.ndarray, tasks: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return task -> int64 label codes of the chosen rows, `MISSING` where unknown."""
    records = [windows.records[r] for r in windows.record_N[rows_N]]
    codes: dict[str, list[int]] = {
        "sex": [_SEX.get(str(r.sex), MISSING) for r in records],
        "age": [age_band(r.age) for r in records],
        "diagnosis": [_DIAGNOSIS.get(str(r.diagnosis), MISSING) for r in records],
        "beat": [int(b) for b in windows.beat_N[rows_N]],
    }
    out = {task: np.array(codes[task], dtype=np.int64) for task in codes if task in tasks}
    for values in out.values():
        values[values == UNKNOWN] = MISSING
    return out


def training_set(
    windows: Windows, rows_N: np.ndarray, tasks: tuple[str, ...], cap: int, person_N: np.ndarray,
    class_P: np.ndarray | None = None,
) -> TrainingSet:  # fmt: skip
    """Return the training set of the chosen rows, at most `cap` windows per person.

    `person_N` numbers the *persons* behind the windows: two ids of one person are one unit.
    Labelled ectopic beats are kept first, up to half the cap; the rest is spread evenly in
    time. Which windows are kept depends on that participant's windows alone, and nobody who has any
    is left without. `class_P` gives every person's class in the participant task; None numbers
    those who are there.
    """
    people = np.unique(person_N[rows_N])
    own = [_capped(windows, np.flatnonzero(rows_N & (person_N == p)), cap) for p in people]
    kept = np.concatenate(own) if own else np.empty(0, dtype=np.int64)
    _, dense = np.unique(person_N[kept], return_inverse=True)
    codes = task_codes(windows, kept, tasks)
    targets = {task: torch.from_numpy(c) for task, c in codes.items() if (c != MISSING).any()}
    participant_N = torch.from_numpy(dense.astype(np.int64))
    if "participant" in tasks:
        classes = dense if class_P is None else class_P[person_N[kept]]
        targets["participant"] = torch.from_numpy(classes.astype(np.int64))
    return TrainingSet(torch.from_numpy(np.array(windows.x_NL[kept])), participant_N, targets)


def _capped(windows: Windows, rows: np.ndarray, cap: int) -> np.ndarray:
    if len(rows) <= cap:
        return rows
    beat = windows.beat_N[rows]
    ectopic = (beat != 0) & (beat != UNKNOWN)
    first = _spread(rows[ectopic], max(1, cap // 2))
    rest = _spread(np.setdiff1d(rows, rows[ectopic]), cap - len(first)) if len(first) < cap else rows[:0]
    return np.sort(np.concatenate([first, rest]))


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


def window_losses(model: SiteModel, x_BL: Tensor, targets_B: Mapping[str, Tensor]) -> Tensor:
    """Return each window's loss (B,): the weighted sum of its masked cross-entropies.

    Nothing is normalised across windows, so that a window's gradient depends on that window
    alone; differential privacy rests on this.
    """
    return losses_of(model(x_BL), targets_B, x_BL.shape[0])


def losses_of(logits: Mapping[str, Tensor], targets_B: Mapping[str, Tensor], rows: int) -> Tensor:
    """Return `window_losses` of windows whose logits (B, classes) are known, by task."""
    total_B = torch.zeros(rows)
    for task, target_B in targets_B.items():
        weight = torch.tensor(CLASS_WEIGHT[task]) if task in CLASS_WEIGHT else None
        loss_B = F.cross_entropy(
            logits[task], target_B, weight=weight, ignore_index=MISSING, reduction="none"
        )
        total_B = total_B + TASK_WEIGHT[task] * loss_B
    return total_B


def augment(x_BL: Tensor, generator: torch.Generator) -> Tensor:
    """Return the windows shifted in time (edges repeated) and with noise added."""
    batch, length = x_BL.shape
    shift_B1 = torch.randint(-SHIFT, SHIFT + 1, (batch, 1), generator=generator)
    index_BL = (torch.arange(length)[None] + shift_B1).clamp(0, length - 1)
    return x_BL.gather(1, index_BL) + NOISE_STD * torch.randn(x_BL.shape, generator=generator)


def draw_batch(data: TrainingSet, size: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the augmented windows (B, L) and targets of a plain step, drawn with replacement."""
    rows_B = torch.randint(len(data), (size,), generator=generator)
    targets_B = {task: target[rows_B] for task, target in data.targets.items()}
    return augment(data.x_NL[rows_B], generator), targets_B


def cosine(peak: float, total: int) -> Callable[[int], float]:
    """Return the learning rate by step: half a cosine from `peak` to 1 % of it over `total` steps."""
    return lambda step: peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(step / max(total, 1), 1.0))))


def optimizer_for(model: nn.Module, learning_rate: float) -> torch.optim.AdamW:
    """Return the optimizer of the recipe, over the trainable parameters.

    Its moments start afresh every round: they stay at no site and leave none.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.01)


def train_local(
    model: SiteModel,
    data: TrainingSet,
    *,
    steps: int,
    batch_size: int,
    learning_rate: Callable[[int], float],
    first_step: int,
    seed: int,
    make_optimizer: Callable[[nn.Module, float], torch.optim.Optimizer] = optimizer_for,
) -> TrainLog:
    """Train in place for exactly `steps` steps.

    Parameters
    ----------
    learning_rate
        Rate by global step; this call starts at `first_step`.
    seed
        Of the batches and the augmentation.
    make_optimizer
        Another optimizer than the recipe's, for the audit's experiments.

    Raises
    ------
    FloatingPointError
        If a loss is not finite; the model is then worthless.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = make_optimizer(model, learning_rate(first_step))
    model.train()
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(first_step + step)
        x_BL, targets_B = draw_batch(data, batch_size, generator)
        loss = window_losses(model, x_BL, targets_B).mean()
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(f"loss is {loss.item()} at step {first_step + step}")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        losses.append(float(loss.detach()))
    return TrainLog(tuple(losses))
