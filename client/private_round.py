"""One private round: commit the update and its charge together, and only then hand it over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from safetensors.torch import load, save
from torch import Tensor

from client.ledger import Budget, Ledger, Overspend, ReleaseKey
from client.round import Order, ledger_path
from client.site import Node, inside_simulation
from transecg_core.config import RunConfig
from transecg_core.model.heads import SiteModel, shared_state
from transecg_core.privacy.account import WINDOWS_PER_DRAW, RawMechanism, planned_mechanism, sampling
from transecg_core.privacy.accounting import Mechanism
from transecg_core.report.manifest import code_hash
from transecg_core.seeds import seed_for
from transecg_core.training.local import TrainingSet, TrainLog, cosine
from transecg_core.training.private import PrivateSpec, train_private


def train_privately(
    cfg: RunConfig, node: Node, model: SiteModel, data: TrainingSet, order: Order, counts: tuple[float, float]
) -> tuple[Mapping[str, Tensor], TrainLog, RawMechanism]:  # fmt: skip
    """Train one round under privacy, in place.

    Parameters
    ----------
    counts
        The site's public constants (people, windows).

    Returns
    -------
    tuple
        The shared weights, the losses (outside the guarantee), and (q, sigma, steps).

    Raises
    ------
    UserError
        If the charge would exceed the run's budget; then nothing was trained.
    """
    mechanism = planned_mechanism(cfg, *counts)
    raw = (mechanism.q, mechanism.sigma, cfg.steps)
    if cfg.noise == "off":  # the reference arm: no guarantee, so nothing to charge
        return (*_train(cfg, model, data, order, mechanism, counts), raw)
    ledger = Ledger(ledger_path(node, order), site=order.site)
    weights_hash = hashlib.sha256(
        save({n: t.contiguous() for n, t in shared_state(model).items()})
    ).hexdigest()
    key = ReleaseKey(order.run, order.round, order.site, code_hash(), weights_hash)
    stored = ledger.lookup(key)
    if stored is not None:  # asked again for the same round: the same bytes, no new charge
        return load(stored), TrainLog(()), raw
    budget = Budget(cfg.target_epsilon, cfg.delta, mechanism.unit)
    if ledger.would_exceed(mechanism, cfg.steps, budget, run_id=order.run):
        raise Overspend(
            f"site '{order.site}': round {order.round} would exceed epsilon {cfg.target_epsilon:g}; nothing was trained"
        )
    shared, log = _train(cfg, model, data, order, mechanism, counts)
    update = save({name: value.contiguous() for name, value in shared.items()})
    ledger.charge(*key, mechanism=mechanism, steps=cfg.steps, update=update)
    return shared, log, raw


def _train(
    cfg: RunConfig, model: SiteModel, data: TrainingSet, order: Order, mechanism: Mechanism, counts: tuple[float, float]
) -> tuple[Mapping[str, Tensor], TrainLog]:  # fmt: skip
    spec = PrivateSpec(
        unit=mechanism.unit, sigma=mechanism.sigma, clip_norm=cfg.clip_norm, q=mechanism.q,
        expected=sampling(cfg, *counts)[1], windows_per_draw=WINDOWS_PER_DRAW if mechanism.unit == "participant" else 1,
        max_windows=mechanism.max_windows,
    )  # fmt: skip
    rate, first = cosine(cfg.learning_rate, cfg.rounds * cfg.steps), (order.round - 1) * cfg.steps
    # Seeded noise can be subtracted by whoever knows the seed: simulations only, and marked there.
    seed = seed_for(cfg.seed, "private", order.site, order.round) if inside_simulation() else None
    log = train_private(model, data, spec, steps=cfg.steps, lr_schedule=lambda s: rate(first + s), seed=seed)
    return shared_state(model), log
