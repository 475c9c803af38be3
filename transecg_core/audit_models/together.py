"""K models of one recipe, each on its own coins, start, batches and noise; both cores at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from transecg_core.audit_models.recipe import Steps, Trained, train_recipe
from transecg_core.audit_models.stacked import side_by_side
from transecg_core.config import RunConfig
from transecg_core.seeds import seed_for
from transecg_core.sites import Site, trained_rows
from transecg_core.splits.membership import coin
from transecg_core.training.pretrain import starting_weights

Say = Callable[[str], None]
LEAST_SITES = 2
"""Fewest sites of a federation in which somebody trains."""


@dataclass(frozen=True)
class AuditModel:
    """One audit model.

    Attributes
    ----------
    start
        Shared parameters that its round 1 started from.
    members
        Per site, in the order of their names: bool (P,), whose coin fell on training.
    """

    trained: Trained
    start: dict[str, Tensor]
    members: tuple[np.ndarray, ...]


class _Stopped(Exception):
    """Another model failed, or the user interrupted: nobody waits for this one."""


def model_config(cfg: RunConfig, number: int) -> RunConfig:
    """Return the recipe under audit model `number`'s own seed: start, batches, draws and noise follow from it."""
    return cfg.model_copy(update={"seed": seed_for(cfg.seed, "audit model", number) % 2**31})


def model_coins(seed: int, number: int, persons: Sequence[str]) -> np.ndarray:
    """Return who trains audit model `number`, bool (P,): a fair coin per canonical person and model.

    All coins are independent, across people and across models, and nothing is balanced. Dealing each
    person exactly K/2 times in would tell, from the models where they were in, whether they are in
    the one attacked, and bias the attack where nothing leaks.
    """
    own = seed_for(seed, "audit coin", number)
    return np.array([coin(own, person) for person in persons], dtype=bool)


def train_audit_models(cfg: RunConfig, sites: Sequence[Site], count: int, say: Say) -> tuple[AuditModel, ...]:
    """Train `count` models of the run's recipe, as many at once as there are cores.

    The result does not depend on the number of cores. A site where no coin fell on training is
    absent from that model.

    Parameters
    ----------
    sites
        In order of their names, with the run's roles of windows; their own coins are not looked at.

    Raises
    ------
    ValueError
        If fewer than `LEAST_SITES` sites of some model have anybody who trains.
    """
    jobs = [_job(cfg, sites, number) for number in range(count)]
    if cfg.start_from == "synthetic":
        starting_weights(cfg, say)  # into the cache, before several threads want it
    stop, lock, done = threading.Event(), threading.Lock(), []

    def proceed() -> None:
        if stop.is_set():
            raise _Stopped

    def work(job: _Job) -> AuditModel:
        model = job.train(proceed)
        with lock:
            done.append(job)
            say(f"audit: {len(done)} of {count} audit models trained")
        return model

    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(max(1, min(_cores(), count)), initializer=torch.set_num_threads, initargs=(1,))
    try:
        return tuple(pool.map(work, jobs))
    finally:  # also for Ctrl-C: models under way end with their round, the others are never begun
        stop.set()
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class _Job:
    cfg: RunConfig
    sites: tuple[Site, ...]
    start: dict[str, Tensor]
    members: tuple[np.ndarray, ...]

    def train(self, proceed: Callable[[], None]) -> AuditModel:
        trained = train_recipe(self.cfg, self.sites, self.start, steps_of(self.cfg), proceed)
        return AuditModel(trained, self.start, self.members)


def steps_of(cfg: RunConfig) -> Steps:
    """Return how audit models take a round's steps: those of the recipe, to rounding, and faster."""
    if cfg.privacy == "none":
        return side_by_side
    from transecg_core.audit_models import stacked_units  # brings Opacus, which takes seconds

    return stacked_units.private_side_by_side


def _job(cfg: RunConfig, sites: Sequence[Site], number: int) -> _Job:
    members = tuple(model_coins(cfg.seed, number, site.data.person_P) for site in sites)
    drawn = [
        replace(site, data=replace(site.data, member_P=own)) for site, own in zip(sites, members, strict=True)
    ]
    there = tuple(site for site in drawn if trained_rows(site.data).any())
    if len(there) < LEAST_SITES:
        raise ValueError(
            f"audit model {number + 1}: somebody trains at {len(there)} of {len(sites)} sites only"
        )
    own_cfg = model_config(cfg, number)
    return _Job(own_cfg, there, dict(starting_weights(own_cfg, lambda line: None)), members)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
