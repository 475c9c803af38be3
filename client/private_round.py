"""One private round: commit the update and its charge together, and only then hand it over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from safetensors.torch import load
from torch import Tensor

from client.budget import (
    LIFETIME_DELTA,
    charge_unbounded,
    digest,
    ledger_path,
    lifetime,
    packed,
    refuse_unbounded,
)
from client.ledger import Budget, Ledger, ReleaseKey
from client.order import Order
from client.site import Node, inside_simulation
from transecg_core.config import RunConfig
from transecg_core.model.heads import SiteModel, shared_state
from transecg_core.privacy.account import guaranteed, planned_mechanism, sampling
from transecg_core.privacy.accounting import Mechanism
from transecg_core.report.manifest import code_hash
from transecg_core.seeds import seed_for
from transecg_core.training.local import TrainingSet, TrainLog, cosine
from transecg_core.training.private import PrivateSpec, train_private


@dataclass(frozen=True)
class PrivateResult:
    """What a private round yields; ``lifetime`` is (person epsilon, charges) of an institution's ledger."""

    shared: Mapping[str, Tensor]
    log: TrainLog
    mechanism: Mechanism
    lifetime: tuple[float, int] | None


def train_privately(
    cfg: RunConfig, node: Node, model: SiteModel, data: TrainingSet, order: Order, counts: tuple[float, float]
) -> PrivateResult:  # fmt: skip
    """Train one round under privacy, in place.

    Parameters
    ----------
    counts
        The site's public constants (people, windows).

    Raises
    ------
    Overspend
        If the charge would exceed the run's or the institution's budget.
    """
    mechanism = planned_mechanism(cfg, *counts)
    if not guaranteed(cfg):  # the reference arm: nothing to charge in a simulation, everything elsewhere
        refuse_unbounded(node, order)
        shared, log = _train(cfg, node, model, data, order, mechanism, counts, "")
        return PrivateResult(shared, log, mechanism, charge_unbounded(node, order, shared))
    ledger = Ledger(ledger_path(node, order), site=order.site)
    weights_hash = digest(shared_state(model))
    key = ReleaseKey(order.run, order.round, order.site, code_hash(), weights_hash)
    stored = ledger.lookup(key)
    if stored is not None:  # asked again for the same round: the same bytes, no new charge
        return PrivateResult(load(stored), TrainLog(()), mechanism, lifetime(node, ledger))
    budgets = [Budget(cfg.target_epsilon, cfg.delta, mechanism.unit, "run")]
    if node.max_epsilon is not None:
        budgets.append(Budget(node.max_epsilon, LIFETIME_DELTA))
    ledger.refuse_overspend(order.run, mechanism, cfg.steps, budgets)
    shared, log = _train(cfg, node, model, data, order, mechanism, counts, weights_hash)
    ledger.charge(*key, mechanism=mechanism, steps=cfg.steps, update=packed(shared), budgets=budgets)
    return PrivateResult(shared, log, mechanism, lifetime(node, ledger))


def _train(
    cfg: RunConfig, node: Node, model: SiteModel, data: TrainingSet, order: Order, mechanism: Mechanism,
    counts: tuple[float, float], weights_hash: str,
) -> tuple[Mapping[str, Tensor], TrainLog]:  # fmt: skip
    spec = PrivateSpec(
        unit=mechanism.unit, sigma=mechanism.sigma, clip_norm=cfg.clip_norm, q=mechanism.q,
        expected=sampling(cfg, *counts)[1], windows_per_draw=cfg.draw_windows,
        max_windows=mechanism.max_windows,
    )  # fmt: skip
    rate, first = cosine(cfg.rate, cfg.rounds * cfg.steps), (order.round - 1) * cfg.steps
    # Seeded noise can be subtracted by whoever knows the seed: simulations only, and marked there. The input
    # weights are part of the seed, so that the same noise never covers two different updates.
    simulated = inside_simulation() and cfg.cohort != "node" and node.site is None
    seed = seed_for(cfg.seed, "private", order.site, order.round, weights_hash) if simulated else None
    log = train_private(model, data, spec, steps=cfg.steps, lr_schedule=lambda s: rate(first + s), seed=seed)
    return shared_state(model), log
