"""Node config -> this site's data. The one place that decides whether a node is simulated."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transecg_core.cohorts import open_reader, open_site
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.risk.context import AuditSite
from transecg_core.sites import prepare

INLINE_ENGINE = "TRANSECG_INLINE_ENGINE"
"""Set by our in-process engine in its own process and its workers, nowhere else."""


@dataclass(frozen=True)
class Node:
    """What a node says about itself.

    ``site``, ``reader``, ``data_dir`` and ``ledger`` are set for an institution's node and
    None for a simulated one, which serves whatever sites the server names.
    """

    partition: int
    partitions: int
    site: str | None = None
    reader: str | None = None
    data_dir: Path | None = None
    ledger: Path | None = None


def engine_name() -> str:
    """Return which engine this process belongs to: ``inline``, ``ray`` or ``deployment``."""
    if os.environ.get(INLINE_ENGINE) == "1":
        return "inline"
    return "ray" if "ray" in sys.modules else "deployment"


def inside_simulation() -> bool:
    """Return whether this process belongs to a simulation engine (ours, or Flower's on Ray)."""
    return engine_name() != "deployment"


def read_node(node_config: Mapping[str, Any]) -> Node:
    """Read ``--node-config``: an institution declares ``site``, ``reader``, ``data-dir`` and ``ledger``.

    Raises
    ------
    UserError
        If the declaration is incomplete.
    """
    partition, partitions = int(node_config.get("partition-id", 0)), int(node_config.get("num-partitions", 1))
    keys = ("site", "reader", "data-dir", "ledger")
    given = [key for key in keys if node_config.get(key)]
    if not given:
        return Node(partition, partitions)
    if missing := [key for key in keys if key not in given]:
        raise UserError(f"node config: {', '.join(missing)} missing; give all of {', '.join(keys)}")
    paths = {key: Path(str(node_config[key])) for key in ("data-dir", "ledger")}
    for key, path in paths.items():
        if not path.is_absolute():
            raise UserError(f"node config: {key}={path} must be an absolute path")
    site, reader = str(node_config["site"]), str(node_config["reader"])
    return Node(partition, partitions, site, reader, paths["data-dir"], paths["ledger"])


def open_node_site(node: Node, cfg: RunConfig, name: str) -> AuditSite:
    """Return the data of the site called `name`, as this node may serve it.

    The run config comes from the server. It may name a folder of this machine only inside a
    simulation engine; an institution's node reads what *it* declared, and nothing else.

    Raises
    ------
    UserError
        If the node may not serve that site, or the data can't be read.
    """
    if cfg.cohort == "node":
        if node.site is None or node.reader is None or node.data_dir is None:
            raise UserError("cohort=node, but this SuperNode declares no site; start it with --node-config "
                            "\"site='NAME' reader='NAME' data-dir='/abs' ledger='/abs/ledger.sqlite'\"")  # fmt: skip
        if name != node.site:
            raise UserError(f"this node serves site '{node.site}', not '{name}'")
        return prepare(site_config(cfg), open_reader(node.reader, node.data_dir, name))
    if node.site is not None:
        raise UserError(f"this node serves its own data as site '{node.site}'; run with cohort=node")
    if cfg.cohort == "real" and not inside_simulation():
        raise UserError("cohort=real is for simulations: a server may not choose which folder a SuperNode reads; "
                        "declare the data by --node-config and run with cohort=node")  # fmt: skip
    return prepare(cfg, open_site(cfg, name))


def site_config(cfg: RunConfig) -> RunConfig:
    """Return the run's config as a site applies it.

    Outside a simulation nobody audits controls, so holding people out would only cost utility.
    """
    return cfg.model_copy(update={"audit_split": "none"}) if cfg.cohort == "node" else cfg
