"""Runs ClientApps for the in-process engine: here, or in processes of their own.

Both ways handle the same bytes (Flower's protobuf messages and contexts) with the same
function, so results do not depend on the number of processes. Nothing is pickled.
"""

from __future__ import annotations

import importlib
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import struct
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from typing import Protocol

from simulations.engines.base import INLINE_ENGINE, ONE_THREAD
from simulations.engines.template import CLIENTAPP


@dataclass(frozen=True)
class Job:
    """One message for one node, with the node's state, as bytes."""

    node: int
    message: bytes
    context: bytes


@dataclass(frozen=True)
class Done:
    """What came of a job: reply and new state, or an error (then the state stays as it was)."""

    reply: bytes = b""
    context: bytes = b""
    error: str = ""
    trace: str = ""
    crashed: bool = False


class Executor(Protocol):
    """Carries out jobs of different nodes; a job missing from the answer was late."""

    def run(self, jobs: Sequence[Job], deadline: float | None) -> Mapping[int, Done]:
        """Return node -> outcome for every job finished before `deadline` (monotonic seconds)."""

    def close(self) -> None:
        """Give back every process."""


def handle(clientapp: str, message: bytes, context: bytes) -> Done:
    """Answer one message with the ClientApp called `clientapp` (``module:attribute``)."""
    from flwr.common.serde import context_from_proto, context_to_proto, message_from_proto, message_to_proto
    from flwr.proto.message_pb2 import Context, Message

    try:
        module, _, attribute = clientapp.partition(":")
        app = getattr(importlib.import_module(module), attribute)
        state = context_from_proto(Context.FromString(context))
        reply = app(message_from_proto(Message.FromString(message)), state)
        return Done(
            message_to_proto(reply).SerializeToString(deterministic=True),
            context_to_proto(state).SerializeToString(deterministic=True),
        )
    except Exception as error:
        return Done(error=f"{type(error).__name__}: {error}", trace=traceback.format_exc())


def single_thread() -> None:
    """Compute with one thread from here on, and mark this process as our in-process engine's."""
    os.environ.update(ONE_THREAD, **{INLINE_ENGINE: "1"})
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


class Here:
    """Runs every job in this process, one after the other."""

    def __init__(self, clientapp: str) -> None:
        self.clientapp = clientapp

    def run(self, jobs: Sequence[Job], deadline: float | None) -> Mapping[int, Done]:
        """Run the jobs in order; one that ends after `deadline` is late, and none is started after it."""
        done: dict[int, Done] = {}
        for job in jobs:
            if deadline is not None and time.monotonic() >= deadline:
                break
            outcome = handle(self.clientapp, job.message, job.context)
            if deadline is None or time.monotonic() < deadline:
                done[job.node] = outcome
        return done

    def close(self) -> None:
        """Nothing to give back."""


def warm_up(clientapp: str) -> None:
    """Start importing the ClientApp in the template process that every worker is forked from.

    It is fresh and single-threaded, so forking it is safe, and torch is imported once
    instead of once per worker. Returns at once; without it workers import for themselves.
    """
    os.environ[CLIENTAPP] = clientapp
    multiprocessing.set_forkserver_preload(["simulations.engines.template"])
    multiprocessing.forkserver.ensure_running()


def _serve(pipe: connection.Connection, clientapp: str, environ: Mapping[str, str]) -> None:
    """Worker process: answer jobs until the pipe closes."""
    os.environ.clear()  # the template's may be older
    os.environ.update(environ)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    single_thread()
    importlib.import_module(clientapp.partition(":")[0])
    single_thread()  # again: torch may only now be there
    while True:
        try:
            message, context = _unpack(pipe.recv_bytes())
            done = handle(clientapp, message, context)
            pipe.send_bytes(_pack(done.reply, done.context, done.error.encode(), done.trace.encode()))
        except (EOFError, BrokenPipeError):
            return


def _pack(*parts: bytes) -> bytes:
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)


def _unpack(data: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        parts.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return parts


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, clientapp: str) -> None:
        context = multiprocessing.get_context("forkserver")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, clientapp, dict(os.environ)), daemon=True)
        self.process.start()
        theirs.close()

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join(2.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Pool:
    """Runs jobs in `count` processes, each node on the same one where possible (its data is there).

    A worker that dies answers for its job with an error and is replaced; one still busy at
    the deadline is ended and replaced, and its job is late.
    """

    def __init__(self, clientapp: str, count: int) -> None:
        self.clientapp = clientapp
        self.workers: list[_Worker] = []
        self.workers.extend(_Worker(clientapp) for _ in range(count))

    def run(self, jobs: Sequence[Job], deadline: float | None) -> Mapping[int, Done]:
        """Run the jobs, a free worker taking its own nodes' first."""
        waiting, busy, done = list(jobs), dict[int, Job](), dict[int, Done]()
        while waiting or busy:
            self._hand_out(waiting, busy, done)
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            pipes = {self.workers[slot].pipe: slot for slot in busy}
            for ready in connection.wait(list(pipes), left):
                slot = pipes[ready]  # type: ignore[index]  # wait returns what it was given
                done[busy.pop(slot).node] = self._collect(slot)
        for slot in busy:
            self._replace(slot)
        return done

    def _hand_out(self, waiting: list[Job], busy: dict[int, Job], done: dict[int, Done]) -> None:
        for slot in range(len(self.workers)):
            if slot in busy or not waiting:
                continue
            job = next((job for job in waiting if job.node % len(self.workers) == slot), waiting[0])
            waiting.remove(job)
            try:
                self.workers[slot].pipe.send_bytes(_pack(job.message, job.context))
                busy[slot] = job
            except OSError:
                done[job.node] = self._crash(slot)

    def _collect(self, slot: int) -> Done:
        try:
            reply, context, error, trace = _unpack(self.workers[slot].pipe.recv_bytes())
        except (EOFError, OSError):
            return self._crash(slot)
        return Done(reply, context, error.decode(), trace.decode())

    def _crash(self, slot: int) -> Done:
        process = self.workers[slot].process
        process.join(5.0)
        code = process.exitcode
        self._replace(slot)
        return Done(error=f"the site's process ended (exit code {code}); out of memory?", crashed=True)

    def _replace(self, slot: int) -> None:
        self.workers[slot].stop()
        self.workers[slot] = _Worker(self.clientapp)

    def close(self) -> None:
        """End every worker, busy or not."""
        for worker in self.workers:
            worker.stop()
        self.workers.clear()
