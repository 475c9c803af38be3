"""Aggregation: an ordered sum over sites, with named refusals instead of silent ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from numpy.lib import format as npy
from torch import Tensor

from server.federation import printable
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.training.aggregation import mean_of

MIN_SITES = 2
MAX_HEADER = 1024
"""Longest ``.npy`` preamble in bytes; an honest one takes 128."""
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class Update:
    """One site's accepted reply.

    ``mechanism`` is (q, sigma, steps) under privacy. ``lifetime`` is (epsilon, events) of the
    site's whole ledger, where it tells them; the server can't check them.
    """

    site: str
    weights: Mapping[str, Tensor]
    tasks: tuple[str, ...]
    loss: float | None
    mechanism: tuple[float, float, int] | None
    lifetime: tuple[float, int] | None = None


class Refused(Exception):
    """A reply that must not enter the sum; the message says why, on one harmless line."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def max_update_norm(cfg: RunConfig, current: Mapping[str, Tensor]) -> float:
    """Return the L2 bound on one site's weight change in a round.

    AdamW with betas (0.9, 0.95) moves a coordinate by at most 1.2 learning rates a step,
    whatever the gradients (Cauchy-Schwarz on its two averages), and its weight decay by far
    less. Ten learning rates a step, in all coordinates at once, is therefore more than honest
    training can do, and little enough that one site can't throw the mean out of reach.
    """
    coordinates = sum(value.numel() for value in current.values())
    return 10 * cfg.rate * cfg.steps * math.sqrt(coordinates)


def check(
    content: RecordDict, site: str, round_number: int, current: Mapping[str, Tensor], cfg: RunConfig,
    planned: tuple[float, float, int] | None = None,
) -> Update:  # fmt: skip
    """Validate one site's reply as if it came from an adversary.

    Parameters
    ----------
    planned
        (q, sigma, steps) as the server itself computed them; None without privacy. A private
        run's reply is refused without it.

    Raises
    ------
    Refused
        For a forged identity or round, wrong names, shapes or types, unreadable, non-finite or
        oversized updates, and a mechanism other than the planned one.
    """
    facts, arrays = content.get("reply"), content.get("weights")
    if not isinstance(facts, ConfigRecord) or not isinstance(arrays, ArrayRecord):
        raise Refused("reply has no weights")
    number = facts.get("round")
    if facts.get("site") != site or type(number) is not int or number != round_number:
        raise Refused(f"reply claims site {str(facts.get('site'))[:40]!r}, round {str(number)[:40]}")
    mechanism = _mechanism(facts, planned) if cfg.privacy != "none" else None
    weights = _weights(arrays, current)
    squares = [((weights[name].double() - current[name].double()) ** 2).sum() for name in current]
    moved, bound = float(torch.stack(squares).sum().sqrt()), max_update_norm(cfg, current)
    if not moved <= bound:
        raise Refused(f"update norm {moved:.3g} is over the bound {bound:.3g}")
    tasks = tuple(task for task in cfg.task_names if task in str(facts.get("tasks", "")).split(","))
    return Update(site, weights, tasks, _loss(facts, cfg), mechanism, _lifetime(facts))


def _weights(arrays: ArrayRecord, current: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if set(arrays) != set(current):
        raise Refused(f"unexpected arrays: {', '.join(sorted(set(arrays) ^ set(current))[:3])}")
    weights = {}
    for name, like in current.items():
        try:
            weights[name] = _decode(arrays[name], like.numpy())
        except Exception as error:  # hostile bytes raise anything: EOFError, MemoryError, SyntaxError, ...
            raise Refused(f"{name} can't be read: {type(error).__name__}: {error}") from None
        if not bool(torch.isfinite(weights[name]).all()):
            raise Refused(f"non-finite weights in {name}")
    return weights


def _decode(array: Array, like: np.ndarray) -> Tensor:
    """Return the tensor in `array`; nothing is allocated before its bytes are known to fit `like`.

    `numpy.load` would allocate what the header claims, and read archives and other types.
    """
    shape, kind = like.shape, like.dtype
    if (array.stype, array.dtype, tuple(array.shape)) != ("numpy.ndarray", str(kind), shape):
        raise ValueError(f"it is not of shape {shape} and type {kind}")
    if len(array.data) > like.nbytes + MAX_HEADER:
        raise ValueError(f"it has {len(array.data)} bytes, not {like.nbytes}")
    stream = BytesIO(array.data)
    header = HEADERS[npy.read_magic(stream)](stream, max_header_size=MAX_HEADER)
    if header != (shape, False, kind):  # False: C order
        raise ValueError(f"its bytes are not of shape {shape} and type {kind}")
    if len(array.data) - stream.tell() != like.nbytes:
        raise ValueError(f"it has {len(array.data) - stream.tell()} bytes, not {like.nbytes}")
    return torch.from_numpy(np.frombuffer(array.data, kind, offset=stream.tell()).reshape(shape).copy())


def _mechanism(facts: ConfigRecord, planned: tuple[float, float, int] | None) -> tuple[float, float, int]:
    """Return `planned` if the reply states just that; the account then holds the server's own numbers."""
    stated: tuple[Any, ...] = tuple(facts.get(key) for key in ("q", "sigma", "steps"))
    if planned is not None and tuple(map(type, stated)) == (float, float, int):
        if all(math.isclose(own, asked, rel_tol=1e-9) for own, asked in zip(stated, planned, strict=True)):
            return planned
    raise Refused(f"mechanism is not what was asked for: (q, sigma, steps)={stated}, not {planned}")


def _loss(facts: ConfigRecord, cfg: RunConfig) -> float | None:
    """Return the loss, if it is one; an institution's private run releases none, so none is taken."""
    loss = facts.get("loss")
    if cfg.privacy != "none" and cfg.cohort == "node":
        return None
    return loss if isinstance(loss, float) and math.isfinite(loss) else None


def _lifetime(facts: ConfigRecord) -> tuple[float, int] | None:
    """Return (epsilon, events) of the site's ledger; infinite where something unbounded happened."""
    epsilon, events = facts.get("lifetime-epsilon"), facts.get("lifetime-events")
    if epsilon is None and events is None:
        return None
    if not isinstance(epsilon, float) or not epsilon >= 0 or type(events) is not int or events < 0:
        raise Refused("its lifetime account is no (epsilon, events)")
    return epsilon, events


def aggregate(updates: Mapping[str, Update], current: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the mean of the updates (see `mean_of`), in site order: arrival order can't change a bit of it.

    Raises
    ------
    UserError
        If fewer than `MIN_SITES` updates remain.
    """
    if len(updates) < MIN_SITES:
        raise UserError(f"only {len(updates)} site(s) left; a round needs at least {MIN_SITES}")
    return mean_of([updates[site] for site in sorted(updates)], current)
