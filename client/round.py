"""One site's part in one round: load the shared weights, train, return what may leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from client.budget import charge_unbounded
from client.order import Order
from client.site import Node
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.model.heads import SiteModel, load_shared, new_site_model, set_trainable, shared_state
from transecg_core.seeds import seed_for
from transecg_core.sites import Site, available_tasks, participant_slots, public_counts, site_training_set
from transecg_core.training.local import TrainingSet, TrainLog, cosine, train_local


@dataclass(frozen=True)
class Result:
    """What one round yields at the site.

    ``shared`` leaves the site. ``local`` (the participant head) stays in the node's state.
    ``mechanism`` is (q, sigma, steps) under privacy, else None. ``lifetime`` is the (person epsilon,
    charges) of a ledger that outlives the run.
    """

    shared: Mapping[str, Tensor]
    local: Mapping[str, Tensor]
    tasks: tuple[str, ...]
    log: TrainLog
    mechanism: tuple[float, float, int] | None
    lifetime: tuple[float, int] | None


def train_round(
    cfg: RunConfig, node: Node, site: Site, order: Order,
    weights: Mapping[str, Tensor], local: Mapping[str, Tensor],
) -> Result:  # fmt: skip
    """Train one round.

    Parameters
    ----------
    weights
        Shared parameters from the server.
    local
        This site's own head from the round before; empty in the first.

    Raises
    ------
    UserError
        If the order is out of bounds or privacy can't be honoured.
    ValueError
        If the server's weights do not fit the model.
    """
    if not 1 <= order.round <= cfg.rounds:
        raise UserError(f"site '{order.site}': round {order.round} is outside 1..{cfg.rounds}")
    data = site_training_set(cfg, site)
    classes = data.participants if cfg.privacy == "none" else participant_slots(cfg, site.people)
    model = new_site_model(cfg.patch, cfg.task_names, seed_for(cfg.seed, "init", order.site), classes)
    load_shared(model, weights)
    if local:
        model.load_state_dict({**model.state_dict(), **local})
    set_trainable(model, cfg.trained_part)
    tasks = available_tasks(cfg, site)
    if cfg.privacy == "none":
        log, shared = _train_plain(cfg, model, data, order), shared_state(model)
        own = {name: value for name, value in model.state_dict().items() if name not in shared}
        return Result(shared, own, tasks, log, None, charge_unbounded(node, cfg, order, shared))
    from client.private_round import train_privately  # Opacus takes seconds to import

    done = train_privately(cfg, node, model, data, order, public_counts(cfg, site.people))
    mechanism = (done.mechanism.q, done.mechanism.sigma, done.steps)
    return Result(done.shared, done.local, tasks, done.log, mechanism, done.lifetime)


def _train_plain(cfg: RunConfig, model: SiteModel, data: TrainingSet, order: Order) -> TrainLog:
    return train_local(
        model, data, steps=cfg.steps, batch_size=cfg.batch,
        learning_rate=cosine(cfg.rate, cfg.rounds * cfg.steps),
        first_step=(order.round - 1) * cfg.steps,
        seed=seed_for(cfg.seed, "batches", order.site, order.round),
    )  # fmt: skip
