"""What becomes of the sites' weights: their mean, and the moving average over rounds that is released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor


class Vote(Protocol):
    """One site's weights after a round, and the tasks whose heads it trained."""

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Shared weights."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that the site trains."""


def mean_of(votes: Sequence[Vote], current: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the uniform mean of the sites' weights, summed in the order given, in float64.

    Uniform: a site's size is not a release, and no site's influence exceeds 1/n. A task's head is
    averaged over the sites that train that task; a head that nobody trains stays at `current`.
    """
    merged = {}
    for name, value in current.items():
        task = name.split(".")[1] if name.startswith("heads.") else None
        voters = [vote.weights[name] for vote in votes if task is None or task in vote.tasks]
        if voters:
            total = torch.zeros(value.shape, dtype=torch.float64)
            for voter in voters:
                total += voter.double()
            merged[name] = (total / len(voters)).to(value.dtype)
        else:
            merged[name] = value
    return merged


def averaged(
    average: Mapping[str, Tensor], weights: Mapping[str, Tensor], decay: float, number: int
) -> Mapping[str, Tensor]:
    """Return the exponential moving average of the rounds' weights after round `number` (from 1).

    The weights of rounds 1..n sum to one, and the start has none: ``a += (1 - d) / (1 - d^n) (w - a)``.
    Weights that were noised at the sites may be averaged at no cost to anybody's privacy.
    """
    if decay == 0:
        return weights
    share = (1 - decay) / (1 - decay**number)
    return {
        name: (average[name].double() + share * (value.double() - average[name].double())).to(value.dtype)
        for name, value in weights.items()
    }
