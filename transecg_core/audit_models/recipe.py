"""A whole federated run in process: the released weights, without messages, ledgers or reports.

It is the recipe of the run, bit for bit: the same functions give the start, every site's steps, their
mean and the moving average. With a run's own config and coins, `train_recipe` returns the bytes that the
run released; a test holds it to that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from transecg_core.config import RunConfig
from transecg_core.model.heads import shared_state
from transecg_core.model.weights import digest
from transecg_core.privacy.account import ceiling_curves, guaranteed, planned_mechanism
from transecg_core.privacy.ceilings import CeilingCurve
from transecg_core.sites import Site, public_counts, site_training_set
from transecg_core.training.aggregation import averaged, mean_of
from transecg_core.training.local import TrainingSet
from transecg_core.training.site_round import (
    SiteRound,
    noise_seed,
    parted,
    plain_steps,
    private_steps,
    site_round,
)

_MAKING = threading.Lock()
"""Initial weights come from torch's one global generator, which threads must not share."""


@dataclass(frozen=True)
class Trained:
    """What a run releases.

    Attributes
    ----------
    weights
        Shared parameters, by name; every head of the run, trained or not.
    tasks
        Tasks that some site trained.
    """

    weights: Mapping[str, Tensor]
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class _Vote:
    weights: Mapping[str, Tensor]
    tasks: tuple[str, ...]


Steps = Callable[[RunConfig, Sequence[tuple[Site, SiteRound]]], None]
"""Takes one round's steps at every site, in place."""


def one_by_one(cfg: RunConfig, round_: Sequence[tuple[Site, SiteRound]], bound: bool = True) -> None:
    """Take one round's steps at one site after the other, exactly as the sites of a run do.

    `bound` makes the noise hang on the weights' very bytes, as a run's does; without it the seed, the
    site and the round alone decide, and training that differs by rounding gets the same noise.
    """
    for site, at in round_:
        if cfg.privacy == "none":
            plain_steps(cfg, at)
            continue
        counts = public_counts(cfg, site.people)
        weights_hash = digest(shared_state(at.model)) if bound and guaranteed(cfg) else ""
        seed = noise_seed(cfg, at.name, at.number, weights_hash)
        private_steps(cfg, at.model, at.data, at.number, planned_mechanism(cfg, *counts), counts, seed)


def train_recipe(
    cfg: RunConfig, sites: Sequence[Site], start: Mapping[str, Tensor], steps: Steps = one_by_one,
    proceed: Callable[[], None] = lambda: None,
) -> Trained:  # fmt: skip
    """Train one federated model.

    Parameters
    ----------
    cfg
        Its seed decides every random number but who trains.
    sites
        In order of their names, each with its coins; everybody with a coin trains.
    start
        The shared parameters that round 1 starts from.
    proceed
        Called before every round; whatever it raises ends the training.

    Raises
    ------
    ValueError
        If `start` does not fit the model.
    FloatingPointError
        If a loss is not finite.
    """
    sites = sorted(sites, key=lambda site: site.data.name)
    data = {site.data.name: site_training_set(cfg, site) for site in sites}
    local: dict[str, dict[str, Tensor]] = {name: {} for name in data}
    weights = average = start
    trained: set[str] = set()
    for number in range(1, cfg.rounds + 1):
        proceed()
        round_ = [(site, _begin(cfg, site, number, weights, local, data)) for site in sites]
        steps(cfg, round_)
        votes = []
        for _, at in round_:
            shared, local[at.name] = parted(at.model)
            votes.append(_Vote(shared, at.tasks))
            trained |= set(at.tasks)
        weights = mean_of(votes, weights)
        average = averaged(average, weights, cfg.ema_decay, number)
    return Trained(average, tuple(task for task in cfg.task_names if task in trained))


def _begin(
    cfg: RunConfig, site: Site, number: int, weights: Mapping[str, Tensor],
    local: Mapping[str, Mapping[str, Tensor]], data: Mapping[str, TrainingSet],
) -> SiteRound:  # fmt: skip
    name = site.data.name
    with _MAKING:
        return site_round(cfg, site, number, weights, local[name], data[name])


def recipe_ceilings(cfg: RunConfig, sites: Sequence[Site]) -> dict[str, CeilingCurve] | None:
    """Return site -> what any membership attack on a model of the recipe can reach; None where nothing bounds it.

    Every site takes every step of every round here: a run whose sites missed some was charged less.
    """
    if not guaranteed(cfg):
        return None
    planned = {site.data.name: planned_mechanism(cfg, *public_counts(cfg, site.people)) for site in sites}
    steps = cfg.rounds * cfg.steps
    return ceiling_curves(cfg, {name: ((one.q, one.sigma, steps),) for name, one in planned.items()})
