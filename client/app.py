"""The ClientApp: a thin adapter between Flower's messages and a site's work."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from client.round import Order, train_round
from client.site import engine_name, open_node_site, read_node, site_config
from transecg_core.config import RunConfig, parse
from transecg_core.errors import UserError
from transecg_core.report.describe import describe_site

torch.set_num_threads(1)  # same bytes whatever the machine, and no spinning threads beside other sites
app = ClientApp()
logger = logging.getLogger("transecg")
Handler = Callable[[Message, Context], RecordDict]


def answering(handler: Handler) -> Callable[[Message, Context], Message]:
    """Turn what a site refuses into a named, one-line reply; anything else is Flower's to report."""

    @wraps(handler)
    def wrapped(message: Message, context: Context) -> Message:
        try:
            content = handler(message, context)
        except (UserError, ValueError, FloatingPointError) as error:
            reason = " ".join(str(error).split())
            logger.warning("refused: %s", reason)
            content = RecordDict({"reply": ConfigRecord({"error": reason})})
        return Message(content, reply_to=message)

    return wrapped


@app.query("hello")
@answering
def hello(message: Message, context: Context) -> RecordDict:
    """Say which node this is."""
    node = read_node(context.node_config)
    facts = {"partition-id": node.partition, "num-partitions": node.partitions, "site": node.site or "",
             "engine": engine_name()}  # fmt: skip
    return RecordDict({"reply": ConfigRecord(facts)})


@app.query("describe")
@answering
def describe(message: Message, context: Context) -> RecordDict:
    """Read the site's data (and fill its cache), and say what may be said about it."""
    node, cfg, order = read_node(context.node_config), parse(context.run_config), order_of(message)
    site = open_node_site(node, cfg, order.site)
    facts = describe_site(site, shareable=cfg.cohort == "node")
    return RecordDict({"reply": ConfigRecord({"site": order.site, "facts": json.dumps(facts)})})


@app.train()
@answering
def train(message: Message, context: Context) -> RecordDict:
    """Train one round on one site; the participant head stays in this node's state."""
    node, cfg, order = read_node(context.node_config), parse(context.run_config), order_of(message)
    site = open_node_site(node, cfg, order.site)
    key = f"local-{order.site}"  # by site, never by node: a restarted node has another id
    local = context.state[key].to_torch_state_dict() if key in context.state else {}
    weights = message.content["weights"].to_torch_state_dict()
    result = train_round(site_config(cfg), node, site, order, weights, local)
    if result.local:
        context.state[key] = ArrayRecord(dict(result.local))
    reply: dict = {"site": order.site, "round": order.round, "tasks": ",".join(result.tasks)}
    if result.mechanism is not None:
        reply |= dict(zip(("q", "sigma", "steps"), result.mechanism, strict=True))
    if may_tell_loss(cfg):
        reply["loss"] = sum(result.log.losses) / max(len(result.log.losses), 1)
    return RecordDict({"weights": ArrayRecord(dict(result.shared)), "reply": ConfigRecord(reply)})


def may_tell_loss(cfg: RunConfig) -> bool:
    """A loss is a release: under privacy only a simulation may show it, outside the guarantee."""
    return cfg.privacy == "none" or cfg.cohort != "node"


def order_of(message: Message) -> Order:
    """Read the server's order; everything in it is checked before use."""
    config = message.content["order"]
    folder = str(config.get("run-folder", ""))
    return Order(
        str(config["site"]),
        int(config.get("round", 0)),
        str(message.metadata.run_id),
        Path(folder) if folder else None,
    )
