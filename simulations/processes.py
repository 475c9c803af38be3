"""Processes we start: found again by their tree and a private token, never by name, and always stopped.

Flower detaches its helpers into sessions of their own and Ray renames its workers, so
neither a process group nor a command line finds them all. A `ProcessTree` remembers every
descendant it has seen (pid and start time) and marks its children's environment.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any

import psutil

TOKEN = "TRANSECG_PROCESS_TREE"  # noqa: S105  a variable's name, not a secret
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; `signum` says which.

    Not a KeyboardInterrupt: click and others catch that one and forget which signal it was.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class _Stop:
    """What the signal handler knows: whether it must wait, and what has come meanwhile."""

    deferring = 0
    pending = 0


def _handler(signum: int, frame: FrameType | None) -> None:
    if _Stop.deferring:
        _Stop.pending = signum
    else:
        raise Interrupted(signum)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into `Interrupted` while the block runs (main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, _handler) for signum in STOP_SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def uninterrupted(then_raise: bool = True) -> Iterator[None]:
    """Hold signals back while the block runs, so that no child is started and forgotten.

    Parameters
    ----------
    then_raise
        Raise what came meanwhile at the end; False while cleaning up, when the end is near anyway.
    """
    _Stop.deferring += 1
    try:
        yield
    finally:
        _Stop.deferring -= 1
        pending, _Stop.pending = _Stop.pending, 0
        if pending and then_raise:
            raise Interrupted(pending)


def free_ports(count: int) -> list[int]:
    """Return `count` loopback ports nobody listens on, all different."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.bind(("127.0.0.1", 0))
            ports.append(int(listener.getsockname()[1]))
        return ports


class ProcessTree:
    """Children, their descendants, and a sure way to end them.

    Examples
    --------
    >>> with ProcessTree() as tree:
    ...     tree.start(["sleep", "60"]) and None
    >>> tree.alive()
    []
    """

    def __init__(self) -> None:
        self.token = secrets.token_hex(16)
        self._roots: list[subprocess.Popen[Any]] = []
        self._seen: dict[tuple[int, float], psutil.Process] = {}

    def __enter__(self) -> ProcessTree:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdout: IO[Any] | int | None = None,
        stderr: IO[Any] | int | None = None,
        text: bool = False,
    ) -> subprocess.Popen[Any]:
        """Start `command` in a session of its own, out of reach of the terminal's Ctrl-C."""
        with uninterrupted():
            child = subprocess.Popen(  # noqa: S603  an argument list, no shell
                list(command), env={**(os.environ if env is None else env), TOKEN: self.token}, cwd=cwd,
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, text=text, start_new_session=True,
                errors="replace" if text else None, bufsize=1 if text else -1,
            )  # fmt: skip
            self._roots.append(child)
        self.look()
        return child

    def look(self) -> None:
        """Remember the descendants alive now."""
        known = [process for process in self._seen.values() if process.is_running()]
        known += [found for root in self._roots if root.poll() is None for found in _process(root.pid)]
        for process in known:
            for member in (process, *_children(process)):
                with contextlib.suppress(psutil.Error):
                    self._seen[(member.pid, member.create_time())] = member

    def alive(self) -> list[psutil.Process]:
        """Return every process of this tree that still runs."""
        self.look()
        found = {process.pid: process for process in self._seen.values() if _running(process)}
        for process in psutil.process_iter():
            if process.pid not in found and process.pid != os.getpid() and self._marked(process):
                found[process.pid] = process
                with contextlib.suppress(psutil.Error):  # remembered, so that `_wait` waits for its end too
                    self._seen[(process.pid, process.create_time())] = process
        return list(found.values())

    def _marked(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(TOKEN) == self.token and _running(process)
        except (psutil.Error, OSError):
            return False

    def stop(self, grace: float = 6.0) -> None:
        """Ask the children to end, last started first; then make sure that nothing is left."""
        with uninterrupted(then_raise=False):
            self.look()
            for root in reversed(self._roots):
                if root.poll() is None:
                    root.terminate()
            self._wait(grace)
            for force in (False, True):
                left = self.alive()
                for process in left:
                    with contextlib.suppress(psutil.Error):
                        process.kill() if force else process.terminate()
                if left:
                    self._wait(3.0)
            for root in self._roots:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    root.wait(timeout=1.0)
                for pipe in (root.stdout, root.stderr):
                    if pipe is not None:
                        pipe.close()

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for root in self._roots:
                root.poll()
            if not any(_running(process) for process in self._seen.values()):
                return
            time.sleep(0.05)


def _process(pid: int) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid)]
    except psutil.NoSuchProcess:
        return []


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _running(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
