"""Which node serves which site, and how a question reaches every site and its answer comes back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from transecg_core.config import RunConfig
from transecg_core.errors import UserError

POLL_S = 1.0


@dataclass(frozen=True)
class Answer:
    """One site's reply: its content, or why there is none."""

    content: RecordDict | None
    error: str | None = None


@dataclass
class Federation:
    """The sites of one run, seen through Flower's `Grid`.

    Nodes are asked who they are; nothing is keyed by node id, because a SuperNode that
    restarts comes back under another one. A simulation with fewer nodes than sites (Flower's
    own default is two) is served in waves, one message per node at a time.
    """

    grid: Grid
    cfg: RunConfig
    engine: str = "unknown"
    nodes: dict[int, Mapping[str, object]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def connect(self) -> None:
        """Wait until every expected site has a node.

        Raises
        ------
        UserError
            If sites are missing at the deadline, or a site is claimed twice.
        """
        deadline = time.monotonic() + self.cfg.round_timeout
        while not self._complete():
            if time.monotonic() > deadline:
                absent = (
                    ", ".join(site for site in self.cfg.site_names if site not in self.assignment())
                    or "nodes"
                )
                raise UserError(
                    f"waited {self.cfg.round_timeout:g} s for {absent}; start the missing SuperNodes"
                )
            if not self._refresh():
                time.sleep(POLL_S)

    def _complete(self) -> bool:
        if self.cfg.cohort == "node":
            return set(self.cfg.site_names) <= set(self.assignment())
        partitions = max((int(str(facts["num-partitions"])) for facts in self.nodes.values()), default=0)
        return 0 < partitions <= len(self.nodes)

    def _refresh(self) -> bool:
        """Ask nodes not seen before who they are, forget the ones gone; return whether any is new."""
        online = set(self.grid.get_node_ids())
        self.nodes = {node: facts for node, facts in self.nodes.items() if node in online}
        new = sorted(online - set(self.nodes))
        for node, answer in self._exchange(
            {node: RecordDict() for node in new}, "query.hello", 120.0
        ).items():
            if answer.content is None:
                raise UserError(f"a node does not answer as a site should: {answer.error}")
            self.nodes[node] = dict(answer.content["reply"])
            self.engine = str(self.nodes[node]["engine"])
        return bool(new)

    def assignment(self) -> dict[str, int]:
        """Return site -> node id, sites sorted.

        Raises
        ------
        UserError
            If two nodes claim one site.
        """
        if self.cfg.cohort != "node":
            order = sorted(self.nodes, key=lambda node: (int(str(self.nodes[node]["partition-id"])), node))
            return (
                {site: order[i % len(order)] for i, site in enumerate(self.cfg.site_names)} if order else {}
            )
        claims: dict[str, int] = {}
        for node, facts in sorted(self.nodes.items()):
            site = str(facts["site"])
            if site in claims:
                raise UserError(f"two nodes claim to be site '{site}'; stop one of them")
            claims[site] = node
        return {site: claims[site] for site in self.cfg.site_names if site in claims}

    def ask(self, kind: str, orders: Mapping[str, RecordDict]) -> dict[str, Answer]:
        """Send one message per site and collect the answers by the round's deadline.

        Returns
        -------
        dict
            Site -> answer, for every site asked, sorted by site.
        """
        deadline = time.monotonic() + self.cfg.round_timeout
        self._refresh()
        where = self.assignment()
        answers = {site: Answer(None, "no node serves this site now") for site in sorted(orders)}
        waiting = [site for site in sorted(orders) if site in where]
        while waiting:
            wave: dict[int, str] = {}
            for site in waiting:
                wave.setdefault(where[site], site)
            waiting = [site for site in waiting if site not in wave.values()]
            left = max(deadline - time.monotonic(), 0.0)
            replies = self._exchange({node: orders[site] for node, site in wave.items()}, kind, left)
            answers.update({site: replies[node] for node, site in wave.items()})
        return answers

    def _exchange(self, contents: Mapping[int, RecordDict], kind: str, timeout: float) -> dict[int, Answer]:
        answers = {node: Answer(None, f"no answer within {timeout:.0f} s") for node in contents}
        messages = [Message(content, node, kind) for node, content in sorted(contents.items())]
        for reply in self.grid.send_and_receive(messages, timeout=timeout) if messages else ():
            answers[reply.metadata.src_node_id] = _read(reply)
        return answers


def _read(reply: Message) -> Answer:
    if reply.has_error():
        return Answer(None, " ".join(str(reply.error.reason or "its ClientApp failed").split())[-300:])
    record = reply.content.get("reply")
    if not isinstance(record, ConfigRecord):
        return Answer(None, "its reply has no 'reply' record")
    if "error" in record:
        return Answer(None, " ".join(str(record["error"]).split())[:300])
    return Answer(reply.content)
