"""A run against a site's policy: every rule refuses by its own name, before a record is read."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client import app
from client.admission import refuse_by_policy, refuse_few_people, refuse_unaffordable
from client.budget import release_key
from client.ledger import Ledger, ReleaseKey
from client.order import Order
from client.policy import Policy
from client.refusal import Refusal
from client.site import Node
from transecg_core.config import RunConfig, defaults, parse
from transecg_core.errors import UserError
from transecg_core.model.weights import digest
from transecg_core.privacy.accounting import Mechanism
from transecg_core.privacy.releases import NEEDED, REFUSALS

ASKED = {
    "cohort": "node", "sites": "clinic,other", "privacy": "participant", "tasks": "sex,beat",
    "num-server-rounds": 5, "local-steps": 2, "start": "random",
}  # fmt: skip


def config(**changes: object) -> RunConfig:
    return parse(ASKED | {key.replace("_", "-"): value for key, value in changes.items()})


def node(**policy: object) -> Node:
    rules = Policy(**({"max_lifetime_epsilon": 10.0} | policy))  # type: ignore[arg-type]
    return Node(0, 1, "clinic", "ludb", Path("/nowhere"), Path("/nowhere/l"), 40, rules)


RULES = [
    ({"units": ["window"]}, "policy: units", r"privacy=participant is not among units=\['window'\]"),
    ({"max_rounds": 4}, "policy: max-rounds", "5 rounds asked for, max-rounds=4"),
    ({"allowed_tasks": ["sex"]}, "policy: allowed-tasks", "tasks beat are not in allowed-tasks"),
    (
        {"allowed_releases": sorted(NEEDED - {"weights"})},
        "policy: allowed-releases",
        "no run without weights",
    ),
    ({"min_cohort": 41}, "policy: min-cohort", "people=40 is below min-cohort=41"),
    ({"min_sigma": 50.0}, "policy: min-sigma", "target-epsilon=8 means sigma"),
]


@pytest.mark.parametrize(("rules", "code", "match"), RULES, ids=[code for _, code, _ in RULES])
def test_every_rule_refuses_by_its_own_name(rules: dict, code: str, match: str) -> None:
    with pytest.raises(Refusal, match=match) as error:
        refuse_by_policy(node(**rules), config())
    assert error.value.code == code


def test_a_run_at_every_limit_is_let_in() -> None:
    at = node(
        units=["participant"], max_rounds=5, allowed_tasks=["sex", "beat"], min_cohort=40,
        allowed_releases=sorted(NEEDED), min_sigma=0.5,
    )  # fmt: skip
    refuse_by_policy(at, config())
    refuse_by_policy(Node(0, 1), parse({}))  # a simulated site has no policy


def test_a_server_that_wants_little_noise_is_below_the_policy() -> None:
    refuse_by_policy(node(min_sigma=0.5), config(target_epsilon=8.0))
    with pytest.raises(Refusal, match="below min-sigma"):
        refuse_by_policy(node(min_sigma=0.5), config(target_epsilon=1000.0))


def test_the_cohort_is_counted_too_but_the_count_has_no_name() -> None:
    site = SimpleNamespace(data=SimpleNamespace(person_P=("a", "b", "b")))
    refuse_few_people(node(min_cohort=2), site)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="2 people have usable records, policy min-cohort=3") as error:
        refuse_few_people(node(min_cohort=3), site)  # type: ignore[arg-type]
    assert not isinstance(error.value, Refusal)


def test_a_run_asks_for_no_more_rounds_by_asking_one_again(tmp_path: Path) -> None:
    """Other input weights for the same round are another release; max-rounds counts them."""
    ledger = Ledger(tmp_path / "l.sqlite", "clinic")
    person, here = Mechanism("participant", 0.2, 50.0, 48), node(max_rounds=2)
    for inputs in ("a", "b"):
        refuse_unaffordable(here, config(), ledger, "run", person, 1)
        ledger.charge(ReleaseKey("run", 1, "clinic", "code", inputs), person, 2, b"u")
    with pytest.raises(Refusal, match="charged for 2 rounds") as error:
        refuse_unaffordable(here, config(), ledger, "run", person, 1)
    assert error.value.code == "policy: max-rounds"
    refuse_unaffordable(here, config(), ledger, "another run", person, 1)


def test_every_refusal_is_declared() -> None:
    with pytest.raises(ValueError, match="not declared"):
        Refusal("policy: mood", "no")
    assert {code for _, code, _ in RULES} < set(REFUSALS)


WEIGHTS = {"w": torch.ones(2, 3), "b": torch.zeros(4)}
"""No model's, but all that a release is known by."""


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """An institution's node config; whoever reads its data fails the test."""
    for name in ("_run_id", "_node_id", "_task_id"):  # flwr stamps messages with the process's task
        monkeypatch.setattr(TaskIdentity, name, 1)
    monkeypatch.setattr(app, "open_node_site", lambda *_: pytest.fail("the data were read"))
    return {"site": "clinic", "reader": "ludb", "data-dir": str(tmp_path), "people": 40,
            "ledger": str(tmp_path / "ledger.sqlite"), "policy": str(tmp_path / "policy.toml")}  # fmt: skip


def ask(kind: str, declared: dict[str, object], **options: object) -> dict[str, object]:
    run = defaults() | ASKED | {key.replace("_", "-"): value for key, value in options.items()}
    context = Context(1, 2, declared, RecordDict(), run)  # type: ignore[arg-type]
    content = RecordDict({"order": ConfigRecord({"site": "clinic", "round": 0 if kind == "describe" else 1})})
    if kind == "train":
        content["weights"] = ArrayRecord(WEIGHTS)
    message = Message(content, dst_node_id=2, message_type="train" if kind == "train" else f"query.{kind}")
    return dict(getattr(app, kind)(message, context).content["reply"])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["describe", "train"])
@pytest.mark.parametrize(
    ("policy", "options", "code"),
    [
        ("max-lifetime-epsilon = 9\nmin-sigma = 77.5", {}, "policy: min-sigma"),
        ("max-lifetime-epsilon = 9\nmin-cohort = 70", {}, "policy: min-cohort"),
        ("max-lifetime-epsilon = 9\nmin-sigmaa = 77.5", {}, "policy: not readable"),
        ("max-lifetime-epsilon = 9", {"privacy": "none"}, "budget: guarantee"),
    ],
)
def test_the_server_hears_the_rule_s_name_and_no_value(
    declared: dict[str, object],
    kind: str,
    policy: str,
    options: dict,
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    Path(str(declared["policy"])).write_text(policy)
    reply = ask(kind, declared, **options)
    assert reply == {"error": f"{code}; the site's own log says why"}
    assert not any(text in json.dumps(reply) for text in ("77.5", "70", str(declared["policy"])))
    assert code == "budget: guarantee" or any(text in caplog.text for text in ("77.5", "=70", "min-sigmaa"))


@pytest.mark.parametrize("kind", ["describe", "train"])
def test_the_whole_run_is_measured_against_the_lifetime_before_the_data_are_read(
    declared: dict[str, object], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    Path(str(declared["policy"])).write_text("max-lifetime-epsilon = 7.5")
    assert ask(kind, declared) == {"error": "budget: lifetime; the site's own log says why"}
    assert "of 5 rounds would fit" in caplog.text


@pytest.mark.parametrize(("fits", "reply"), [(False, "budget: run"), (True, "site: not able")])
def test_a_round_that_was_charged_is_not_measured_again(
    declared: dict[str, object], fits: bool, reply: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stored bytes are paid for; other weights for the same round are a new release."""
    spent, known = Mechanism("participant", 1.0, 0.5, 48), digest(WEIGHTS)
    ledger = Ledger(Path(str(declared["ledger"])), "clinic")
    ledger.charge(release_key(Order("clinic", 1, "1", None), known if fits else "other"), spent, 9, b"u")
    Path(str(declared["policy"])).write_text("max-lifetime-epsilon = 9")
    read: list[object] = []
    monkeypatch.setattr(app, "open_node_site", lambda *a: (read.append(a), 1 / 0))
    assert ask("train", declared) == {"error": f"{reply}; the site's own log says why"}
    assert bool(read) == fits


def test_exact_counts_make_the_lifetime_infinite_once_per_run(
    declared: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a policy that is added later would begin with a clean lifetime."""
    person = SimpleNamespace(data=SimpleNamespace(person_P=("a", "b")), people=40)
    monkeypatch.setattr(app, "open_node_site", lambda *_: person)
    monkeypatch.setattr(app, "describe_site", lambda *_, **__: {"windows": 1234})
    monkeypatch.setattr(app, "available_tasks", lambda *_: ("sex",))
    free = {key: value for key, value in declared.items() if key != "policy"} | {"max-epsilon": "none"}
    ledger = Ledger(Path(str(declared["ledger"])), "clinic")
    for _ in range(2):
        assert "facts" in ask("describe", free, tasks="auto")
    assert ledger.events() == ()  # under a guarantee nothing exact is told
    for _ in range(2):
        assert "1234" in str(ask("describe", free, privacy="none", tasks="auto")["facts"])
    (charge,) = ledger.events()
    assert (charge.key.run_id, charge.key.round, charge.key.input_hash) == ("1", 0, "description")
    assert ledger.spent(1e-5)[1] == math.inf
    Path(str(declared["policy"])).write_text("max-lifetime-epsilon = 9")
    assert ask("describe", declared) == {"error": "budget: lifetime; the site's own log says why"}


def test_a_ledger_that_cannot_be_used_is_said_before_the_data_are_read(declared: dict[str, object]) -> None:
    Path(str(declared["policy"])).write_text("max-lifetime-epsilon = 9")
    Path(str(declared["ledger"])).write_bytes(b"no ledger" * 100)
    assert ask("describe", declared) == {"error": "ledger: not usable; the site's own log says why"}
    free = {key: value for key, value in declared.items() if key != "policy"} | {"max-epsilon": "none"}
    assert ask("describe", free, privacy="none", tasks="auto") == {
        "error": "ledger: not usable; the site's own log says why"
    }


def test_hello_needs_a_readable_policy(declared: dict[str, object]) -> None:
    assert ask("hello", declared) == {"error": "policy: not readable; the site's own log says why"}
    Path(str(declared["policy"])).write_text("max-lifetime-epsilon = 9")
    assert ask("hello", declared)["site"] == "clinic"


def test_a_policy_keeps_back_what_no_reply_needs() -> None:
    few = node(allowed_releases=sorted(NEEDED))
    facts = {"site": "clinic", "round": 1, "lifetime-epsilon": 3.0, "lifetime-events": 2}
    assert app.releasable(config(), node(), facts) == facts
    assert app.releasable(config(), few, facts) == {"site": "clinic", "round": 1}
    with pytest.raises(UserError, match="not declared"):
        app.releasable(config(), few, {"mood": 1})
    assert app.site_allows(replace(few, policy=None)) is None
