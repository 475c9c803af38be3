"""One site's training in one round, without anything of how it is asked for or accounted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from transecg_core.config import RunConfig
from transecg_core.model.heads import SiteModel, load_shared, new_site_model, set_trainable, shared_state
from transecg_core.privacy.account import sampling
from transecg_core.privacy.accounting import Mechanism
from transecg_core.seeds import seed_for
from transecg_core.sites import Site, available_tasks, participant_slots, site_training_set
from transecg_core.training.local import TrainingSet, TrainLog, cosine, train_local
from transecg_core.training.sampling import PrivateSpec


@dataclass(frozen=True)
class SiteRound:
    """A site about to train in a round.

    Attributes
    ----------
    model
        The server's weights under the site's own head; the steps move it in place.
    tasks
        Tasks that the site trains, and whose heads it has a vote on.
    """

    name: str
    number: int
    model: SiteModel
    data: TrainingSet
    tasks: tuple[str, ...]


def site_round(
    cfg: RunConfig, site: Site, number: int, weights: Mapping[str, Tensor], local: Mapping[str, Tensor],
    data: TrainingSet | None = None,
) -> SiteRound:  # fmt: skip
    """Return what the site called `site.data.name` trains in round `number` (from 1).

    Parameters
    ----------
    weights
        Shared parameters of the round before.
    local
        This site's own head of the round before; empty in the first.
    data
        What `site_training_set` gives for the site, where it is at hand.

    Raises
    ------
    ValueError
        If the weights do not fit the model.
    """
    data = site_training_set(cfg, site) if data is None else data
    classes = data.participants if cfg.privacy == "none" else participant_slots(cfg, site.people)
    name = site.data.name
    model = new_site_model(cfg.patch, cfg.task_names, seed_for(cfg.seed, "init", name), classes)
    load_shared(model, weights)
    if local:
        model.load_state_dict({**model.state_dict(), **local})
    set_trainable(model, cfg.trained_part)
    return SiteRound(name, number, model, data, available_tasks(cfg, site))


def parted(model: SiteModel) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return (what leaves the site, what stays)."""
    shared = shared_state(model)
    return shared, {name: value for name, value in model.state_dict().items() if name not in shared}


def batch_seed(cfg: RunConfig, name: str, number: int) -> int:
    """Return the seed of a plain round's batches and augmentation."""
    return seed_for(cfg.seed, "batches", name, number)


def noise_seed(cfg: RunConfig, name: str, number: int, weights_hash: str) -> int:
    """Return the seed of a private round's draws and noise: simulations only, whoever knows it can subtract them.

    The input weights are part of it, so that the same noise never covers two different updates;
    `weights_hash` is empty where there is no noise.
    """
    return seed_for(cfg.seed, "private", name, number, weights_hash)


def first_step(cfg: RunConfig, number: int) -> int:
    """Return how many steps a site took before round `number`."""
    return (number - 1) * cfg.steps


def plain_steps(cfg: RunConfig, at: SiteRound) -> TrainLog:
    """Take the round's steps without privacy."""
    return train_local(
        at.model, at.data, steps=cfg.steps, batch_size=cfg.batch,
        learning_rate=cosine(cfg.rate, cfg.rounds * cfg.steps),
        first_step=first_step(cfg, at.number), seed=batch_seed(cfg, at.name, at.number),
    )  # fmt: skip


def private_spec(cfg: RunConfig, mechanism: Mechanism, counts: tuple[float, float]) -> PrivateSpec:
    """Return what a private step does at a site with the public constants `counts` (people, windows)."""
    return PrivateSpec(
        unit=mechanism.unit, sigma=mechanism.sigma, clip_norm=cfg.clip_norm, q=mechanism.q,
        expected=sampling(cfg, *counts)[1], windows_per_draw=cfg.draw_windows,
        max_windows=mechanism.max_windows,
    )  # fmt: skip


def private_steps(
    cfg: RunConfig, model: SiteModel, data: TrainingSet, number: int, mechanism: Mechanism,
    counts: tuple[float, float], seed: int | None,
) -> TrainLog:  # fmt: skip
    """Take the steps of round `number` under privacy.

    Parameters
    ----------
    counts
        The site's public constants (people, windows).
    seed
        `noise_seed` in a simulation; None draws from the operating system's cryptographic generator.
    """
    from transecg_core.training.private import train_private  # Opacus takes seconds to import

    spec = private_spec(cfg, mechanism, counts)
    rate, first = cosine(cfg.rate, cfg.rounds * cfg.steps), first_step(cfg, number)
    return train_private(model, data, spec, steps=cfg.steps, lr_schedule=lambda s: rate(first + s), seed=seed)
