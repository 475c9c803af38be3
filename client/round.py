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
from transecg_core.sites import Site, public_counts
from transecg_core.training.local import TrainLog
from transecg_core.training.site_round import parted, plain_steps, site_round


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
    at = site_round(cfg, site, order.round, weights, local)
    if cfg.privacy == "none":
        log = plain_steps(cfg, at)
        shared, own = parted(at.model)
        return Result(shared, own, at.tasks, log, None, charge_unbounded(node, cfg, order, shared))
    from client.private_round import train_privately  # Opacus takes seconds to import

    done = train_privately(cfg, node, at.model, at.data, order, public_counts(cfg, site.people))
    mechanism = (done.mechanism.q, done.mechanism.sigma, done.steps)
    return Result(done.shared, done.local, at.tasks, done.log, mechanism, done.lifetime)
