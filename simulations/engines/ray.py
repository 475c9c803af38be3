"""Flower's simulation engine: a SuperLink in simulation mode, which runs the clients on Ray."""

from __future__ import annotations

import os

from simulations.engines.base import Order
from simulations.engines.superlink import SuperLink, work_folder
from simulations.processes import ProcessTree


def run(order: Order, workers: int | None = None) -> None:
    """Run the app with one simulated SuperNode per site, one CPU and one thread each.

    Parameters
    ----------
    workers
        CPUs Ray may use, hence sites at a time; None: as many as there are, at most one per site.

    Raises
    ------
    RunFailed
        If the run's status isn't completed, whatever ``flwr run`` exits with.
    """
    cpus = min(workers or os.cpu_count() or 1, order.sites)
    federation = {"num-supernodes": order.sites, "client-resources-num-cpus": 1, "init-args-num-cpus": cpus}
    with work_folder() as work, ProcessTree() as tree:
        link = SuperLink(work, tree, order.note, simulation=True)
        try:
            link.start()
            link.submit(order, federation)
        finally:
            link.close()
