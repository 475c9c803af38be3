"""Where a site's ledger lies, and what an institution allows to be spent over its life."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from client.ledger import Ledger, Overspend, ReleaseKey
from client.order import Order
from client.site import Node, inside_simulation
from transecg_core.errors import UserError
from transecg_core.privacy.accounting import Mechanism
from transecg_core.report.manifest import code_hash

LIFETIME_DELTA = 1e-5
"""Delta of the lifetime budget: the site's own, whatever delta a run asks for."""


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


def refuse_unbounded(node: Node, order: Order) -> None:
    """Refuse, before training, a round without a guarantee at a node that set a lifetime budget.

    Raises
    ------
    Overspend
        Naming the remedy.
    """
    if node.max_epsilon is not None:
        raise Overspend(
            f"site '{order.site}': max-epsilon={node.max_epsilon:g} allows no round without a guarantee; run with "
            "privacy=participant, or declare max-epsilon='none'"
        )


def charge_unbounded(node: Node, order: Order, shared: Mapping[str, Tensor]) -> tuple[float, int] | None:
    """Write a round without a guarantee into an institution's ledger: from now on its lifetime epsilon is infinite."""
    if node.ledger is None:
        return None
    ledger, update = Ledger(node.ledger, site=order.site), packed(shared)
    key = ReleaseKey(order.run, order.round, order.site, code_hash(), hashlib.sha256(update).hexdigest())
    if ledger.lookup(key) is None:
        ledger.charge(*key, mechanism=Mechanism("participant", 1.0, 0.0, 1), steps=1, update=update)
    return lifetime(node, ledger)


def lifetime(node: Node, ledger: Ledger) -> tuple[float, int] | None:
    """Return (person epsilon, charges) of an institution's ledger; None in a simulation."""
    if node.ledger is None:
        return None
    events = ledger.events()
    unbounded = any(event.mechanism.sigma == 0 for event in events)
    return (math.inf if unbounded else ledger.spent(LIFETIME_DELTA)[1]), len(events)


def packed(state: Mapping[str, Tensor]) -> bytes:
    """Return weights as the bytes that are stored and sent."""
    return save({name: value.contiguous() for name, value in state.items()})


def digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of weights."""
    return hashlib.sha256(packed(state)).hexdigest()
