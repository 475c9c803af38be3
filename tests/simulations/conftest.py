"""A federation small enough to be started a hundred times: adds numbers, remembers how often it was asked."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from physionet_server import Site, published, serving

from simulations import physionet
from simulations.engines.base import App, Order

CLIENT = """
import os, time
import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()
BORN = os.getpid()

@app.train()
def train(message, context):
    me, mode = int(context.node_config["partition-id"]), str(context.run_config["mode"])
    seen = context.state.metric_records.setdefault("seen", MetricRecord({"count": 0}))
    seen["count"] = int(seen["count"]) + 1
    if me == 1 and mode == "client-raises":
        raise ValueError("site one can't")
    if me == 1 and mode == "client-dies":
        os._exit(9)
    if me == 1 and mode == "client-hangs":
        time.sleep(600)
    if mode == "slow":
        time.sleep(30)
    x = message.content["x"]["x"].numpy()
    x = np.sin(x + me) * 3.0
    facts = MetricRecord({"partition": me, "count": seen["count"], "pid": os.getpid(), "born": BORN,
                          "threads": int(os.environ.get("OMP_NUM_THREADS", "0"))})
    return Message(RecordDict({"x": ArrayRecord({"x": Array(x)}), "facts": facts}), reply_to=message)
"""

SERVER = """
import logging, sys, time
from pathlib import Path
import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.serverapp import ServerApp

app = ServerApp()
logger = logging.getLogger("transecg")

@app.main()
def main(grid, context):
    cfg = context.run_config
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.INFO)
    folder = Path(str(cfg["output-dir"])) / "run"
    folder.mkdir(parents=True)
    logger.info("run folder %s", folder)
    if cfg["mode"] == "server-raises":
        logger.error("TransECG FAILED: no luck today")
        raise RuntimeError("no luck today")
    while len(list(grid.get_node_ids())) < int(cfg["nodes"]):
        time.sleep(0.2)
    x, facts = np.zeros(5), []
    for number in range(1, int(cfg["rounds"]) + 1):
        content = lambda: RecordDict({"x": ArrayRecord({"x": Array(x)})})
        messages = [Message(content(), node, "train") for node in grid.get_node_ids()]
        replies = list(grid.send_and_receive(messages, timeout=float(cfg["timeout"])))
        good = sorted((r for r in replies if r.has_content()), key=lambda r: r.content["facts"]["partition"])
        for bad in (r for r in replies if r.has_error()):
            logger.info("refused: %s", bad.error.reason)
        x = sum((r.content["x"]["x"].numpy() for r in good), np.zeros(5))
        facts.append([dict(r.content["facts"]) for r in good])
        logger.info("round %d/%d with %d sites", number, cfg["rounds"], len(good))
    np.save(folder / "x.npy", x)
    (folder / "facts.json").write_text(__import__("json").dumps(facts))
    (folder / "where.txt").write_text(__file__)
    (folder / "report.html").write_text("<p>toy</p>")
    logger.info("TransECG report: %s", folder / "report.html")
"""

DEFAULTS = {"mode": "ok", "rounds": 2, "timeout": 60.0, "nodes": 3, "output-dir": "runs"}


@dataclasses.dataclass
class Heard:
    """What a run said."""

    lines: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture(scope="session")
def toy_app(tmp_path_factory: pytest.TempPathFactory) -> App:
    root = tmp_path_factory.mktemp("toy")
    for name, text in (("toyclient", CLIENT), ("toyserver", SERVER)):
        (root / name).mkdir()
        (root / name / "__init__.py").write_text("")
        (root / name / "app.py").write_text(text)
    return App(
        "toyserver.app:app",
        "toyclient.app:app",
        (root / "toyclient", root / "toyserver"),
        DEFAULTS,
        name="toy",
    )


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return a function that lists the live processes started by this test, however detached."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv("TRANSECG_TEST_MARK", mark)

    def find() -> list[str]:
        deadline = time.monotonic() + 5.0  # a helper that reads the end of its pipe needs a moment
        while (found := look()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def look() -> list[str]:
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get("TRANSECG_TEST_MARK") == mark
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(" ".join(process.cmdline()))
            except (psutil.Error, OSError):
                continue  # gone, or somebody else's
        return found

    return find


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def order(
    toy_app: App, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Order]:  # fmt: skip
    """Return a maker of orders for the toy app; options as keyword arguments."""
    monkeypatch.syspath_prepend(str(toy_app.packages[0].parent))

    def make(**options: str | int | float) -> Order:
        full = {**DEFAULTS, "output-dir": str(tmp_path / "out"), **options}
        return Order(toy_app, full, int(full["nodes"]), heard.lines.append, heard.notes.append)

    return make


@pytest.fixture
def unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our few records are not the published ones; `test_pins` covers the pins."""
    free = {name: dataclasses.replace(one, pinned=None) for name, one in physionet.SELECTIONS.items()}
    monkeypatch.setattr(physionet, "SELECTIONS", free)
    monkeypatch.setattr("simulations.fetch.SELECTIONS", free)


@pytest.fixture
def site(tmp_path: Path, unpinned: None) -> Iterator[Site]:
    """A small ECG-ID, served on loopback."""
    with serving(published(tmp_path, "ecgiddb")) as started:
        yield started
