"""What a node answers to a server that asks for more than the institution allows."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client import app
from client.ledger import Ledger, read
from client.site import INLINE_ENGINE
from transecg_core.config import defaults


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """An institution's declaration; its folder is empty, so whoever reads it fails."""
    monkeypatch.delenv(INLINE_ENGINE, raising=False)
    monkeypatch.setattr("client.site.inside_simulation", lambda: False)
    for name in ("_run_id", "_node_id", "_task_id"):  # flwr stamps messages with the process's task
        monkeypatch.setattr(TaskIdentity, name, 1)
    (tmp_path / "data").mkdir()
    return {"site": "clinic", "reader": "ludb", "data-dir": str(tmp_path / "data"),
            "ledger": str(tmp_path / "ledger.sqlite"), "people": 40, "max-epsilon": 8.0}  # fmt: skip


def describe(declared: dict[str, object], **options: object) -> dict[str, object]:
    run = (
        defaults()
        | {"cohort": "node", "sites": "clinic,other"}
        | {k.replace("_", "-"): v for k, v in options.items()}
    )
    context = Context(run_id=1, node_id=2, node_config=declared, state=RecordDict(), run_config=run)  # type: ignore[arg-type]
    content = RecordDict({"order": ConfigRecord({"site": "clinic", "round": 0})})
    return dict(
        app.describe(Message(content, dst_node_id=2, message_type="query.describe"), context).content["reply"]
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [{"privacy": "none"}, {"privacy": "participant", "noise": "off"}],
    ids=["no privacy", "no noise"],
)
def test_a_node_with_a_budget_describes_nothing_without_a_guarantee(
    clinic: dict[str, object], options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server alone sets `privacy`: asking without it must not get the exact counts."""
    monkeypatch.setattr(app, "open_node_site", lambda *_: pytest.fail("the data were read"))
    reply = describe(clinic, **options)
    assert list(reply) == ["error"]
    assert str(reply["error"]).startswith("budget: guarantee;")
    assert "8" not in str(reply["error"])


def test_with_a_guarantee_or_an_institution_s_leave_the_data_are_read(
    clinic: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def stop(_node: object, _cfg: object, name: str) -> None:
        read.append(name)
        raise ValueError("far enough")

    monkeypatch.setattr(app, "open_node_site", stop)
    describe(clinic, privacy="participant")
    describe(clinic | {"max-epsilon": "none"}, privacy="none")
    assert read == ["clinic", "clinic"]


def counted(monkeypatch: pytest.MonkeyPatch, windows: int) -> None:
    """Let the site's data be so many windows."""
    monkeypatch.setattr(app, "open_node_site", lambda *_: SimpleNamespace(people=40))
    monkeypatch.setattr(app, "refuse_few_people", lambda *_: None)
    monkeypatch.setattr(app, "available_tasks", lambda *_: ("sex",))
    monkeypatch.setattr(app, "describe_site", lambda *_, **__: {"name": "clinic", "windows": windows})


def test_a_second_description_sends_what_was_told_first_though_the_data_have_changed(
    clinic: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a server that asks before and after one person came would learn about them, for one charge."""
    free = clinic | {"max-epsilon": "none"}
    counted(monkeypatch, 100)
    first = describe(free)
    assert json.loads(str(first["facts"])) == {"name": "clinic", "windows": 100}
    counted(monkeypatch, 101)
    assert describe(free) == first
    (charge,) = read(Path(str(free["ledger"]))).charges
    assert (charge.key.round, charge.key.input_hash, charge.mechanism.sigma) == (0, "description", 0)
    monkeypatch.setattr(TaskIdentity, "_run_id", 2)
    assert json.loads(str(describe(free)["facts"]))["windows"] == 101  # another run, another charge
    assert len(read(Path(str(free["ledger"]))).charges) == 2


def test_an_answer_that_the_ledger_does_not_hold_is_not_sent(
    clinic: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(monkeypatch, 100)
    monkeypatch.setattr(Ledger, "lookup", lambda *_: None)
    assert describe(clinic | {"max-epsilon": "none"}) == {
        "error": "ledger: not usable; the site's own log says why"
    }


def test_a_refusal_says_neither_path_nor_value(clinic: dict[str, object]) -> None:
    reply = describe(clinic, privacy="participant")  # the folder holds nothing
    assert str(reply["error"]).startswith("site: not able; the site's own log")
    assert str(clinic["data-dir"]) not in json.dumps(reply)
