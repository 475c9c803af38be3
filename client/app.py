"""The ClientApp: a thin adapter between Flower's messages and a site's work."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from torch import Tensor

from client.admission import planned, refuse_by_policy, refuse_few_people, refuse_unaffordable
from client.attribution import explain_once, note_part, refuse_after_answer
from client.budget import DESCRIPTION, charge_answer, open_ledger, refuse_round, release_key, rounds_left
from client.order import Order
from client.refusal import Refusal
from client.round import train_round
from client.site import DECLARED, Node, engine_name, open_node_site, read_node
from transecg_core.config import RunConfig, parse
from transecg_core.errors import UserError
from transecg_core.model.weights import digest
from transecg_core.privacy.account import claimed_unit, guaranteed
from transecg_core.privacy.releases import UNABLE, allowed, refuse, releasable_names
from transecg_core.report.describe import describe_site
from transecg_core.sites import applied, available_tasks

torch.set_num_threads(1)  # same bytes whatever the machine, and no spinning threads beside other sites
app = ClientApp()
logger = logging.getLogger("transecg")
Handler = Callable[[Message, Context], RecordDict]


def answering(handler: Handler) -> Callable[[Message, Context], Message]:
    """Turn what a site refuses into a one-line reply; a simulation's other failures are Flower's to report."""

    @wraps(handler)
    def wrapped(message: Message, context: Context) -> Message:
        institution = any(key in context.node_config for key in DECLARED)
        try:
            content = handler(message, context)
        except Exception as error:
            if institution:  # paths, record names and values stay in the site's own log
                logger.exception("refused")
                code = (
                    error.code if isinstance(error, Refusal) else UNABLE
                )  # an exception's name tells of data
                reason = f"{code}; the site's own log says why"
            elif isinstance(error, UserError | ValueError | FloatingPointError):
                reason = " ".join(str(error).split())
            else:
                raise
            names = allowed({"error": reason}, "none", not institution)
            content = RecordDict({"reply": ConfigRecord(dict.fromkeys(names, reason))})
        return Message(content, reply_to=message)

    return wrapped


@app.query("hello")
@answering
def hello(message: Message, context: Context) -> RecordDict:
    """Say which node this is."""
    node = read_node(context.node_config)
    facts: dict[str, Any] = {"partition-id": node.partition, "num-partitions": node.partitions, "site": node.site or "",
             "engine": engine_name()}  # fmt: skip
    names = allowed(facts, "none", engine_name() != "deployment")
    return RecordDict({"reply": ConfigRecord({name: facts[name] for name in names})})


@app.query("describe")
@answering
def describe(message: Message, context: Context) -> RecordDict:
    """Read the site's data (and fill its cache), and say what may be said about it: without a guarantee once a run."""
    node, cfg, order = read_node(context.node_config), parse(context.run_config), order_of(message)
    admit(node, cfg, order)
    site = open_node_site(node, cfg, order.site)
    refuse_few_people(node, site)
    row = describe_site(site, shareable=cfg.cohort == "node", private=guaranteed(cfg))
    facts = releasable(cfg, node, row)
    tasks = ",".join(available_tasks(cfg, site))
    reply = releasable(cfg, node, {"site": order.site, "people": site.people, "tasks": tasks})
    reply["facts"] = json.dumps(facts)
    if not guaranteed(cfg):  # asked again, the data may have changed; what was told and charged has not
        told = json.dumps(reply, sort_keys=True).encode()
        reply = json.loads(charge_answer(node, cfg, order, DESCRIPTION, told))
    return RecordDict({"reply": ConfigRecord(reply)})


def admit(node: Node, cfg: RunConfig, order: Order, weights: Mapping[str, Tensor] | None = None) -> None:
    """Refuse a run that an institution's policy, ledger or budget rules out, before a record is read.

    Without a guarantee the description's counts would be exact; the server alone must not decide that.

    Parameters
    ----------
    weights
        In a round, what the server sent. What was released for them before is answered from the ledger, though
        nothing more would fit.
    """
    refuse_by_policy(node, cfg)
    if node.ledger is None or node.site != order.site:
        return
    ledger = open_ledger(node, cfg, order)
    if weights is not None and guaranteed(cfg):
        if ledger.lookup(release_key(order, digest(weights))) is None:
            refuse_round(node, applied(cfg), order, ledger, planned(node, cfg))
    elif node.policy is not None:
        refuse_unaffordable(node, cfg, ledger, order.run, planned(node, cfg), rounds_left(cfg, order, ledger))


@app.train()
@answering
def train(message: Message, context: Context) -> RecordDict:
    """Train one round on one site; the participant head stays in this node's state."""
    node, cfg, order = read_node(context.node_config), parse(context.run_config), order_of(message)
    weights = arrays(message.content, "weights")
    admit(node, cfg, order, weights)
    refuse_after_answer(node, cfg, order, context.state)
    site = open_node_site(node, cfg, order.site)
    refuse_few_people(node, site)
    key = f"local-{order.site}"  # by site, never by node: a restarted node has another id
    local = arrays(context.state, key) if key in context.state else {}
    result = train_round(applied(cfg), node, site, order, weights, local)
    if result.local:
        context.state[key] = ArrayRecord(dict(result.local))
    note_part(order, context.state)
    facts: dict[str, Any] = {"site": order.site, "round": order.round, "tasks": ",".join(result.tasks)}
    if result.mechanism is not None:
        facts |= dict(zip(("q", "sigma", "steps"), result.mechanism, strict=True))
    if result.lifetime is not None:
        facts |= dict(zip(("lifetime-epsilon", "lifetime-events"), result.lifetime, strict=True))
    if result.log.losses:
        facts["loss"] = sum(result.log.losses) / len(result.log.losses)
    refuse("weights", claimed_unit(cfg), cfg.cohort != "node", site_allows(node))
    return RecordDict({
        "weights": ArrayRecord(dict(result.shared)), "reply": ConfigRecord(releasable(cfg, node, facts)),
    })  # fmt: skip


@app.query("attribute")
@answering
def attribute(message: Message, context: Context) -> RecordDict:
    """Say which components of the beat the final model's heads use here: sums over people, once per run, or nothing."""
    node, cfg, order = read_node(context.node_config), parse(context.run_config), order_of(message)
    refuse_by_policy(node, cfg)
    facts: dict[str, Any] = {"site": order.site, "round": order.round}
    if releasable(cfg, node, {"attribution": ""}):  # else nothing is read
        facts["attribution"] = explain_once(
            node, cfg, order, arrays(message.content, "weights"), context.state
        )
    return RecordDict({"reply": ConfigRecord(releasable(cfg, node, facts))})


def releasable(cfg: RunConfig, node: Node, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that the table of releases and the site's policy let out; an undeclared one is an error."""
    names = allowed(facts, claimed_unit(cfg), cfg.cohort != "node", site_allows(node))
    return {name: facts[name] for name in names}


def site_allows(node: Node) -> tuple[str, ...] | None:
    """Return the releases that the site's policy allows, without what it withholds; None: all that the table does."""
    names = None if node.policy is None else node.policy.allowed_releases
    if not node.withheld:
        return names
    names = releasable_names() if names is None else names
    return tuple(name for name in names if name not in node.withheld)


def arrays(records: RecordDict, key: str) -> dict[str, Tensor]:
    """Return one record's arrays as tensors.

    Raises
    ------
    ValueError
        If the record is missing or holds no arrays.
    """
    record = records.get(key)
    if not isinstance(record, ArrayRecord):
        raise ValueError(f"no arrays under '{key}'")
    return dict(record.to_torch_state_dict())


def order_of(message: Message) -> Order:
    """Read the server's order; everything in it is checked before use."""
    config = message.content["order"]
    if not isinstance(config, ConfigRecord):
        raise ValueError("the order is no config record")
    folder = str(config.get("run-folder", ""))
    number = config.get("round", 0)
    if not isinstance(number, int):
        raise ValueError("the order's round is no integer")
    return Order(str(config["site"]), number, str(message.metadata.run_id), Path(folder) if folder else None)
