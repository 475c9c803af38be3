"""``flwr run . --stream`` in an account with nothing set: installs nothing, two SuperNodes, the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulations import launcher
from simulations.engines.superlink import program
from simulations.processes import ProcessTree, free_ports

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "profile": "quick",
    "participants-per-site": "6",
    "num-server-rounds": "2",
    "local-steps": "3",
    "tasks": "sex,beat",
}


@pytest.mark.ray
def test_plain_flwr_run_installs_nothing_and_gives_the_inline_bytes(tmp_path, left):
    home = tmp_path / "home"
    home.mkdir()
    http, control = free_ports(2)
    env = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "TRANSECG_TEST_MARK": os.environ["TRANSECG_TEST_MARK"],
        # Two that a user need not set: another SuperLink may hold Flower's usual ports on this machine.
        "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": str(http),
        "FLWR_LOCAL_CONTROL_API_PORT": str(control),
    }
    options = " ".join(
        f"{key}={value}" if value.isdigit() else f"{key}='{value}'"
        for key, value in {**TINY, "output-dir": str(tmp_path / "flower")}.items()
    )
    with ProcessTree() as tree:
        child = tree.start(
            [program("flwr"), "run", ".", "--stream", "--run-config", options],
            env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        said = []
        for line in child.stdout:
            said.append(line.rstrip("\n"))
            tree.look()
        assert child.wait() == 0
        text = "\n".join(said)
        assert "(2 simulated SuperNodes)" in text
        assert "No additional application dependencies needed installation." in text, text[-3000:]
        assert "Installed: [" not in text
        listing = tree.start(
            [program("flwr"), "list", "--format", "json"], env=env, stdout=subprocess.PIPE, text=True
        )
        answer, _ = listing.communicate(timeout=60)
    assert json.loads(answer[answer.index("{") :])["runs"][0]["status"] == "finished:completed"
    report = next(
        Path(line.removeprefix("TransECG report: ")) for line in said if line.startswith("TransECG report: /")
    )
    assert report.is_file()
    assert list(home.rglob("*.dist-info")) == []
    assert left() == []
    inline = launcher.launch({**TINY, "output-dir": str(tmp_path / "inline")}, "inline", 2)
    name = "encoder.safetensors"
    assert (report.parent / name).read_bytes() == (inline.parent / name).read_bytes()
