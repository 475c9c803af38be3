"""Node config -> this site's data. The one place that decides whether a node is simulated."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from client.policy import LIFETIME_DELTA, Policy, read_policy
from transecg_core.cohorts import READERS, open_declared, open_site
from transecg_core.cohorts.schema import SiteSource
from transecg_core.cohorts.sites_file import FOLDER, SiteDeclaration, read_sites
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.names import SITE_NAMES, is_site_name, nearest
from transecg_core.privacy.accounting import check_delta
from transecg_core.sites import Site, applied, prepare

INLINE_ENGINE = "TRANSECG_INLINE_ENGINE"
"""Set by our in-process engine in its own process and its workers, nowhere else."""

ALWAYS = ("site", "ledger", "people")
MAX_EPSILON, POLICY = "max-epsilon", "policy"
FOLDER_OF = ("reader", "data-dir")
SITES_FILE = "sites-file"
PLACE = ("partition-id", "num-partitions")
ATTRIBUTION = "attribution"
SENT, WITHHELD = "sent", "withheld"
DECLARED = (*ALWAYS, MAX_EPSILON, POLICY, *FOLDER_OF, SITES_FILE, ATTRIBUTION)
"""What an institution's ``--node-config`` may hold: all of `ALWAYS`, either `MAX_EPSILON` or `POLICY`, either
`FOLDER_OF` or `SITES_FILE`, and `ATTRIBUTION` if it wants."""


@dataclass(frozen=True)
class Node:
    """What a node says about itself.

    All but the partition is None for a simulated node, which serves whatever sites the server
    names. An institution's declares its data by ``reader`` and ``data_dir``, or by ``sites_file``,
    and all the rest. ``people`` is the declared, public size of the roster.
    ``policy`` holds what the institution allows, a person's lifetime budget at least; None where it
    wrote ``max-epsilon='none'``: it allows training without privacy.
    ``withheld`` names the releases that the institution keeps back whatever the run, policy or none.
    """

    partition: int
    partitions: int
    site: str | None = None
    reader: str | None = None
    data_dir: Path | None = None
    ledger: Path | None = None
    people: int | None = None
    policy: Policy | None = None
    sites_file: Path | None = None
    withheld: tuple[str, ...] = ()

    def source(self, name: str) -> SiteSource:
        """Open the data that this node declares for its site, which must be `name`.

        Raises
        ------
        UserError
            If it declares none, or serves another site.
        """
        if self.site is None:
            raise UserError("cohort=node, but this SuperNode declares no site; start it with --node-config "
                            "\"site='NAME' reader='NAME' data-dir='/abs' ledger='/abs/ledger.sqlite' "
                            "people=N max-epsilon=8.0\"")  # fmt: skip
        if name != self.site:
            raise UserError(f"this node serves site '{self.site}', not '{name}'")
        if self.reader is not None and self.data_dir is not None:
            return open_declared(SiteDeclaration(name, self.reader, self.data_dir))
        if self.sites_file is None:
            raise UserError(
                f"site '{name}': this node declares no data; give reader and data-dir, or sites-file"
            )
        found = read_sites(self.sites_file, READERS)
        if name not in found:
            raise UserError(f"sites-file={self.sites_file}: no site '{name}'; add [{name}], reader and path")
        return open_declared(found[name])


def engine_name() -> str:
    """Return which engine this process belongs to: ``inline``, ``ray`` or ``deployment``."""
    if os.environ.get(INLINE_ENGINE) == "1":
        return "inline"
    return "ray" if "ray" in sys.modules else "deployment"


def inside_simulation() -> bool:
    """Return whether this process belongs to a simulation engine (ours, or Flower's on Ray)."""
    return engine_name() != "deployment"


def read_node(node_config: Mapping[str, Any]) -> Node:
    """Read ``--node-config``: an institution declares everything, a simulated node nothing.

    Raises
    ------
    UserError
        If the declaration is incomplete or wrong.
    """
    partition, partitions = (
        int(node_config.get(key, usual)) for key, usual in zip(PLACE, (0, 1), strict=True)
    )
    given = [key for key in DECLARED if key in node_config]
    if not given:
        return Node(partition, partitions)
    if unknown := sorted(set(node_config) - {*DECLARED, *PLACE}):
        raise UserError(f"node config: unknown key '{unknown[0]}'{nearest(unknown[0], DECLARED)}")
    by_file, by_policy = SITES_FILE in given, POLICY in given
    _refuse_both(given, SITES_FILE, FOLDER_OF)
    _refuse_both(given, POLICY, (MAX_EPSILON,))
    rules, place = (POLICY if by_policy else MAX_EPSILON,), (SITES_FILE,) if by_file else FOLDER_OF
    wanted = (*ALWAYS, *rules, *place)
    if missing := [key for key in wanted if key not in given]:
        raise UserError(f"node config: {', '.join(missing)} missing; give all of {', '.join(wanted)}")
    paths = _paths(node_config)
    site = str(node_config["site"])
    if not is_site_name(site):
        raise UserError(f"node config: site='{site}' is no site name; use {SITE_NAMES}")
    people = _people(node_config["people"])
    policy = read_policy(paths[POLICY]) if by_policy else _max_epsilon(node_config[MAX_EPSILON])
    if policy is not None:
        _check_lifetime_delta(policy, people)
    return Node(
        partition, partitions, site, None if by_file else _reader(node_config["reader"]), paths.get("data-dir"),
        paths["ledger"], people, policy, paths.get(SITES_FILE), _withheld(node_config.get(ATTRIBUTION, SENT)),
    )  # fmt: skip


def _paths(node_config: Mapping[str, Any]) -> dict[str, Path]:
    keys = [key for key in ("data-dir", "ledger", SITES_FILE, POLICY) if key in node_config]
    paths = {key: Path(str(node_config[key])) for key in keys}
    for key, path in paths.items():
        if not path.is_absolute():
            raise UserError(f"node config: {key}={path} must be an absolute path")
    return paths


def _withheld(attribution: object) -> tuple[str, ...]:
    if attribution not in (SENT, WITHHELD):
        raise UserError(f"node config: {ATTRIBUTION}={attribution} must be '{SENT}' or '{WITHHELD}'")
    return (ATTRIBUTION,) if attribution == WITHHELD else ()


def _refuse_both(given: list[str], key: str, others: tuple[str, ...]) -> None:
    if key in given and (both := [other for other in others if other in given]):
        raise UserError(f"node config: {key} stands in place of {' and '.join(both)}; give one of them")


def _check_lifetime_delta(policy: Policy, people: int) -> None:
    try:
        check_delta(policy.lifetime_delta, people)
    except UserError as error:
        raise UserError(
            f"node config: people={people}: the lifetime's {error}; set lifetime-delta in a policy file (it is "
            f"{LIFETIME_DELTA:g} otherwise)"
        ) from None


def _reader(value: object) -> str:
    if value != FOLDER and value not in READERS:
        raise UserError(
            f"node config: no reader named '{value}'; there are {', '.join((*sorted(READERS), FOLDER))}"
        )
    return str(value)


def _people(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 2:
        raise UserError(f"node config: people={value} must be a whole number of at least 2")
    return value


def _max_epsilon(value: object) -> Policy | None:
    if value == "none":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UserError(f"node config: max-epsilon={value} must be a positive number, or 'none'")
    return Policy(max_lifetime_epsilon=float(value))


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
        site = prepare(applied(cfg), node.source(name))
        return replace(site, people=node.people or site.people)
    if node.site is not None:
        raise UserError(f"this node serves its own data as site '{node.site}'; run with cohort=node")
    if cfg.cohort != "synthetic" and not inside_simulation():
        raise UserError(f"cohort={cfg.cohort} is for simulations: a server may not choose which folder a SuperNode "
                        "reads; declare the data by --node-config and run with cohort=node")  # fmt: skip
    return prepare(cfg, open_site(cfg, name))
