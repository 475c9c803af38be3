"""Aggregation: order can't matter, and a hostile reply is refused by name."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from server.strategy import MAX_UPDATE_NORM, Refused, Update, aggregate, check
from transecg_core.config import parse
from transecg_core.errors import UserError
from transecg_core.model.heads import new_site_model, shared_state

CFG = parse({"tasks": "participant,sex,beat"})
CURRENT = shared_state(new_site_model(CFG.patch, CFG.task_names, 0, participants=1))


def reply(weights: dict | None = None, **facts: object) -> RecordDict:
    weights = {name: value + 0.01 for name, value in CURRENT.items()} if weights is None else weights
    record = {"site": "synth-a", "round": 1, "tasks": "sex,participant", "loss": 1.0} | facts
    return RecordDict({"reply": ConfigRecord(record), "weights": ArrayRecord(weights)})


def update(site: str, value: float, tasks: tuple[str, ...] = ("sex", "beat")) -> Update:
    return Update(site, {n: torch.full_like(v, value) for n, v in CURRENT.items()}, tasks, None, None)


def test_a_participant_head_is_never_part_of_the_shared_weights() -> None:
    assert not [name for name in CURRENT if "participant" in name]
    sneaky = dict(CURRENT) | {"heads.participant.weight": torch.zeros(3, 64)}
    with pytest.raises(Refused, match=r"unexpected arrays: heads\.participant\.weight"):
        check(reply(sneaky), "synth-a", 1, CURRENT, CFG)


def test_an_honest_reply_is_accepted() -> None:
    accepted = check(reply(), "synth-a", 1, CURRENT, CFG)
    assert (accepted.site, accepted.tasks, accepted.loss) == ("synth-a", ("participant", "sex"), 1.0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (reply(site="synth-b"), "claims site 'synth-b'"),
        (reply(round=7), "round 7"),
        (reply({n: v for n, v in CURRENT.items() if n != "encoder.norm.bias"}), "encoder.norm.bias"),
        (reply(dict(CURRENT) | {"encoder.norm.bias": torch.zeros(65)}), "shape"),
        (reply(dict(CURRENT) | {"encoder.norm.bias": torch.zeros(64, dtype=torch.float64)}), "type"),
        (reply(dict(CURRENT) | {"encoder.norm.bias": torch.full((64,), torch.nan)}), "non-finite"),
        (reply(dict(CURRENT) | {"encoder.norm.bias": torch.full((64,), torch.inf)}), "non-finite"),
        (reply(dict(CURRENT) | {"encoder.norm.bias": torch.full((64,), MAX_UPDATE_NORM)}), "update norm"),
        (RecordDict({"reply": ConfigRecord({"site": "synth-a", "round": 1})}), "no weights"),
    ],
)
def test_hostile_replies_are_refused_by_name(content: RecordDict, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        check(content, "synth-a", 1, CURRENT, CFG)


def test_a_non_finite_loss_is_dropped_not_believed() -> None:
    assert check(reply(loss=float("nan")), "synth-a", 1, CURRENT, CFG).loss is None


@pytest.mark.parametrize(
    "facts", [{}, {"q": 0.5, "sigma": 0.0, "steps": 40}, {"q": 0.5, "sigma": 1.0, "steps": 39}]
)
def test_a_private_reply_without_the_agreed_mechanism_is_refused(facts: dict) -> None:
    private = parse({"privacy": "participant", "tasks": "sex,beat"})
    with pytest.raises(Refused, match="mechanism"):
        check(reply(**facts), "synth-a", 1, CURRENT, private)
    good = check(reply(q=0.5, sigma=1.0, steps=private.steps), "synth-a", 1, CURRENT, private)
    assert good.mechanism == (0.5, 1.0, private.steps)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(-3, 3, width=32), min_size=3, max_size=3))
def test_arrival_order_never_changes_a_bit(values: list[float]) -> None:
    updates = [update(site, value) for site, value in zip("abc", values, strict=True)]
    results = [
        {n: t.numpy().tobytes() for n, t in aggregate({u.site: u for u in order}, CURRENT).items()}
        for order in itertools.permutations(updates)
    ]
    assert all(result == results[0] for result in results)


def test_mean_is_uniform_and_heads_count_only_the_sites_that_train_them() -> None:
    merged = aggregate(
        {"a": update("a", 0.0, ("sex",)), "b": update("b", 1.0), "c": update("c", 2.0)}, CURRENT
    )
    np.testing.assert_allclose(merged["encoder.norm.bias"], 1.0)
    np.testing.assert_allclose(merged["heads.sex.bias"], 1.0)
    np.testing.assert_allclose(merged["heads.beat.bias"], 1.5)
    nobody = aggregate({"a": update("a", 5.0, ("sex",)), "b": update("b", 5.0, ("sex",))}, CURRENT)
    assert torch.equal(nobody["heads.beat.bias"], CURRENT["heads.beat.bias"])


def test_one_site_alone_is_no_federation() -> None:
    with pytest.raises(UserError, match=r"only 1 site"):
        aggregate({"a": update("a", 0.0)}, CURRENT)
