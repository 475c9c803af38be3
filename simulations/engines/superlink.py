"""Flower's own processes, started hermetically: SuperLink, SuperNodes and the ``flwr`` command.

Everything Flower 1.41 would take from or leave in the user's account goes to one temporary
folder; ports are free ones on loopback; nothing is installed or reported; and a run is
judged by the status the SuperLink keeps, because ``flwr run --stream`` exits 0 even when the
run fails.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from simulations.appfolder import assemble, toml_lines
from simulations.engines.base import INLINE_ENGINE, ONE_THREAD, Options, Order, RunFailed
from simulations.processes import ProcessTree, free_ports, uninterrupted

CONNECTION = "transecg"
COMPLETED = "finished:completed"
START_S = 60.0
STARTED = re.compile(r"Successfully started run (\d+)")
LONGEST_TEMP = 40
"""Ray's socket paths must stay under 107 bytes, its own part of them is about 65."""


def program(name: str) -> str:
    """Return the path of a program installed beside this Python.

    Raises
    ------
    RunFailed
        If it isn't there.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise RunFailed(f"'{name}' is not installed beside {sys.executable}; reinstall transecg-fl")
    return found


@contextmanager
def work_folder() -> Iterator[Path]:
    """Yield a temporary folder with a short path; it is gone afterwards."""
    base = tempfile.gettempdir()
    short = base if len(base) <= LONGEST_TEMP or not os.access("/tmp", os.W_OK) else "/tmp"  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix="tecg-", dir=short))
    try:
        yield folder
    finally:
        with uninterrupted(then_raise=False):
            shutil.rmtree(folder, ignore_errors=True)


def environment(work: Path) -> dict[str, str]:
    """Return the environment every Flower process gets."""
    bypass = ",".join(
        filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1,localhost"])
    )
    # The mark of the in-process engine must not reach real SuperNodes: they would take themselves for simulated.
    inherited = {name: value for name, value in os.environ.items() if name != INLINE_ENGINE}
    return {
        **inherited,
        **ONE_THREAD,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "FLWR_HOME": str(work / "flwr"),
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_TMPDIR": str(work / "ray"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the future default; silences a warning about it
        "NO_PROXY": bypass,
        "no_proxy": bypass,
        "PYTHONUNBUFFERED": "1",
    }


@dataclass
class SuperLink:
    """A SuperLink of our own on loopback, with what is needed to submit, follow, judge and stop one run."""

    work: Path
    tree: ProcessTree
    note: Callable[[str], None]
    simulation: bool
    port: int = field(default_factory=lambda: free_ports(1)[0])
    run_id: str = ""
    ended: bool = False

    def __post_init__(self) -> None:
        self.env = environment(self.work)
        self.empty = self.work / "cwd"  # Ray looks for packages in the working directory first
        for folder in (self.empty, self.work / "flwr", self.work / "ray"):
            folder.mkdir(parents=True, exist_ok=True)
        (self.work / "flwr" / "config.toml").write_text(
            f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
            f'address = "127.0.0.1:{self.port}"\ninsecure = true\n',
            encoding="utf-8",
        )

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises
        ------
        RunFailed
            If it ends or stays silent.
        """
        options = ["--insecure", "--host", "127.0.0.1", "--port", str(self.port)]
        child = self.spawn(
            "superlink", "flower-superlink", *options, *(["--simulation"] if self.simulation else [])
        )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if child.poll() is not None or time.monotonic() > deadline:
                raise RunFailed(f"Flower's SuperLink did not start: {self._tail('superlink')}")
            time.sleep(0.2)

    def spawn(self, log: str, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one of Flower's programs in the background, its output in ``<work>/<log>.log``."""
        with (self.work / f"{log}.log").open("wb") as output:
            return self.tree.start(
                [program(name), *arguments],
                env=self.env,
                cwd=self.empty,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _answers(self) -> bool:
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://127.0.0.1:{self.port}/health", timeout=2) as reply:
                return bool(200 <= reply.status < 300)
        except OSError:
            return False

    def _tail(self, log: str) -> str:
        lines = (self.work / f"{log}.log").read_text(encoding="utf-8", errors="replace").split("\n")
        return " ".join(" ".join(lines[-5:]).split()) or "it said nothing"

    def submit(self, order: Order, federation: Mapping[str, int] | None = None) -> None:
        """Run the app to its end, passing on its log.

        Raises
        ------
        RunFailed
            If its final status is anything but completed.
        """
        command = self.command(order, federation)
        order.say(f"command: {shlex.join(command)}")
        child = self.tree.start(
            [program("flwr"), *command[1:]], env=self.env, cwd=self.empty,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        for line in child.stdout or ():
            if found := STARTED.search(line):
                self.run_id = found[1]
            order.say(line.rstrip("\n"))
            self.tree.look()
        code = child.wait()
        if not self.run_id:
            raise RunFailed(f"flwr run did not start a run (exit status {code})")
        status, details = self.wait_finished()
        self.ended = True
        if status != COMPLETED:
            raise RunFailed(f"the run's status is '{status}'" + (f": {details}" if details else ""))

    def command(self, order: Order, federation: Mapping[str, int] | None) -> list[str]:
        """Return the ``flwr run`` command line of `order`; assembles the app folder."""
        app = assemble(order.app, self.work / "app")
        command = ["flwr", "run", str(app), CONNECTION, "--stream"]
        changed = {key: value for key, value in order.options.items() if value != order.app.defaults.get(key)}
        if changed:
            command += ["--run-config", self._run_config(changed)]
        if federation:
            command += [
                "--federation-config",
                " ".join(f"{key}={value}" for key, value in federation.items()),
            ]
        return command

    def _run_config(self, changed: Options) -> str:
        """Return the overrides in one argument; Flower's own parser knows no quote inside quotes."""
        if any("'" in str(value) or "\n" in str(value) for value in changed.values()):
            path = self.work / "run-config.toml"
            path.write_text("\n".join(toml_lines(changed)) + "\n", encoding="utf-8")
            return str(path)
        pairs = (
            f"{key}='{value}'" if isinstance(value, str) else f"{key}={value!r}"
            for key, value in changed.items()
        )
        return " ".join(pairs)

    def wait_finished(self, limit: float = 120.0) -> tuple[str, str]:
        """Return the run's status and details once it has finished, or as they are after `limit` seconds."""
        deadline = time.monotonic() + limit
        while True:
            status, details = self.status()
            if status.startswith("finished") or time.monotonic() > deadline:
                return status, details
            self.tree.look()
            time.sleep(0.5)

    def status(self) -> tuple[str, str]:
        """Return the run's status now (``finished:completed``, ...) and its details."""
        answer = self._flwr(["list", CONNECTION, "--run-id", self.run_id, "--format", "json"])
        try:
            run = json.loads(answer[answer.index("{") :])["runs"][0]
        except (ValueError, LookupError):
            return "unknown", " ".join(answer.split())[-300:]
        return str(run["status"]), " ".join(str(run.get("status-details") or "").split())

    def _flwr(self, arguments: Sequence[str]) -> str:
        child = self.tree.start(
            [program("flwr"), *arguments], env=self.env, cwd=self.empty,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            out, err = child.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            return ""
        return str(out) or str(err)

    def close(self) -> None:
        """Stop the run if it goes on, stop every process, and keep the SuperLink's log."""
        with uninterrupted(then_raise=False):
            if self.run_id and not self.ended and self._answers():
                self._flwr(["stop", self.run_id, CONNECTION])
            self.tree.stop()
            for log in sorted(self.work.glob("*.log")):
                self.note(f"--- {log.stem}\n{log.read_text(encoding='utf-8', errors='replace')}")
