"""The in-process engine: Flower's contract, state per node, errors, deadlines, processes."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.common.constant import ErrorCode

from client import site
from simulations.engines import base, inline, workers

WORKERS = [1, 2]


def outcome(tmp_path: Path) -> tuple[np.ndarray, list[list[dict[str, float]]]]:
    folder = tmp_path / "out" / "run"
    return np.load(folder / "x.npy"), json.loads((folder / "facts.json").read_text())


def by_hand(rounds: int = 2, nodes: int = 3) -> np.ndarray:
    x = np.zeros(5)
    for _ in range(rounds):
        x = sum((np.sin(x + me) * 3.0 for me in range(nodes)), np.zeros(5))
    return x


@pytest.mark.parametrize("count", WORKERS)
def test_result_is_the_plain_loop_whatever_the_number_of_processes(order, tmp_path, heard, count):
    inline.run(order(), count)
    x, facts = outcome(tmp_path)
    np.testing.assert_array_equal(x, by_hand())
    assert [[fact["count"] for fact in row] for row in facts] == [
        [1, 1, 1],
        [2, 2, 2],
    ]  # state lasts, per node
    assert {fact["threads"] for row in facts for fact in row} == {1}
    pids = {fact["pid"] for row in facts for fact in row}
    assert pids == {os.getpid()} if count == 1 else len(pids) == 2 and os.getpid() not in pids
    assert heard.lines[-1] == f"TransECG report: {tmp_path / 'out' / 'run' / 'report.html'}"
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("count", WORKERS)
def test_an_exception_at_a_site_is_an_error_reply_and_leaves_its_state(order, tmp_path, heard, count):
    inline.run(order(mode="client-raises"), count)
    _, facts = outcome(tmp_path)
    assert [[fact["partition"] for fact in row] for row in facts] == [[0, 2], [0, 2]]
    assert heard.lines.count("refused: ValueError: site one can't") == 2
    assert any("Traceback" in note and "site one can't" in note for note in heard.notes)


def test_a_site_process_that_dies_is_named_and_replaced(order, tmp_path, heard):
    inline.run(order(mode="client-dies", rounds=3), 2)
    _, facts = outcome(tmp_path)
    assert [[fact["partition"] for fact in row] for row in facts] == [[0, 2]] * 3
    assert sum("exit code 9" in line for line in heard.lines) == 3


def test_a_site_that_hangs_is_left_out_at_the_deadline(order, tmp_path, heard):
    start = time.monotonic()
    inline.run(order(mode="client-hangs", rounds=1, timeout=8.0), 2)
    assert time.monotonic() - start < 60
    _, facts = outcome(tmp_path)
    assert [fact["partition"] for fact in facts[0]] == [0, 2]
    assert multiprocessing.active_children() == []


def test_late_replies_are_missing_and_leave_the_state_without_processes_too(order, monkeypatch):
    grid = inline.InlineGrid(workers.Here("toyclient.app:app"), 2, order().options)
    clock = iter([0.0, 0.0, 1.0, 1.0, 11.0])
    monkeypatch.setattr(workers.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(inline.time, "monotonic", lambda: next(clock))
    before = dict(grid._states)
    replies = list(grid.send_and_receive([hello(1), hello(2)], timeout=10.0))
    assert [reply.metadata.src_node_id for reply in replies] == [1]
    assert grid._states[1] != before[1]
    assert grid._states[2] == before[2]


def hello(node: int) -> Message:
    return Message(RecordDict({"x": ArrayRecord({"x": Array(np.zeros(2))})}), node, "train")


def test_replies_come_in_the_order_sent_and_one_node_gets_its_messages_in_turn(order):
    grid = inline.InlineGrid(workers.Here("toyclient.app:app"), 3, order().options)
    assert list(grid.get_node_ids()) == [1, 2, 3]
    replies = list(grid.send_and_receive([hello(3), hello(1), hello(3)]))
    facts = [(reply.content["facts"]["partition"], reply.content["facts"]["count"]) for reply in replies]
    assert facts == [(2, 1), (0, 1), (2, 2)]


def test_push_and_pull(order):
    grid = inline.InlineGrid(workers.Here("toyclient.app:app"), 2, order().options)
    names = list(grid.push_messages([hello(2), hello(1)]))
    assert len(set(names)) == 2
    assert {reply.metadata.reply_to_message_id for reply in grid.pull_messages(names)} == set(names)
    assert list(grid.pull_messages(names)) == []


def test_a_message_to_nobody_is_an_error(order):
    grid = inline.InlineGrid(workers.Here("toyclient.app:app"), 1, order().options)
    (reply,) = grid.send_and_receive([hello(7)])
    assert reply.error.code == ErrorCode.NODE_UNAVAILABLE


def test_the_servers_exception_comes_out_and_nothing_is_left(order):
    logger = logging.getLogger("transecg")
    handlers = list(logger.handlers)
    with pytest.raises(RuntimeError, match="no luck today"):
        inline.run(order(mode="server-raises"), 2)
    assert multiprocessing.active_children() == []
    assert logger.handlers == handlers
    assert base.INLINE_ENGINE not in os.environ


def test_the_client_side_reads_the_mark_that_the_engine_sets(monkeypatch):
    assert base.INLINE_ENGINE == site.INLINE_ENGINE
    assert site.engine_name() != "inline"
    monkeypatch.setenv(base.INLINE_ENGINE, "1")
    assert site.engine_name() == "inline"


def test_frames_survive_any_bytes():
    parts = [b"", b"\x00" * 9, bytes(range(256))]
    assert workers._unpack(workers._pack(*parts)) == parts
    assert workers._unpack(b"") == []


TEMPLATE = """
import sys
from pathlib import Path
from simulations.engines import inline
from simulations.engines.base import App, Order

options = {"mode": "ok", "rounds": 1, "timeout": 60.0, "nodes": 2, "output-dir": "out"}
if __name__ == "__main__":
    inline.run(Order(App("toyserver.app:app", "toyclient.app:app", (), {}), options, 2, print, print), 2)
"""


def test_workers_come_from_one_template_that_has_imported_the_clientapp(toy_app, tmp_path, left):
    (tmp_path / "go.py").write_text(TEMPLATE)
    root, toys = Path(__file__).resolve().parents[3], toy_app.packages[0].parent
    env = {**os.environ, "PYTHONPATH": f"{root}:{toys}"}
    subprocess.run([sys.executable, "go.py"], cwd=tmp_path, env=env, check=True, stdout=subprocess.DEVNULL)
    _, facts = outcome(tmp_path)
    assert len({fact["pid"] for fact in facts[0]}) == 2
    assert len({fact["born"] for fact in facts[0]}) == 1  # imported once, elsewhere
    assert {fact["born"] for fact in facts[0]}.isdisjoint({fact["pid"] for fact in facts[0]})
    assert left() == []
