"""One private round: commit the update and its charge together, and only then hand it over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from safetensors.torch import load
from torch import Tensor

from client.budget import budgets, charge_unbounded, lifetime, open_ledger, refuse_round, release_key
from client.ledger import Charge
from client.order import Order
from client.refusal import ChargedAlready
from client.site import Node, inside_simulation
from transecg_core.config import RunConfig
from transecg_core.model.heads import SiteModel, shared_state
from transecg_core.model.weights import digest, packed
from transecg_core.privacy.account import guaranteed, planned_mechanism
from transecg_core.privacy.accounting import Mechanism
from transecg_core.training.local import TrainingSet, TrainLog
from transecg_core.training.site_round import noise_seed, private_steps


@dataclass(frozen=True)
class PrivateResult:
    """What a private round yields.

    ``local`` (the participant head) stays at the site; the ledger stores it beside the update, so that
    a repeated round restores both. ``mechanism`` ran for ``steps``, as charged.
    ``lifetime`` is (person epsilon, charges) of a ledger that outlives the run.
    """

    shared: Mapping[str, Tensor]
    local: Mapping[str, Tensor]
    log: TrainLog
    mechanism: Mechanism
    steps: int
    lifetime: tuple[float, int] | None


def train_privately(
    cfg: RunConfig, node: Node, model: SiteModel, data: TrainingSet, order: Order, counts: tuple[float, float]
) -> PrivateResult:  # fmt: skip
    """Train one round under privacy, in place.

    Nothing is owed for a round that was interrupted before its commit: nothing of it has left the site.

    Parameters
    ----------
    counts
        The site's public constants (people, windows).

    Raises
    ------
    Overspend
        If the charge would exceed the run's or the institution's budget, or the rest of the run would.
    """
    mechanism = planned_mechanism(cfg, *counts)
    names = set(shared_state(model))
    if not guaranteed(cfg):  # the reference arm: nothing to charge, unless the ledger is for life
        log = _train(cfg, node, model, data, order, mechanism, counts, "")
        shared, local = _parted(model.state_dict(), names)
        life = charge_unbounded(node, cfg, order, shared)
        return PrivateResult(shared, local, log, mechanism, cfg.steps, life)
    ledger = open_ledger(node, cfg, order)
    weights_hash = digest(shared_state(model))
    key = release_key(order, weights_hash)
    if (stored := ledger.stored(key)) is not None:  # asked again: the same bytes, no new charge
        return _resent(stored, names, lifetime(node, cfg, ledger))
    refuse_round(node, cfg, order, ledger, mechanism)
    log = _train(cfg, node, model, data, order, mechanism, counts, weights_hash)
    shared, local = _parted(model.state_dict(), names)
    try:
        ledger.charge(
            key, mechanism, cfg.steps, packed({**shared, **local}), budgets(node, cfg, mechanism.unit)
        )
    except ChargedAlready:  # the same order, asked twice at once: what was charged is what may be sent
        if (stored := ledger.stored(key)) is None:
            raise
        return _resent(stored, names, lifetime(node, cfg, ledger))
    return PrivateResult(shared, local, log, mechanism, cfg.steps, lifetime(node, cfg, ledger))


def _resent(
    stored: tuple[Charge, bytes], names: Collection[str], life: tuple[float, int] | None
) -> PrivateResult:
    charge, update = stored
    shared, local = _parted(load(update), names)
    return PrivateResult(shared, local, TrainLog(()), charge.mechanism, charge.steps, life)


def _parted(
    state: Mapping[str, Tensor], names: Collection[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return (what leaves the site, what stays)."""
    shared = {name: state[name] for name in sorted(state) if name in names}
    return shared, {name: state[name] for name in sorted(state) if name not in names}


def _train(
    cfg: RunConfig, node: Node, model: SiteModel, data: TrainingSet, order: Order, mechanism: Mechanism,
    counts: tuple[float, float], weights_hash: str,
) -> TrainLog:  # fmt: skip
    # Seeded noise can be subtracted by whoever knows the seed: simulations only, and marked there.
    simulated = inside_simulation() and cfg.cohort != "node" and node.site is None
    seed = noise_seed(cfg, order.site, order.round, weights_hash) if simulated else None
    return private_steps(cfg, model, data, order.round, mechanism, counts, seed)
