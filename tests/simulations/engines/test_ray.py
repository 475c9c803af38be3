"""Flower's simulation engine, for real: bytes, truth about failures, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from simulations.engines import inline, ray
from simulations.engines.base import RunFailed

pytestmark = pytest.mark.ray


def test_same_bytes_as_inline_from_the_bundles_code_and_nothing_left(
    order, tmp_path, heard, monkeypatch, left
):
    inline.run(order(**{"output-dir": str(tmp_path / "inline")}), 1)
    heard.lines.clear()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    ray.run(order(**{"output-dir": str(tmp_path / "it is out")}))
    folder = tmp_path / "it is out" / "run"
    assert (folder / "x.npy").read_bytes() == (tmp_path / "inline" / "run" / "x.npy").read_bytes()
    facts = json.loads((folder / "facts.json").read_text())
    assert [[fact["count"] for fact in row] for row in facts] == [[1, 1, 1], [2, 2, 2]]
    assert {fact["threads"] for row in facts for fact in row} == {1}
    where = Path((folder / "where.txt").read_text())
    assert "/flwr/apps/transecg.toy." in str(where)
    assert not where.exists()  # the temporary home is gone with everything in it
    assert heard.lines[0].startswith("command: flwr run ")
    assert f"TransECG report: {folder / 'report.html'}" in heard.lines
    assert not (home / ".flwr").exists()
    assert left() == []


def test_a_failed_run_is_a_failure_although_flwr_exits_0(order, heard, left):
    with pytest.raises(RunFailed, match="finished:failed"):
        ray.run(order(mode="server-raises"))
    assert "TransECG FAILED: no luck today" in heard.text
    assert any("RuntimeError: no luck today" in line for line in heard.lines)  # the traceback
    assert left() == []


def runs(process: psutil.Process) -> bool:
    """Tell whether it still does anything; in a container nobody may collect a dead orphan."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


SCRIPT = """
import sys
from pathlib import Path
from simulations.engines import ray
from simulations.engines.base import App, Order
from simulations.processes import Interrupted, interruptible

root = Path(sys.argv[1])
defaults = {"mode": "slow", "rounds": 9, "timeout": 60.0, "nodes": 2, "output-dir": str(root / "out")}
packages = (root / "toyclient", root / "toyserver")
app = App("toyserver.app:app", "toyclient.app:app", packages, defaults, name="toy")
try:
    with interruptible():
        ray.run(Order(app, defaults, 2, lambda line: print(line, flush=True), lambda text: None))
except Interrupted as stop:
    print("stopped", stop.signum, flush=True)
    sys.exit(128 + stop.signum)
"""


def test_sigterm_in_mid_run_stops_everything(toy_app, tmp_path, left):
    for package in toy_app.packages:
        (tmp_path / package.name).symlink_to(package)
    root = Path(__file__).resolve().parents[3]
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(root)}, cwd=tmp_path,
    )  # fmt: skip
    said = []
    for line in child.stdout or ():
        said.append(line)
        if "run folder" in line:
            break
    family = psutil.Process(child.pid).children(recursive=True)
    assert family
    time.sleep(8.0)  # Ray is starting or the clients are asleep
    child.send_signal(signal.SIGTERM)
    rest, _ = child.communicate(timeout=90)
    assert child.returncode == 143, (said, rest)
    assert "stopped 15" in rest
    assert [process for process in family if runs(process)] == []
    assert left() == []
