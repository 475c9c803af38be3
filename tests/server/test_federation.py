"""Who serves which site, on a fake Grid whose nodes come, go, lie and stay silent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from types import SimpleNamespace

import pytest
from flwr.app import ConfigRecord, Error, MetricRecord, RecordDict

import server.federation
from server.federation import Federation, printable
from transecg_core.config import RunConfig, parse
from transecg_core.errors import UserError

Node = Callable[[str, RecordDict], "RecordDict | Error | None"]


def record(**facts: object) -> RecordDict:
    return RecordDict({"reply": ConfigRecord({key.replace("_", "-"): value for key, value in facts.items()})})


def node(site: str = "", partition: object = 0, partitions: object = 1, **more: object) -> Node:
    """An honest node, apart from what `more` changes in its hello (None: left out)."""
    facts = {"partition_id": partition, "num_partitions": partitions, "site": site, "engine": "deployment"}
    hello = {key: value for key, value in (facts | more).items() if value is not None}
    return lambda kind, content: record(**hello) if kind == "query.hello" else record(done=1)


def saying(answer: RecordDict | Error | None) -> Node:
    return lambda kind, content: answer


class FakeGrid:
    """Just what `Federation` uses of a Grid; ``log`` holds (kind, node) of every message sent."""

    def __init__(self, **nodes: Node) -> None:
        self.nodes = {int(name[1:]): node for name, node in nodes.items()}
        self.log: list[tuple[str, int]] = []
        self.timeouts: list[float] = []

    def get_node_ids(self) -> Iterable[int]:
        return list(self.nodes)

    def send_and_receive(self, messages, *, timeout):
        self.timeouts.append(timeout)
        replies = []
        assert len({message.node for message in messages}) == len(messages)
        for message in messages:
            self.log.append((message.kind, message.node))
            answer = self.nodes[message.node](message.kind, message.content)
            if answer is not None:
                replies.append(reply_from(message.node, answer))
        return replies

    def asked(self, kind: str) -> list[int]:
        return [node for sent, node in self.log if sent == kind]


def reply_from(node_id: int, answer: object) -> SimpleNamespace:
    failed = isinstance(answer, Error)
    return SimpleNamespace(
        metadata=SimpleNamespace(src_node_id=node_id), content=answer, error=answer,
        has_error=lambda: failed, has_content=lambda: not failed,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _no_superlink(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real Message needs a SuperLink's identity; and nothing here is worth a second's sleep."""
    message = lambda content, node, kind: SimpleNamespace(content=content, node=node, kind=kind)  # noqa: E731
    monkeypatch.setattr(server.federation, "Message", message)
    monkeypatch.setattr(server.federation, "POLL_S", 0.01)


def node_cfg(sites: str = "a,b", timeout: float = 0.2) -> RunConfig:
    return parse({"cohort": "node", "sites": sites, "round-timeout": timeout})


def connected(grid: FakeGrid, cfg: RunConfig | None = None) -> Federation:
    federation = Federation(grid, cfg or node_cfg())
    federation.connect()
    return federation


def train(federation: Federation) -> dict[str, str | None]:
    """Ask every site; return site -> why it is absent (None: it answered)."""
    answers = federation.ask("train", {site: RecordDict() for site in federation.cfg.site_names})
    assert all((answer.content is None) == (answer.error is not None) for answer in answers.values())
    return {site: answer.error for site, answer in answers.items()}


def test_a_restarted_node_takes_over_once_its_old_id_is_gone() -> None:
    grid = FakeGrid(n1=node("a"), n2=node("b"))
    federation = connected(grid)
    grid.nodes[9] = node("b")
    grid.nodes[2] = saying(None)  # still online for the SuperLink, but dead
    assert "no answer" in str(train(federation)["b"])
    assert grid.asked("train") == [1, 2]
    del grid.nodes[2]
    assert train(federation) == {"a": None, "b": None}
    assert grid.asked("train") == [1, 2, 1, 9]


def test_a_second_claimant_never_takes_a_site_from_an_online_node() -> None:
    grid = FakeGrid(n5=node("a"), n6=node("b"))
    federation = connected(grid)
    grid.nodes |= {1: node("b"), 7: node("b")}
    assert train(federation) == {"a": None, "b": None}
    del grid.nodes[6]
    assert train(federation) == {"a": None, "b": "claimed by two nodes"}
    del grid.nodes[1]
    assert train(federation) == {"a": None, "b": None}
    assert grid.asked("train") == [5, 6, 5, 5, 7]


def test_a_site_without_a_node_is_absent_by_name() -> None:
    grid = FakeGrid(n1=node("a"), n2=node("b"))
    federation = connected(grid)
    del grid.nodes[2]
    assert train(federation) == {"a": None, "b": "no node serves this site now"}


def test_two_claims_while_connecting_end_the_run() -> None:
    with pytest.raises(UserError, match="two nodes claim to be site 'b'"):
        connected(FakeGrid(n1=node("a"), n2=node("b"), n3=node("b")))


HALF = record(error="node config: reader, ledger missing; give all of site, reader, data-dir, ledger")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (node("c"), "serves site 'c'"),
        (node(""), "declares no site"),
        (node("B/../x"), "no site name"),
        (node(["b"]), "no site name"),  # type: ignore[arg-type]
        (node("b", engine=None), "no known engine"),
        (node("b", engine="TransECG report: /x"), "no known engine"),
        (node("b", "x"), "partition-id=x"),
        (node("b", True, 4), "partition-id=True"),
        (node("b", 0.0), "partition-id=0.0"),
        (node("b", -1), "partition-id=-1"),
        (node("b", 4, 4), "partition-id=4"),
        (node("b", 0, 0), "num-partitions=0"),
        (node("b", 0, 10_001), "num-partitions=10001"),
        (node("b", None), "partition-id=None"),
        (saying(HALF), "reader, ledger missing"),
        (saying(Error(1, "x" * 400 + "<class 'ImportError'>")), "ImportError"),
        (saying(RecordDict()), "no 'reply' record"),
        (saying(RecordDict({"reply": MetricRecord({"x": 1})})), "no 'reply' record"),
        (saying("text"), "no 'reply' record"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_hello_is_ignored_once_and_explains_the_timeout(
    bad: Node, reason: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("transecg"), "propagate", True)
    grid = FakeGrid(n1=node("a"), n2=bad)
    with pytest.raises(UserError, match=r"waited 0\.2 s for b; start") as error:
        connected(grid)
    assert reason in str(error.value)
    assert grid.asked("query.hello") == [1, 2]
    assert [reason in line for line in caplog.messages] == [True]
    grid = FakeGrid(n1=node("a"), n2=bad, n3=node("b"))  # the same run, with the right node too
    assert train(connected(grid)) == {"a": None, "b": None}
    assert grid.asked("train") == [1, 3]


def test_an_ignored_node_is_asked_again_when_it_reappears() -> None:
    grid = FakeGrid(n1=node("a"), n2=node("b"), n3=saying(HALF))
    federation = connected(grid)
    for present in (False, True):
        grid.nodes.pop(2, None)
        grid.nodes.pop(3, None)
        if present:
            grid.nodes[3] = node("b")
        assert (train(federation)["b"] is None) == present


def test_a_slow_starter_is_asked_again_while_connecting() -> None:
    answers = iter([None, None, record(partition_id=0, num_partitions=1, site="b", engine="ray")])
    grid = FakeGrid(n1=node("a"), n2=lambda kind, content: next(answers))
    federation = connected(grid, node_cfg(timeout=5))
    assert federation.serving == {"a": 1, "b": 2}
    assert federation.nodes[2].engine == "ray"
    assert federation.engine == "deployment"


def test_strangers_cost_a_healthy_round_nothing() -> None:
    grid = FakeGrid(n1=node("a"), n2=node("b"))
    federation = connected(grid)
    grid.nodes[3] = saying(None)
    assert train(federation) == {"a": None, "b": None}
    assert 3 not in grid.asked("query.hello")


def test_hello_never_waits_longer_than_the_round() -> None:
    grid = FakeGrid(n1=node("a"), n2=node("b"))
    federation = connected(grid, node_cfg(timeout=7.0))
    grid.nodes = {1: node("a"), 3: node("b")}
    train(federation)
    assert grid.asked("query.hello") == [1, 2, 3]
    assert max(grid.timeouts) <= 7.0
    assert grid.timeouts[-2] <= 3.5  # and in a round it leaves the others time to train
    long = FakeGrid(n1=node("a"), n2=node("b"))
    connected(long, node_cfg(timeout=500.0))
    assert long.timeouts == [120.0]


def test_two_nodes_serve_four_sites_in_waves() -> None:
    grid = FakeGrid(n8=node(partition=0, partitions=2), n3=node(partition=1, partitions=2))
    federation = connected(grid, parse({"round-timeout": 5.0}))
    assert set(train(federation).values()) == {None}
    assert grid.asked("train") == [3, 8, 3, 8]
    assert federation.serving == {"synth-a": 8, "synth-b": 3, "synth-c": 8, "synth-d": 3}


def test_a_simulation_waits_for_all_its_partitions() -> None:
    with pytest.raises(UserError, match="for nodes; start the missing"):
        connected(FakeGrid(n8=node(partition=0, partitions=2)), parse({"round-timeout": 0.1}))


def test_nothing_is_sent_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(server.federation.time, "monotonic", lambda: clock[0])

    def slow(kind: str, content: RecordDict) -> RecordDict:
        clock[0] += 60.0 if kind == "train" else 0.0
        return record(partition_id=0, num_partitions=1, site="", engine="inline")

    grid = FakeGrid(n1=slow)
    federation = connected(grid, parse({"round-timeout": 100.0}))
    absent = train(federation)
    assert [site for site, reason in absent.items() if reason] == ["synth-c", "synth-d"]
    assert grid.asked("train") == [1, 1]


@pytest.mark.parametrize(
    "text",
    [
        "TransECG report: /etc/passwd", "x\nTransECG FAILED: no", "transecg\u00a0REPORT: /x",
        "Trans\x1b[2KECG report: /x\x00", "TransECG TransECG report: report: /x",
    ],
)  # fmt: skip
def test_a_site_can_forge_no_status_line(text: str) -> None:
    grid = FakeGrid(n1=node("a"), n2=node("b"))
    federation = connected(grid)
    grid.nodes[2] = saying(record(error=text))
    for said in (train(federation)["b"], printable(text * 100)):
        assert said
        assert said.isascii()
        assert said.isprintable()
        assert len(said) <= 300
        assert "transecg report:" not in said.lower()
        assert "transecg failed:" not in said.lower()
