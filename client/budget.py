"""Where a site's ledger lies, what may be spent from it, and what it says about a lifetime."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from client import spending
from client.admission import lifetime_budget, refuse_unaffordable
from client.ledger import Budget, Ledger, ReleaseKey
from client.order import Order
from client.policy import LIFETIME_DELTA
from client.refusal import ChargedAlready, LedgerTrouble
from client.site import Node, inside_simulation
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.model.weights import packed
from transecg_core.privacy.accounting import Mechanism, Unit
from transecg_core.report.manifest import code_hash

logger = logging.getLogger("transecg")
DESCRIPTION, ATTRIBUTION = "description", "attribution"
_UNBOUNDED = Mechanism("participant", 1.0, 0.0, 1)
"""What has no noise; its epsilon is infinite."""


def ledger_path(node: Node, cfg: RunConfig, order: Order) -> Path:
    """Return where this site's privacy ledger lies.

    An institution's ledger is its own file, for life. A simulated site's is in the folder that
    ``ledger`` names, for as many runs as name it, or a fresh one in the run folder; the server may
    name either only inside a simulation engine.

    Raises
    ------
    UserError
        If there is no place for a ledger that this site may trust.
    """
    if node.ledger is not None:
        return node.ledger
    folder = Path(cfg.ledger) if cfg.ledger else order.run_folder and order.run_folder / "ledger"
    if folder is None or not inside_simulation():
        raise UserError(
            f"site '{order.site}': privacy needs a ledger; declare ledger='/abs/ledger.sqlite' in --node-config"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"ledger={folder}: {error.strerror}; choose a folder you can write") from None
    return folder / f"{order.site}.sqlite"


def open_ledger(node: Node, cfg: RunConfig, order: Order) -> Ledger:
    """Open this site's ledger, to be written.

    Raises
    ------
    UserError
        If there is no place for one, or the file can't be used.
    """
    ledger = Ledger(ledger_path(node, cfg, order), order.site, simulated=node.ledger is None)
    if ledger.is_new and node.ledger is not None:  # a wrong path, or a disk not there, would begin a new life
        logger.warning(
            "the ledger of site '%s' is new, so nothing spent before counts; is that so?", order.site
        )
    return ledger


def keeps_lifetime(node: Node, cfg: RunConfig) -> bool:
    """Return whether this site's ledger outlives the run."""
    return node.ledger is not None or bool(cfg.ledger)


def budgets(node: Node, cfg: RunConfig, unit: Unit) -> list[Budget]:
    """Return what one charge must fit into: the run's own target, and the institution's for a lifetime."""
    run = Budget(cfg.target_epsilon, cfg.delta, unit, "run")
    return [run] if node.policy is None else [run, lifetime_budget(node.policy)]


def release_key(order: Order, input_hash: str) -> ReleaseKey:
    """Return what makes this order's release the same release: run, round, site, code and input."""
    return ReleaseKey(order.run, order.round, order.site, code_hash(), input_hash)


def refuse_round(node: Node, cfg: RunConfig, order: Order, ledger: Ledger, mechanism: Mechanism) -> None:
    """Refuse a round that would overspend the run's or the lifetime's budget, or whose run could not finish.

    Raises
    ------
    Refusal
        Before training; the charge itself is checked again.
    """
    ledger.refuse_overspend(order.run, mechanism, cfg.steps, budgets(node, cfg, mechanism.unit))
    refuse_unaffordable(node, cfg, ledger, order.run, mechanism, rounds_left(cfg, order, ledger))


def charge_answer(node: Node, cfg: RunConfig, order: Order, what: str, reply: bytes) -> bytes:
    """Write an exact answer that an institution is about to give into its ledger, once per run; return what to send.

    From now on its lifetime epsilon is infinite, as after a round without a guarantee. Asked again, the
    site sends what it told first.

    Parameters
    ----------
    what
        `DESCRIPTION` or `ATTRIBUTION`.

    Raises
    ------
    LedgerTrouble
        If the answer can't be charged, or isn't in the ledger afterwards: then nothing may be sent.
    """
    if node.ledger is None:
        return reply
    key, ledger = release_key(replace(order, round=0), what), open_ledger(node, cfg, order)
    with suppress(ChargedAlready):
        ledger.charge(key, _UNBOUNDED, 1, reply)
    stored = ledger.lookup(key)
    if stored is None:
        raise LedgerTrouble(
            f"ledger {ledger.path}: the {what} of run {order.run} was charged and is not in it"
        )
    return stored


def answered(node: Node, cfg: RunConfig, order: Order, what: str) -> bool:
    """Return whether an institution's ledger holds such an answer about this run, whichever code gave it."""
    if node.ledger is None or node.site != order.site:
        return False
    charges = open_ledger(node, cfg, order).events(order.run)
    return any((charge.key.round, charge.key.input_hash) == (0, what) for charge in charges)


def charge_unbounded(
    node: Node, cfg: RunConfig, order: Order, shared: Mapping[str, Tensor]
) -> tuple[float, int] | None:
    """Write a round without a guarantee into a lifetime ledger: from now on its epsilon is infinite."""
    if not keeps_lifetime(node, cfg):
        return None
    ledger, update = open_ledger(node, cfg, order), packed(shared)
    key = release_key(order, hashlib.sha256(update).hexdigest())
    limits = [] if node.policy is None else [lifetime_budget(node.policy)]  # which no such round fits
    with suppress(ChargedAlready):  # the key names these very bytes
        ledger.charge(key, _UNBOUNDED, 1, update, limits)
    return lifetime(node, cfg, ledger)


def lifetime(node: Node, cfg: RunConfig, ledger: Ledger) -> tuple[float, int] | None:
    """Return (person epsilon, charges) of a ledger that outlives the run, else None.

    At the delta of an institution's own lifetime budget; in a simulation at the run's.
    """
    if not keeps_lifetime(node, cfg):
        return None
    charges = ledger.events()
    if any(charge.mechanism.sigma == 0 for charge in charges):
        return math.inf, len(charges)
    own = node.policy.lifetime_delta if node.policy is not None else LIFETIME_DELTA
    return spending.spent(charges, own if node.ledger is not None else cfg.delta)[1], len(charges)


def rounds_left(cfg: RunConfig, order: Order, ledger: Ledger) -> int:
    """Return how many rounds the run may still ask of this site, this one included; in round 0, all that are open."""
    if order.round > 0:
        return cfg.rounds - order.round + 1
    return max(0, cfg.rounds - len({charge.key.round for charge in ledger.events(order.run)}))
