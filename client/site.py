"""Node config -> this site's data. The one place that decides whether a node is simulated."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transecg_core.cohorts import open_reader, open_site
from transecg_core.config import SITE_NAME, RunConfig
from transecg_core.errors import UserError
from transecg_core.sites import Site, applied, prepare

INLINE_ENGINE = "TRANSECG_INLINE_ENGINE"
"""Set by our in-process engine in its own process and its workers, nowhere else."""

DECLARED = ("site", "reader", "data-dir", "ledger", "people", "max-epsilon")
"""What an institution's ``--node-config`` must hold, all of it."""


@dataclass(frozen=True)
class Node:
    """What a node says about itself.

    All but the partition is set for an institution's node and None for a simulated one, which
    serves whatever sites the server names. ``people`` is the declared, public size of the roster.
    ``max_epsilon`` is the most that a person may lose over the ledger's life; None where the
    institution wrote ``none``: it allows training without privacy.
    """

    partition: int
    partitions: int
    site: str | None = None
    reader: str | None = None
    data_dir: Path | None = None
    ledger: Path | None = None
    people: int | None = None
    max_epsilon: float | None = None


def engine_name() -> str:
    """Return which engine this process belongs to: ``inline``, ``ray`` or ``deployment``."""
    if os.environ.get(INLINE_ENGINE) == "1":
        return "inline"
    return "ray" if "ray" in sys.modules else "deployment"


def inside_simulation() -> bool:
    """Return whether this process belongs to a simulation engine (ours, or Flower's on Ray)."""
    return engine_name() != "deployment"


def read_node(node_config: Mapping[str, Any]) -> Node:
    """Read ``--node-config``: an institution declares all of `DECLARED`, a simulated node nothing.

    Raises
    ------
    UserError
        If the declaration is incomplete or wrong.
    """
    partition, partitions = int(node_config.get("partition-id", 0)), int(node_config.get("num-partitions", 1))
    given = [key for key in DECLARED if key in node_config]
    if not given:
        return Node(partition, partitions)
    if missing := [key for key in DECLARED if key not in given]:
        raise UserError(f"node config: {', '.join(missing)} missing; give all of {', '.join(DECLARED)}")
    paths = {key: Path(str(node_config[key])) for key in ("data-dir", "ledger")}
    for key, path in paths.items():
        if not path.is_absolute():
            raise UserError(f"node config: {key}={path} must be an absolute path")
    site, reader = str(node_config["site"]), str(node_config["reader"])
    if not SITE_NAME.fullmatch(site):
        raise UserError(f"node config: site='{site}' is no site name; use a-z, 0-9 and hyphens, 32 at most")
    return Node(
        partition, partitions, site, reader, paths["data-dir"], paths["ledger"],
        _people(node_config["people"]), _max_epsilon(node_config["max-epsilon"]),
    )  # fmt: skip


def _people(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 2:
        raise UserError(f"node config: people={value} must be a whole number of at least 2")
    return value


def _max_epsilon(value: object) -> float | None:
    if value == "none":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UserError(f"node config: max-epsilon={value} must be a positive number, or 'none'")
    return float(value)


def open_node_site(node: Node, cfg: RunConfig, name: str) -> Site:
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
                            "\"site='NAME' reader='NAME' data-dir='/abs' ledger='/abs/ledger.sqlite' "
                            "people=N max-epsilon=8.0\"")  # fmt: skip
        if name != node.site:
            raise UserError(f"this node serves site '{node.site}', not '{name}'")
        site = prepare(applied(cfg), open_reader(node.reader, node.data_dir, name))
        return replace(site, people=node.people or site.people)
    if node.site is not None:
        raise UserError(f"this node serves its own data as site '{node.site}'; run with cohort=node")
    if cfg.cohort == "real" and not inside_simulation():
        raise UserError("cohort=real is for simulations: a server may not choose which folder a SuperNode reads; "
                        "declare the data by --node-config and run with cohort=node")  # fmt: skip
    return prepare(cfg, open_site(cfg, name))
