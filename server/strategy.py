"""Aggregation: an ordered sum over sites, with named refusals instead of silent ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from torch import Tensor

from transecg_core.config import RunConfig
from transecg_core.errors import UserError

MAX_UPDATE_NORM = 1000.0
"""L2 bound on one site's weight change in a round; honest runs stay below 30."""
MIN_SITES = 2


@dataclass(frozen=True)
class Update:
    """One site's accepted reply; ``mechanism`` is (q, sigma, steps) under privacy."""

    site: str
    weights: Mapping[str, Tensor]
    tasks: tuple[str, ...]
    loss: float | None
    mechanism: tuple[float, float, int] | None


class Refused(Exception):
    """A reply that must not enter the sum; the message says why."""


def check(
    content: RecordDict, site: str, round_number: int, current: Mapping[str, Tensor], cfg: RunConfig
) -> Update:
    """Validate one site's reply as if it came from an adversary.

    Raises
    ------
    Refused
        For a forged identity or round, wrong names, shapes or types, non-finite or oversized
        updates, and a private run's reply without its mechanism.
    """
    facts, arrays = content.get("reply"), content.get("weights")
    if not isinstance(facts, ConfigRecord) or not isinstance(arrays, ArrayRecord):
        raise Refused("reply has no weights")
    if facts.get("site") != site or facts.get("round") != round_number:
        raise Refused(f"reply claims site {facts.get('site')!r}, round {facts.get('round')!r}")
    weights = _weights(arrays, current)
    squares = torch.stack([((weights[name] - current[name]).double() ** 2).sum() for name in current])
    moved = float(squares.sum().sqrt())
    if moved > MAX_UPDATE_NORM:
        raise Refused(f"update norm {moved:.3g} is over the bound {MAX_UPDATE_NORM:g}")
    tasks = tuple(task for task in cfg.task_names if task in str(facts.get("tasks", "")).split(","))
    loss = facts.get("loss")
    return Update(site, weights, tasks, loss if isinstance(loss, float) and np.isfinite(loss) else None,
                  _mechanism(facts, cfg))  # fmt: skip


def _weights(arrays: ArrayRecord, current: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if set(arrays) != set(current):
        raise Refused(f"unexpected arrays: {', '.join(sorted(set(arrays) ^ set(current))[:3])}")
    weights = {}
    for name, like in current.items():
        try:
            value = torch.from_numpy(np.array(arrays[name].numpy()))
        except (ValueError, TypeError) as error:
            raise Refused(f"{name} can't be read: {error}") from None
        if value.shape != like.shape or value.dtype != like.dtype:
            raise Refused(f"{name} has shape {tuple(value.shape)} and type {value.dtype}")
        if not bool(torch.isfinite(value).all()):
            raise Refused(f"non-finite weights in {name}")
        weights[name] = value
    return weights


def _mechanism(facts: ConfigRecord, cfg: RunConfig) -> tuple[float, float, int] | None:
    if cfg.privacy == "none":
        return None
    q, sigma, steps = facts.get("q"), facts.get("sigma"), facts.get("steps")
    if not (isinstance(q, float) and 0 < q <= 1 and isinstance(sigma, float) and isinstance(steps, int)):
        raise Refused("private run, but the reply states no mechanism")
    if steps != cfg.steps or not 0 <= sigma < 1e6 or (sigma == 0) != (cfg.noise == "off"):
        raise Refused(f"mechanism is not what was asked for: sigma={sigma}, steps={steps}")
    return q, sigma, steps


def aggregate(updates: Mapping[str, Update], current: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the uniform mean of the updates, summed in site order in float64.

    Uniform weights: a site's size is not a release, and no site's influence exceeds 1/n.
    A task's head is averaged over the sites that train that task. Arrival order can't change
    a bit of the result.

    Raises
    ------
    UserError
        If fewer than `MIN_SITES` updates remain.
    """
    if len(updates) < MIN_SITES:
        raise UserError(f"only {len(updates)} site(s) left; a round needs at least {MIN_SITES}")
    merged = {}
    for name, value in current.items():
        task = name.split(".")[1] if name.startswith("heads.") else None
        voters = [
            updates[s].weights[name] for s in sorted(updates) if task is None or task in updates[s].tasks
        ]
        if voters:
            total = torch.zeros(value.shape, dtype=torch.float64)
            for voter in voters:
                total += voter.double()
            merged[name] = (total / len(voters)).to(value.dtype)
        else:
            merged[name] = value
    return merged
