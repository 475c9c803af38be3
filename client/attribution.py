"""One answer per run about the final model on this site's own probes, whatever weights the server sends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from torch import Tensor

from client.admission import refuse_few_people
from client.budget import ATTRIBUTION, answered, charge_answer
from client.order import Order
from client.refusal import Refusal
from client.site import Node, open_node_site
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.sites import applied


def note_part(order: Order, state: RecordDict) -> None:
    """Keep in the node's state which round the site trained last: only then may it be asked about the model."""
    state[f"trained-{order.site}"] = ConfigRecord({"round": order.round})


def refuse_after_answer(node: Node, cfg: RunConfig, order: Order, state: RecordDict) -> None:
    """Refuse to train in a run whose model the site has explained: its answer is the run's last word.

    Without this, a server could ask after the first round and go on training. An institution's
    ledger remembers the answer where the node's state was lost.

    Raises
    ------
    Refusal
        Before a record is read.
    """
    if _key(order) in state or answered(node, cfg, order, ATTRIBUTION):
        raise Refusal(
            "attribution: told",
            f"site '{order.site}': round {order.round} of run {order.run} asked for after the site has explained the "
            "model; its attribution comes after the last round, so start another run",
        )


def explain_once(
    node: Node, cfg: RunConfig, order: Order, weights: Mapping[str, Tensor], state: RecordDict
) -> str:
    """Return the site's rows as JSON: computed at the first question of a run, the same bytes ever after.

    Checked: that the question names the run's last round, that this site trained in a round of the run,
    and, by `refuse_after_answer`, that it trains in none after its answer. Not checked: that the last
    round has been. A site that was absent in it may answer, and it can't tell having been absent from
    not having been asked.

    The site can't tell the final weights from others of their shape, since it never saw the other sites'
    updates. So a server may choose them to learn about the site's people; one answer per run bounds what it
    learns, as do `MIN_PEOPLE` and the rounding. An institution's ledger holds the answer and its charge. A
    server may start more runs, each with an answer and a charge of its own.

    Raises
    ------
    UserError
        If the order is none for the end of the run, the round trained last is none of the run, or the
        data can't be read.
    ValueError
        If the weights don't fit the model.
    """
    from transecg_core.attribution import at_site, site_rows  # slow to import, and of no use in a round

    if order.round != cfg.rounds:
        raise UserError(
            f"site '{order.site}': asked about the model in round {order.round} of {cfg.rounds}, not after it"
        )
    if not _took_part(cfg, order, state):
        return _text(site_rows.rows_without(cfg.task_names, site_rows.TOOK_NO_PART))
    told = state.get(_key(order))
    if isinstance(told, ConfigRecord):
        return str(told["rows"])
    site = open_node_site(node, cfg, order.site)
    refuse_few_people(node, site)
    own = state.get(f"local-{order.site}")
    local = dict(own.to_torch_state_dict()) if isinstance(own, ArrayRecord) else {}
    text = _text(at_site.explain_at_site(applied(cfg), site, weights, local))
    text = charge_answer(node, cfg, order, ATTRIBUTION, text.encode()).decode()
    state[_key(order)] = ConfigRecord({"rows": text})
    return text


def _key(order: Order) -> str:
    return f"attribution-{order.site}"  # by site, never by node


def _took_part(cfg: RunConfig, order: Order, state: RecordDict) -> bool:
    part = state.get(f"trained-{order.site}")
    if part is None:
        return False
    last = part.get("round") if isinstance(part, ConfigRecord) else None
    if not isinstance(last, int) or not 1 <= last <= cfg.rounds:
        raise UserError(
            f"site '{order.site}': asked about a model that it trained last in round {last!r} of {cfg.rounds}"
        )
    return True


def _text(rows: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps(list(rows), sort_keys=True, allow_nan=False)
