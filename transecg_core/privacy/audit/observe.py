"""Counting noisy steps and measuring their noise from outside, without asking the code that is audited.

torch calls a hook whenever any optimizer moves weights, and the gradient it is about to use is the
released, noised one. At an idle site (people with windows, no label: their gradients are exactly
zero) that gradient is noise alone, so its spread is the noise that was really added.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from scipy import stats
from torch.optim.optimizer import register_optimizer_step_pre_hook

CONFIDENCE = 0.999
"""Of the interval for the noise."""


@dataclass(frozen=True)
class Seen:
    """What an observer saw of one round: steps that moved weights, and an interval for sigma."""

    steps: int
    sigma_low: float
    sigma_high: float


class Watch:
    """Adds up what optimizers do while it is on."""

    def __init__(self, scale: float) -> None:
        self._scale, self._steps, self._numbers, self._squares = scale, 0, 0, 0.0

    def note(self, optimizer: Any, _args: object, _kwargs: object) -> None:
        """Note one step; called by torch before the weights move."""
        self._steps += 1
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    noise = parameter.grad.double() * self._scale
                    self._squares += float(noise.square().sum())
                    self._numbers += noise.numel()

    @property
    def seen(self) -> Seen:
        """What was noted so far; the interval is the chi-square one for a standard deviation."""
        if self._numbers == 0:
            return Seen(self._steps, 0.0, 0.0)
        tail = (1 - CONFIDENCE) / 2
        high, low = stats.chi2.ppf([tail, 1 - tail], self._numbers)
        return Seen(self._steps, math.sqrt(self._squares / low), math.sqrt(self._squares / high))


@contextmanager
def watching(clip_norm: float, expected: float) -> Iterator[Watch]:
    """Watch every optimizer of this process; noise is told in clip norms of the sum."""
    watch = Watch(expected / clip_norm)
    handle = register_optimizer_step_pre_hook(watch.note)
    try:
        yield watch
    finally:
        handle.remove()
