"""The pilot's set-up on one machine: a SuperLink and one SuperNode process per site, on loopback."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from simulations.engines.base import Order, RunFailed
from simulations.engines.superlink import SuperLink, work_folder
from simulations.processes import ProcessTree, free_ports

NodeConfig = Mapping[str, str | int]


def node_argument(config: NodeConfig) -> str:
    """Return ``--node-config``'s value; strings need quotes of their own.

    Raises
    ------
    RunFailed
        If a value holds a quote, which Flower's parser can't read.
    """
    if bad := [key for key, value in config.items() if "'" in str(value) or "\n" in str(value)]:
        raise RunFailed(f"node config: {bad[0]} holds a quote or a line break; Flower can't pass that on")
    return " ".join(
        f"{key}='{value}'" if isinstance(value, str) else f"{key}={value}" for key, value in config.items()
    )


def run(order: Order, nodes: Sequence[NodeConfig] | None = None) -> None:
    """Start a SuperLink and the SuperNodes, submit the app, wait, and stop everything.

    Parameters
    ----------
    nodes
        One node config per SuperNode; None: ``partition-id`` and ``num-partitions``, one per site.

    Raises
    ------
    RunFailed
        If a process does not start or the run's status isn't completed.
    """
    sites = order.sites
    nodes = nodes or [{"partition-id": i, "num-partitions": sites} for i in range(sites)]
    with work_folder() as work, ProcessTree() as tree:
        link = SuperLink(work, tree, order.note, simulation=False)
        try:
            link.start()
            ports = free_ports(len(nodes))
            children = [
                link.spawn(
                    f"supernode-{i}", "flower-supernode", "--insecure",
                    "--superlink", f"127.0.0.1:{link.port}",
                    "--port", str(port), "--node-config", node_argument(config),
                )
                for i, (config, port) in enumerate(zip(nodes, ports, strict=True))
            ]  # fmt: skip
            time.sleep(1.0)
            if dead := [i for i, child in enumerate(children) if child.poll() is not None]:
                raise RunFailed(f"SuperNode {dead[0]} ended at once; see the log")
            link.submit(order)
        finally:
            link.close()
