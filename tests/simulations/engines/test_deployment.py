"""SuperLink and SuperNode processes on loopback: the pilot's set-up, with the smallest app."""

from __future__ import annotations

import json

import pytest

from simulations.engines import deployment
from simulations.engines.base import RunFailed


@pytest.mark.deployment
def test_two_supernodes_serve_their_own_partitions_and_nothing_is_left(order, tmp_path, heard, left):
    nodes = [{"partition-id": i, "num-partitions": 2, "site": f"site {i}"} for i in range(2)]
    deployment.run(order(nodes=2, rounds=2), nodes)
    facts = json.loads((tmp_path / "out" / "run" / "facts.json").read_text())
    assert [[(fact["partition"], fact["count"]) for fact in row] for row in facts] == [
        [(0, 1), (1, 1)],
        [(0, 2), (1, 2)],
    ]
    assert "round 2/2 with 2 sites" in heard.lines
    assert left() == []


def test_node_config_strings_are_quoted_for_flowers_parser():
    assert (
        deployment.node_argument({"partition-id": 1, "data-dir": "/a b"}) == "partition-id=1 data-dir='/a b'"
    )
    with pytest.raises(RunFailed, match="data-dir"):
        deployment.node_argument({"data-dir": "/o'clock"})
