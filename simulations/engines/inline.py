"""The in-process engine: Flower's ServerApp and ClientApp objects without SuperLink or Ray.

Same app objects, same final bytes, seconds instead of half a minute of start-up.
Two private touches of flwr 1.41 (covered by tests): the process's `TaskIdentity`, without
which no `Message` can be made, and ``metadata._message_id``, which only a SuperLink sets.
"""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from flwr.app import Context, Error, Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.common.serde import context_to_proto, message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from simulations.engines.base import INLINE_ENGINE, ONE_THREAD, Options, Order
from simulations.engines.template import CLIENTAPP
from simulations.engines.workers import Done, Executor, Here, Job, Pool, single_thread, warm_up
from simulations.processes import uninterrupted


class InlineGrid(Grid):
    """A Grid whose nodes 1..N live in this process or its workers, each with its own lasting state."""

    def __init__(
        self, executor: Executor, nodes: int, options: Options, note: Callable[[str], None] = print
    ) -> None:
        self._run = Run.create_empty(secrets.randbits(62) + 1)
        self._executor, self._note, self._replies = executor, note, dict[str, Message]()
        self._states = {i + 1: self._first_state(i, nodes, options) for i in range(nodes)}
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = (
            self._run.run_id,
            SUPERLINK_NODE_ID,
            1,
        )

    def _first_state(self, partition: int, nodes: int, options: Options) -> bytes:
        place: dict[str, bool | float | int | str] = {"partition-id": partition, "num-partitions": nodes}
        state = Context(self._run.run_id, partition + 1, place, RecordDict(), dict(options))
        return bytes(context_to_proto(state).SerializeToString(deterministic=True))

    def set_run(self, run: Run) -> None:
        """Set the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Make a message to a node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return 1..N."""
        return list(self._states)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Deliver the messages and keep the replies until they are pulled."""
        messages = list(messages)
        for reply in self.send_and_receive(messages):
            self._replies[reply.metadata.reply_to_message_id] = reply
        return [message.metadata.message_id for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies to `message_ids`."""
        return [self._replies.pop(name) for name in message_ids if name in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Deliver the messages; return, in the order sent, the replies that came within `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        waiting, replies = list(messages), dict[str, Message]()
        order = [self._name(message) for message in waiting]
        while waiting:  # one message per node at a time: the next one needs the state this one leaves
            wave = {message.metadata.dst_node_id: message for message in reversed(waiting)}
            waiting = [message for message in waiting if wave[message.metadata.dst_node_id] is not message]
            replies.update(self._deliver({node: wave[node] for node in sorted(wave)}, deadline))
        return [replies[name] for name in order if name in replies]

    @staticmethod
    def _name(message: Message) -> str:
        name = secrets.token_hex(16)
        message.metadata.__dict__["_message_id"] = name
        return name

    def _deliver(self, wave: dict[int, Message], deadline: float | None) -> Iterator[tuple[str, Message]]:
        jobs = [
            Job(node, message_to_proto(message).SerializeToString(deterministic=True), self._states[node])
            for node, message in wave.items()
            if node in self._states
        ]
        done = self._executor.run(jobs, deadline)
        for node, message in wave.items():
            if node not in self._states:
                error = Error(ErrorCode.NODE_UNAVAILABLE, f"no node {node}")
                yield message.metadata.message_id, Message(error, reply_to=message)
            elif node in done:
                yield message.metadata.message_id, self._reply(message, done[node])

    def _reply(self, message: Message, done: Done) -> Message:
        if done.error:
            self._note(done.trace or done.error)
            code = ErrorCode.CLIENT_APP_CRASHED if done.crashed else ErrorCode.CLIENT_APP_RAISED_EXCEPTION
            reply = Message(Error(code, done.error), reply_to=message)
        else:
            self._states[message.metadata.dst_node_id] = done.context
            reply = message_from_proto(ProtoMessage.FromString(done.reply))
        self._name(reply)
        return reply


def default_workers(sites: int) -> int:
    """Return how many processes serve the sites unless told: two, or fewer cores or sites."""
    return max(1, min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, sites))


@contextmanager
def _environment() -> Iterator[None]:
    """Mark this process as the engine's and keep it single-threaded; put the environment back after."""
    before = {name: os.environ.get(name) for name in (INLINE_ENGINE, CLIENTAPP, *ONE_THREAD)}
    try:
        single_thread()
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _ToOrder(logging.Handler):
    """Passes the app's log on, line by line; tracebacks go to the log file only."""

    def __init__(self, order: Order) -> None:
        super().__init__(logging.INFO)
        self.order = order

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on."""
        for line in record.getMessage().splitlines():
            self.order.say(line)
        if record.exc_info:
            self.order.note(logging.Formatter().formatException(record.exc_info))


@contextmanager
def _logging_to(order: Order) -> Iterator[None]:
    logger, handler = logging.getLogger("transecg"), _ToOrder(order)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


def run(order: Order, workers: int | None = None) -> None:
    """Run the app here; raises whatever the ServerApp raises.

    Parameters
    ----------
    workers
        Processes that serve the sites; 1: this process, one site after the other.
    """
    count = min(workers or default_workers(order.sites), order.sites)
    logging.getLogger("flwr").setLevel(logging.WARNING)
    with _environment(), _logging_to(order):
        executor: Executor | None = None
        try:
            if count > 1:
                warm_up(order.app.clientapp)
            module, _, attribute = order.app.serverapp.partition(":")
            server = getattr(importlib.import_module(module), attribute)
            single_thread()
            with uninterrupted():
                executor = Here(order.app.clientapp) if count == 1 else Pool(order.app.clientapp, count)
            grid = InlineGrid(executor, order.sites, order.options, order.note)
            state = Context(grid.run.run_id, SUPERLINK_NODE_ID, {}, RecordDict(), dict(order.options))
            server(grid, state)
        finally:
            if executor is not None:
                with uninterrupted(then_raise=False):
                    executor.close()
