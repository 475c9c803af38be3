"""One site's part in one round: load the shared weights, train, return what may leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from client.site import Node, inside_simulation
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.model.heads import SiteModel, load_shared, new_site_model, set_trainable, shared_state
from transecg_core.risk.context import AuditSite
from transecg_core.seeds import seed_for
from transecg_core.sites import public_counts, site_training_set
from transecg_core.training.local import TrainingSet, TrainLog, cosine, train_local


@dataclass(frozen=True)
class Order:
    """What the server asks for; hostile until validated."""

    site: str
    round: int
    run: str
    run_folder: Path | None


@dataclass(frozen=True)
class Result:
    """What one round yields at the site.

    ``shared`` leaves the site. ``local`` (the participant head) stays in the node's state.
    ``mechanism`` is (q, sigma, steps) under privacy, else None.
    """

    shared: Mapping[str, Tensor]
    local: Mapping[str, Tensor]
    tasks: tuple[str, ...]
    log: TrainLog
    mechanism: tuple[float, float, int] | None


def train_round(
    cfg: RunConfig, node: Node, site: AuditSite, order: Order,
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
    shared: Mapping[str, Tensor]
    model = new_site_model(
        cfg.patch, cfg.task_names, seed_for(cfg.seed, "init", order.site), data.participants
    )
    load_shared(model, weights)
    if local:
        model.load_state_dict({**model.state_dict(), **local})
    set_trainable(model, cfg.trainable)
    if cfg.privacy == "none":
        log, mechanism = _train_plain(cfg, model, data, order), None
        shared = shared_state(model)
    else:
        from client.private_round import train_privately  # Opacus takes seconds to import

        shared, log, mechanism = train_privately(cfg, node, model, data, order, public_counts(cfg, site))
    own = {name: value for name, value in model.state_dict().items() if name not in shared}
    return Result(shared, own, tuple(sorted(data.targets)), log, mechanism)


def _train_plain(cfg: RunConfig, model: SiteModel, data: TrainingSet, order: Order) -> TrainLog:
    return train_local(
        model, data, steps=cfg.steps, batch_size=cfg.batch_size,
        learning_rate=cosine(cfg.learning_rate, cfg.rounds * cfg.steps),
        first_step=(order.round - 1) * cfg.steps,
        seed=seed_for(cfg.seed, "batches", order.site, order.round),
    )  # fmt: skip


def ledger_path(node: Node, order: Order) -> Path:
    """Return where this site's privacy ledger lies.

    An institution's ledger is its own file, for life. A simulated site gets a fresh one in
    the run folder, which the server may name only inside a simulation engine.

    Raises
    ------
    UserError
        If there is no place for a ledger that this site may trust.
    """
    if node.ledger is not None:
        return node.ledger
    if order.run_folder is None or not inside_simulation():
        raise UserError(
            f"site '{order.site}': privacy needs a ledger; declare ledger='/abs/ledger.sqlite' in --node-config"
        )
    folder = order.run_folder / "ledger"
    folder.mkdir(exist_ok=True)
    return folder / f"{order.site}.sqlite"
