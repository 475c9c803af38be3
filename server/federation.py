"""Which node serves which site, and how a question reaches every site and its answer comes back."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.names import SITE_NAME

POLL_S = 1.0
HELLO_S = 120.0
"""Longest wait for a node to say who it is: a first answer imports torch, on a busy machine."""
MAX_PARTITIONS = 10_000
ENGINES = ("inline", "ray", "deployment")
STATUS_LINE = re.compile(r"TransECG (report|FAILED):", re.IGNORECASE)
"""The launcher believes lines that hold these words; only the server may write them."""
logger = logging.getLogger("transecg")


def printable(text: str, limit: int = 300) -> str:
    """Return what a site wrote as one harmless line of `limit` characters at most.

    A site's words reach the log, the terminal and the report, so they may hold no control
    sequence, no second line and no status line of ours.
    """
    line = " ".join(text[: 20 * limit].split())
    line = "".join(char if " " <= char <= "~" else "?" for char in line)[:limit]
    return STATUS_LINE.sub("[...]", line)


@dataclass(frozen=True)
class Answer:
    """One site's reply: its content, or why there is none."""

    content: RecordDict | None
    error: str | None = None


@dataclass(frozen=True)
class Hello:
    """Who a node says it is, checked; ``site`` is empty for a simulated node."""

    partition: int
    partitions: int
    site: str
    engine: str


@dataclass
class Federation:
    """The sites of one run, seen through Flower's `Grid`.

    Nodes are asked who they are; nothing is keyed by node id, because a SuperNode that
    restarts comes back under another one. A simulation with fewer nodes than sites (Flower's
    own default is two) is served in waves, one message per node at a time. Anybody whom the
    SuperLink lets in may say anything: a node with an unusable answer is ignored, with a
    line in the log, and never ends a run.

    Attributes
    ----------
    nodes
        Node id -> what it said; online nodes only.
    ignored
        Node id -> why it isn't asked again while it stays online.
    serving
        Site -> the node that served it last; it keeps the site for as long as it is online.
    """

    grid: Grid
    cfg: RunConfig
    engine: str = "unknown"
    nodes: dict[int, Hello] = field(default_factory=dict)
    ignored: dict[int, str] = field(default_factory=dict)
    serving: dict[str, int] = field(default_factory=dict)
    trouble: str = ""

    def connect(self) -> None:
        """Wait until every expected site has a node.

        Raises
        ------
        UserError
            If sites are missing at the deadline (with the last reason why a node was ignored),
            or two nodes claim one site.
        """
        deadline = time.monotonic() + self.cfg.round_timeout
        while True:
            news = self._refresh(deadline)
            where, contested = self.assignment()
            if contested:  # nobody served it before, so nothing tells the right node from the wrong one
                raise UserError(f"two nodes claim to be site '{contested[0]}'; stop one of them")
            if self._complete(where):
                self.serving = where
                self.engine = self.nodes[min(where.values())].engine
                return
            if self.cfg.cohort != "node" and self.ignored and not self.nodes:
                raise UserError(f"no simulated node is of use: {self.trouble}")  # more of the same won't come
            left = deadline - time.monotonic()
            if left <= 0:
                raise UserError(self._who_is_missing(where))
            if not news:
                time.sleep(min(POLL_S, left))

    def _complete(self, where: Mapping[str, int]) -> bool:
        if self.cfg.cohort == "node":
            return len(where) == len(self.cfg.site_names)
        partitions = max((hello.partitions for hello in self.nodes.values()), default=0)
        return 0 < partitions <= len(self.nodes)

    def _who_is_missing(self, where: Mapping[str, int]) -> str:
        absent = ", ".join(site for site in self.cfg.site_names if site not in where) or "nodes"
        reason = f"; last node ignored: {self.trouble}" if self.trouble else ""
        return f"waited {self.cfg.round_timeout:g} s for {absent}; start the missing SuperNodes{reason}"

    def _refresh(self, deadline: float) -> bool:
        """Forget the nodes gone, ask the ones not seen before who they are; return whether any answered."""
        online = set(self.grid.get_node_ids())
        self.nodes = {node: hello for node, hello in self.nodes.items() if node in online}
        self.ignored = {node: reason for node, reason in self.ignored.items() if node in online}
        left = min(HELLO_S, deadline - time.monotonic())
        new = sorted(online - set(self.nodes) - set(self.ignored)) if left > 0 else []
        replies = self._exchange({node: RecordDict() for node in new}, "query.hello", left)
        for node in new:
            answer = replies.get(node, Answer(None, f"no answer within {left:.0f} s"))
            try:
                self.nodes[node] = read_hello(answer, self.cfg)
            except ValueError as error:
                self._ignore(node, str(error), remember=node in replies or bool(self.serving))
        return bool(replies)

    def _ignore(self, node: int, reason: str, remember: bool) -> None:
        """Log why a node is of no use. Silence is forgiven while connecting: it may be slow to start."""
        self.trouble = printable(reason, 200)
        if remember:
            self.ignored[node] = self.trouble
        logger.warning("node %d is ignored: %s", node, self.trouble)

    def assignment(self) -> tuple[dict[str, int], list[str]]:
        """Return site -> node id (sites sorted), and the sites that several nodes claim.

        A site stays with the node that served it while that node is online: a second claimant
        can't take it over, and a restarted SuperNode takes over once its old id is gone.
        """
        where: dict[str, int] = {}
        contested = []
        order = sorted(self.nodes, key=lambda node: (self.nodes[node].partition, node))
        for i, site in enumerate(self.cfg.site_names):
            claims = [node for node in order if self.nodes[node].site == site]
            if self.cfg.cohort != "node":  # simulated nodes serve any site
                claims = [order[i % len(order)]] if order else []
            if self.serving.get(site) in self.nodes:
                where[site] = self.serving[site]
            elif len(claims) == 1:
                where[site] = claims[0]
            elif claims:
                contested.append(site)
        return where, contested

    def ask(self, kind: str, orders: Mapping[str, RecordDict]) -> dict[str, Answer]:
        """Send one message per site and collect the answers by the round's deadline.

        Returns
        -------
        dict
            Site -> answer, for every site asked, sorted by site.
        """
        deadline = time.monotonic() + self.cfg.round_timeout
        # half the time at most goes into introductions, so that one silent newcomer can't use up a round
        where, contested = self._locate(deadline - self.cfg.round_timeout / 2)
        answers = {site: Answer(None, "no node serves this site now") for site in sorted(orders)}
        answers |= {site: Answer(None, "claimed by two nodes") for site in contested if site in orders}
        waiting = [site for site in sorted(orders) if site in where]
        while waiting:
            wave: dict[int, str] = {}
            for site in waiting:
                wave.setdefault(where[site], site)
            waiting = [site for site in waiting if site not in wave.values()]
            left = deadline - time.monotonic()
            silent = Answer(None, f"no answer within {self.cfg.round_timeout:g} s")
            orders_now = {node: orders[site] for node, site in wave.items()}
            # past the deadline nothing is sent: a site would train, and spend privacy, for nobody
            replies = self._exchange(orders_now, kind, left) if left > 0 else {}
            answers.update({site: replies.get(node, silent) for node, site in wave.items()})
        return answers

    def _locate(self, deadline: float) -> tuple[dict[str, int], list[str]]:
        """Return the assignment, asking new nodes who they are only where a site lost its node.

        So a stranger that never answers costs no time in the rounds of a healthy federation.
        """
        online = set(self.grid.get_node_ids())
        if not set(self.serving.values()) <= online or len(self.serving) < len(self.cfg.site_names):
            self._refresh(deadline)
        where, contested = self.assignment()
        self.serving |= where
        return where, contested

    def _exchange(self, contents: Mapping[int, RecordDict], kind: str, timeout: float) -> dict[int, Answer]:
        """Return node -> answer, for the nodes that answered in time."""
        messages = [Message(content, node, kind) for node, content in sorted(contents.items())]
        replies = self.grid.send_and_receive(messages, timeout=timeout) if messages else ()
        return {
            reply.metadata.src_node_id: _read(reply)
            for reply in replies
            if reply.metadata.src_node_id in contents
        }


def read_hello(answer: Answer, cfg: RunConfig) -> Hello:
    """Validate what a node says about itself, as if it came from an adversary.

    Raises
    ------
    ValueError
        If it can't take part in this run; the message says why.
    """
    if answer.content is None:
        raise ValueError(answer.error)
    said: dict[str, Any] = dict(answer.content["reply"])
    partition, partitions = said.get("partition-id"), said.get("num-partitions")
    site, engine = said.get("site"), said.get("engine")
    if not _is_partition(partition, 0) or not _is_partition(partitions, 1) or partition >= partitions:
        raise ValueError(
            f"partition-id={partition!s:.20} and num-partitions={partitions!s:.20} are no place among partitions"
        )
    if engine not in ENGINES:
        raise ValueError("it names no known engine; is it running the same version?")
    if not isinstance(site, str) or (site and not SITE_NAME.fullmatch(site)):
        raise ValueError("its site is no site name; use a-z, 0-9 and hyphens, 32 at most")
    if cfg.cohort == "node" and site not in cfg.site_names:
        declared = f"it serves site '{site}'" if site else "it declares no site in its --node-config"
        raise ValueError(f"{declared}, and this run is for {', '.join(cfg.site_names)}")
    return Hello(partition, partitions, site, engine)


def _is_partition(value: object, least: int) -> TypeGuard[int]:
    return type(value) is int and least <= value <= MAX_PARTITIONS  # True is no number


def _read(reply: Message) -> Answer:
    """Return a reply's content, or its error as one harmless line."""
    if reply.has_error():  # the end of Flower's text is the exception itself
        return Answer(None, printable(str(reply.error.reason or "its ClientApp failed")[-200:]))
    content = reply.content if reply.has_content() else None
    record = content.get("reply") if isinstance(content, RecordDict) else None
    if content is None or not isinstance(record, ConfigRecord):
        return Answer(None, "its reply has no 'reply' record")
    if "error" in record:
        return Answer(None, printable(str(record["error"])))
    return Answer(content)
