"""What a node answers when it is asked to explain the model: once per run, and to hostile orders nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

import client.attribution
from client import app
from client.attribution import note_part
from client.ledger import read
from client.order import Order
from client.policy import Policy
from client.site import INLINE_ENGINE, Node
from server.attribution import read_rows
from transecg_core.attribution import at_site
from transecg_core.attribution.site_rows import TOOK_NO_PART, rows_without
from transecg_core.config import defaults, parse
from transecg_core.model.heads import load_shared, new_site_model, shared_state
from transecg_core.model.weights import digest

Ask = Callable[..., dict[str, object]]
TASKS = ("participant", "sex")
ROUNDS = 2


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """An institution that allows training without privacy."""
    monkeypatch.delenv(INLINE_ENGINE, raising=False)
    monkeypatch.setattr("client.site.inside_simulation", lambda: False)
    for name in ("_run_id", "_node_id", "_task_id"):  # flwr stamps messages with the process's task
        monkeypatch.setattr(TaskIdentity, name, 1)
    return {"site": "clinic", "reader": "ludb", "data-dir": str(tmp_path), "people": 40, "max-epsilon": "none",
            "ledger": str(tmp_path / "ledger.sqlite")}  # fmt: skip


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of the weights that the site's data were explained under; no data are there."""
    seen: list[str] = []

    def explain(cfg: Any, site: Any, weights: Mapping[str, torch.Tensor], local: Any) -> list[dict[str, Any]]:
        load_shared(new_site_model(cfg.patch, cfg.task_names, 0, 3), weights)
        seen.append(digest(weights))
        rows = list(rows_without(cfg.task_names, "near chance"))
        return [row | {"n_participants": 11, "accuracy": round(0.1 * len(seen), 3)} for row in rows]

    def open_site(node: Node, cfg: Any, name: str) -> None:
        if node.site is not None and node.site != name:
            node.source(name)  # refuses

    monkeypatch.setattr(at_site, "explain_at_site", explain)
    monkeypatch.setattr(client.attribution, "open_node_site", open_site)
    monkeypatch.setattr(client.attribution, "refuse_few_people", lambda *_: None)
    return seen


def weights(seed: int = 0, tasks: tuple[str, ...] = TASKS) -> dict[str, torch.Tensor]:
    return shared_state(new_site_model(5, tasks, seed, 3))


def asked(
    declared: dict[str, object], state: RecordDict, sent: Mapping[str, torch.Tensor] | None = None,
    order: Mapping[str, object] | None = None, **options: object,
) -> dict[str, object]:  # fmt: skip
    run = defaults() | {
        "cohort": "node",
        "sites": "clinic,other",
        "tasks": ",".join(TASKS),
        "num-server-rounds": ROUNDS,
    }
    run |= {key.replace("_", "-"): value for key, value in options.items()}
    context = Context(run_id=1, node_id=2, node_config=declared, state=state, run_config=run)  # type: ignore[arg-type]
    content = RecordDict({"order": ConfigRecord({"site": "clinic", "round": ROUNDS, **(order or {})})})
    content["weights"] = ArrayRecord(dict(sent or weights()))
    message = Message(content, dst_node_id=2, message_type="query.attribute")
    return dict(app.attribute(message, context).content["reply"])  # type: ignore[arg-type]


def trained() -> RecordDict:
    state = RecordDict()
    note_part(Order("clinic", ROUNDS, "1", None), state)
    return state


def test_the_first_answer_of_a_run_is_the_only_one(clinic: dict[str, object], computed: list[str]) -> None:
    state = trained()
    first = asked(clinic, state)
    assert first["site"] == "clinic"
    assert json.loads(str(first["attribution"]))[0]["n_participants"] == 11
    assert asked(clinic, state, weights(seed=9)) == first  # other weights, to learn more: the same bytes
    assert computed == [digest(weights())]
    assert asked(clinic, trained(), weights(seed=9)) == first  # a node that forgot: its ledger has not
    (charge,) = read(Path(str(clinic["ledger"]))).charges
    assert (charge.key.round, charge.key.input_hash, charge.mechanism.sigma) == (0, "attribution", 0)


def ordered_to_train(
    declared: dict[str, object], state: RecordDict, site: str = "clinic", **options: object
) -> dict[str, object]:
    run = defaults() | {"cohort": "node", "sites": "clinic,other", "tasks": ",".join(TASKS)}
    run |= {key.replace("_", "-"): value for key, value in options.items()}
    context = Context(run_id=1, node_id=2, node_config=declared, state=state, run_config=run)  # type: ignore[arg-type]
    content = RecordDict({"order": ConfigRecord({"site": site, "round": 2})})
    content["weights"] = ArrayRecord(weights())
    return dict(app.train(Message(content, dst_node_id=2, message_type="train"), context).content["reply"])  # type: ignore[arg-type]


def test_who_has_answered_early_trains_no_more_in_that_run(
    clinic: dict[str, object], computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked after round 1 of 20: the site can't tell, but the server gets no further round for it."""
    opened: list[str] = []

    def stop(_node: object, _cfg: object, name: str) -> None:
        opened.append(name)
        raise ValueError("far enough")

    monkeypatch.setattr(app, "open_node_site", stop)
    state = RecordDict()
    note_part(Order("clinic", 1, "1", None), state)
    ordered_to_train(clinic, state)
    assert opened == ["clinic"]  # so it would have trained
    assert "attribution" in asked(clinic, state, None, {"round": 20}, num_server_rounds=20)
    for kept in (state, RecordDict()):  # a node that forgot: its ledger has not
        reply = ordered_to_train(clinic, kept)
        assert reply == {"error": "attribution: told; the site's own log says why"}
    assert opened == ["clinic"]
    monkeypatch.setattr(TaskIdentity, "_run_id", 2)
    ordered_to_train(clinic, RecordDict())  # another run
    assert opened == ["clinic", "clinic"]


def test_a_simulated_site_trains_no_more_either_and_its_neighbour_does(
    clinic: dict[str, object], computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.site.inside_simulation", lambda: True)
    monkeypatch.setattr(app, "open_node_site", lambda *_: pytest.fail("the data were read"))
    state, simulated = RecordDict(), {"cohort": "synthetic", "sites": "auto"}
    note_part(Order("synth-a", ROUNDS, "1", None), state)
    asked({}, state, None, {"site": "synth-a"}, **simulated)
    assert len(computed) == 1
    assert "after the site has explained" in str(ordered_to_train({}, state, "synth-a", **simulated)["error"])
    with pytest.raises(pytest.fail.Exception, match="the data were read"):
        ordered_to_train({}, state, "synth-b", **simulated)


def test_no_part_taken_is_no_answer_and_stops_no_training(
    clinic: dict[str, object], computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "open_node_site", lambda *_: None)
    monkeypatch.setattr(app, "refuse_few_people", lambda *_: (_ for _ in ()).throw(ValueError("far enough")))
    state = RecordDict()
    asked(clinic, state)
    assert str(ordered_to_train(clinic, state)["error"]).startswith("site: not able")


@pytest.mark.parametrize("last", [-1, 0, ROUNDS + 1, "2", None])
def test_a_site_answers_only_if_the_round_that_it_trained_last_is_one_of_the_run(
    clinic: dict[str, object], computed: list[str], last: object
) -> None:
    state = RecordDict({"trained-clinic": ConfigRecord({} if last is None else {"round": last})})  # type: ignore[dict-item]
    assert asked(clinic, state) == {"error": "site: not able; the site's own log says why"}
    assert computed == []


def test_every_run_has_an_answer_and_a_charge_of_its_own(
    clinic: dict[str, object], computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = asked(clinic, trained())
    monkeypatch.setattr(TaskIdentity, "_run_id", 2)
    assert asked(clinic, trained(), weights(seed=9)) != first
    charges = read(Path(str(clinic["ledger"]))).charges
    assert [(charge.key.run_id, charge.mechanism.sigma) for charge in charges] == [("1", 0), ("2", 0)]


def test_a_site_answers_nothing_about_a_run_that_it_trained_in_no_round_of(
    clinic: dict[str, object], computed: list[str]
) -> None:
    rows = json.loads(str(asked(clinic, RecordDict())["attribution"]))
    assert {row["reason"] for row in rows} == {TOOK_NO_PART}
    assert computed == []
    assert not Path(str(clinic["ledger"])).exists()


@pytest.mark.parametrize("unit", ["participant", "window"])
def test_under_a_guarantee_an_institution_sends_nothing_and_reads_nothing(
    clinic: dict[str, object], computed: list[str], unit: str
) -> None:
    for budget in (8.0, "none"):
        reply = asked(clinic | {"max-epsilon": budget}, trained(), privacy=unit, tasks="sex")
        assert reply == {"site": "clinic", "round": ROUNDS}
    assert computed == []


def test_a_node_with_a_budget_explains_nothing_without_a_guarantee(
    clinic: dict[str, object], computed: list[str]
) -> None:
    """The server alone sets `privacy`, so the reference arm must not open what the guarantee keeps shut."""
    for options in ({}, {"privacy": "participant", "noise": "off", "tasks": "sex"}):
        reply = asked(clinic | {"max-epsilon": 8.0}, trained(), **options)
        assert str(reply["error"]).startswith("budget: guarantee;")
    assert computed == []


def test_a_simulation_shows_it_under_a_guarantee_too_and_charges_nothing(
    clinic: dict[str, object], computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.site.inside_simulation", lambda: True)
    order = {"site": "synth-a"}
    state = RecordDict()
    note_part(Order("synth-a", ROUNDS, "1", None), state)
    options = {"cohort": "synthetic", "sites": "auto", "privacy": "participant", "tasks": "sex"}
    reply = asked({}, state, weights(tasks=("sex",)), order, **options)
    assert {"attribution", "site", "round"} == set(reply)
    assert len(computed) == 1


def test_a_site_s_policy_may_keep_it_back(tmp_path: Path) -> None:
    cfg = parse({"cohort": "node", "sites": "clinic,other"})
    facts = {"site": "clinic", "attribution": "[]"}
    for names, left in (
        (None, set(facts)),
        (("site", "attribution"), set(facts)),
        (("site", "loss"), {"site"}),
    ):
        policy = Policy(max_lifetime_epsilon=8.0, allowed_releases=names)
        node = Node(0, 1, "clinic", "ludb", tmp_path, tmp_path / "l.sqlite", 40, policy)
        assert set(app.releasable(cfg, node, facts)) == left


def test_a_site_without_a_budget_may_keep_it_back_and_then_reads_and_charges_nothing(
    clinic: dict[str, object], computed: list[str]
) -> None:
    """Only sites without a budget ever answer, so it is they who must be able to refuse."""
    kept = asked(clinic | {"attribution": "withheld"}, trained())
    assert kept == {"site": "clinic", "round": ROUNDS}
    assert computed == []
    assert not Path(str(clinic["ledger"])).exists()
    content = RecordDict({"reply": ConfigRecord(kept)})  # type: ignore[arg-type]
    cfg = parse({"cohort": "node", "sites": "clinic,other", "num-server-rounds": ROUNDS})
    assert read_rows(content, "clinic", cfg) is None  # which the report words as `NOT_ALLOWED`
    told = asked(clinic | {"attribution": "sent"}, trained())
    assert "attribution" in told
    assert asked(clinic | {"attribution": "withheld"}, trained()) == kept  # nor what it once told
    refused = asked(clinic | {"attribution": "no"}, trained())
    assert refused == {"error": "site: not able; the site's own log says why"}


def test_withholding_takes_nothing_else_away(tmp_path: Path) -> None:
    cfg = parse({"cohort": "node", "sites": "clinic,other"})
    facts = {"site": "clinic", "attribution": "[]", "loss": 1.0, "error": ""}
    for policy, left in (
        (None, {"site", "loss", "error"}),
        (Policy(max_lifetime_epsilon=8.0), {"site", "loss", "error"}),
        (Policy(max_lifetime_epsilon=8.0, allowed_releases=("site", "attribution")), {"site"}),
        (Policy(max_lifetime_epsilon=8.0, allowed_releases=("attribution",)), set()),
    ):
        node = Node(0, 1, "clinic", policy=policy, withheld=("attribution",))
        assert set(app.releasable(cfg, node, facts)) == left


def poisoned(value: float) -> dict[str, torch.Tensor]:
    return {name: torch.full_like(tensor, value) for name, tensor in weights().items()}


@pytest.mark.parametrize(
    ("order", "sent"),
    [
        ({"round": 0}, None), ({"round": 1}, None), ({"round": ROUNDS + 1}, None), ({"round": "2"}, None),
        ({"site": "other"}, None), ({"site": "../clinic"}, None), ({"site": ""}, None),
        ({}, poisoned(math.nan)), ({}, poisoned(math.inf)),
        ({}, {**weights(), "heads.participant.weight": torch.zeros(3, 64)}),
        ({}, {name: value[..., :1] for name, value in weights().items()}),
        ({}, weights(tasks=("sex", "age"))), ({}, {"encoder.tokens.cls": torch.zeros(1)}),
    ],
)  # fmt: skip
def test_hostile_orders_learn_that_the_site_is_not_able_and_no_more(
    clinic: dict[str, object], computed: list[str], order: dict[str, object], sent: dict[str, torch.Tensor] | None
) -> None:  # fmt: skip
    state = trained()
    note_part(Order("other", ROUNDS, "1", None), state)
    reply = asked(clinic, state, sent, order)
    if "attribution" in reply:  # of a site that this node never trained as
        assert {row["reason"] for row in json.loads(str(reply["attribution"]))} == {TOOK_NO_PART}
    else:
        assert reply == {"error": "site: not able; the site's own log says why"}
    assert computed == []
    assert not Path(str(clinic["ledger"])).exists()
