"""One answer per run about the final model on this site's own probes, whatever weights the server sends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from torch import Tensor

from client.admission import refuse_few_people
from client.budget import charge_answer
from client.order import Order
from client.site import Node, open_node_site
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.sites import applied


def note_part(order: Order, state: RecordDict) -> None:
    """Keep in the node's state that the site trained in this run: only then may it be asked about the model."""
    state[f"trained-{order.site}"] = ConfigRecord({"round": order.round})


def explain_once(
    node: Node, cfg: RunConfig, order: Order, weights: Mapping[str, Tensor], state: RecordDict
) -> str:
    """Return the site's rows as JSON: computed at the first question of a run, the same bytes ever after.

    The site can't tell the final weights from others of their shape, since it never saw the other sites'
    updates. So a server may choose them to learn about the site's people; one answer per run bounds what it
    learns, as do `MIN_PEOPLE` and the rounding. An institution's ledger holds the answer and its charge.

    Raises
    ------
    UserError
        If the order is none for the end of the run, or the data can't be read.
    ValueError
        If the weights don't fit the model.
    """
    from transecg_core.attribution import at_site, site_rows  # slow to import, and of no use in a round

    if order.round != cfg.rounds:
        raise UserError(
            f"site '{order.site}': asked about the model in round {order.round} of {cfg.rounds}, not after it"
        )
    if f"trained-{order.site}" not in state:
        return _text(site_rows.rows_without(cfg.task_names, site_rows.TOOK_NO_PART))
    key = f"attribution-{order.site}"  # by site, never by node
    told = state.get(key)
    if isinstance(told, ConfigRecord):
        return str(told["rows"])
    site = open_node_site(node, cfg, order.site)
    refuse_few_people(node, site)
    own = state.get(f"local-{order.site}")
    local = dict(own.to_torch_state_dict()) if isinstance(own, ArrayRecord) else {}
    text = _text(at_site.explain_at_site(applied(cfg), site, weights, local))
    text = charge_answer(node, cfg, order, "attribution", text.encode()).decode()
    state[key] = ConfigRecord({"rows": text})
    return text


def _text(rows: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps(list(rows), sort_keys=True, allow_nan=False)
