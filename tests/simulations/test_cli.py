"""The command line: one-line errors, exit statuses, a quick first line, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulations import cli
from simulations.cli import _say

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def transecg(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["transecg", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return call


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run", "lerning-rate=1"], "nearest valid: learning-rate"),
        (["run", "learning-rate"], "is not key=value"),
        (["run", "learning-rate=fast"], "learning-rate"),
        (["run", "--engine", "raay"], "choose inline or ray"),
        (["run", "--engin", "ray"], "--engine"),
        (["run", "--workers", "many"], "--workers"),
        (["rum"], "No such command"),
    ],
)
def test_a_users_error_is_one_line_and_status_2(transecg, arguments, part, tmp_path):
    status, out, err = transecg(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("transecg: error: ")
    assert err.count("\n") == 1
    assert part in err
    assert list(tmp_path.iterdir()) == []


def test_version_and_help(transecg):
    status, out, _ = transecg("--version")
    assert status == 0
    assert out.startswith("transecg ")
    status, out, _ = transecg("run", "--help")
    assert status == 0
    assert "--engine" in out


@pytest.mark.parametrize("name", ["run", "compare", "fetch", "init-data", "inspect", "audit-model", "cache"])
def test_help_is_plain_text(transecg, name):
    status, out, err = transecg(name, "--help")
    assert (status, err) == (0, "")
    assert "\\" not in out
    assert ("[default: " in out) == (name in ("run", "compare", "fetch"))


def test_letters_that_a_terminal_lacks_are_written_as_escapes():
    code = "from simulations import cli; import sys; sys.argv = ['transecg', 'run', '--\u00fc']; cli.main()"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, check=False, timeout=60,
                           env={**os.environ, "PYTHONIOENCODING": "ascii"})  # fmt: skip
    assert found.returncode == 2
    assert b"\\xfc" in found.stderr
    assert b"Traceback" not in found.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_no_process_and_the_right_status(toy_app, tmp_path, left, number):
    script = f"""
import sys
from simulations import cli, launcher
from simulations.engines.base import App
from pathlib import Path
sys.path.insert(0, {str(toy_app.packages[0].parent)!r})
if __name__ == "__main__":
    launcher.installed_app = lambda: App("toyserver.app:app", "toyclient.app:app", (), {{}})
    launcher.options_of = lambda cfg: dict(
        {{"mode": "slow", "rounds": 1, "timeout": 90.0, "nodes": 4}}, **{{"output-dir": cfg.output_dir}})
    sys.argv = ["transecg", "run", "output-dir=out", "--workers", "2"]
    cli.main()
"""
    (tmp_path / "go.py").write_text(script)
    start = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "go.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    first = child.stdout.readline()
    assert first.startswith("TransECG: 4 sites")
    for line in child.stdout:
        if "run folder" in line:
            break
    time.sleep(3.0)
    os.killpg(child.pid, number) if number == signal.SIGINT else child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 128 + number, err
    assert f"stopped by {signal.Signals(number).name}" in err
    assert time.monotonic() - start < 120
    assert (tmp_path / "out" / "run" / "run.log").is_file()
    assert left() == []


def test_no_message_commands_the_terminal(capsys):
    assert _say("site '\x1b[2Jx\x07': caf\u00e9\nline", 2) == 2
    assert capsys.readouterr().err == "transecg: error: site '\\x1b[2Jx\\x07': caf\u00e9 line\n"
