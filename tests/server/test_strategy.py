"""Aggregation: order can't matter, and a hostile reply is refused by name."""

from __future__ import annotations

import itertools
from io import BytesIO

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from server.strategy import Refused, Update, aggregate, check, max_update_norm
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
        (reply(round=True), "round True"),
        (reply(round=1.0), r"round 1\.0"),
        (reply({"TransECG report: /x\n": torch.zeros(1)}), r"unexpected arrays: \[\.\.\.\] /x"),
        (reply({n: v for n, v in CURRENT.items() if n != "encoder.norm.bias"}), "encoder.norm.bias"),
        (reply(dict(CURRENT) | {"encoder.norm.bias": torch.zeros(65)}), "shape"),
        (reply(dict(CURRENT) | {"encoder.norm.bias": torch.zeros(64, dtype=torch.float64)}), "type"),
        (reply(dict(CURRENT) | {"encoder.norm.bias": torch.full((64,), torch.nan)}), "non-finite"),
        (reply(dict(CURRENT) | {"encoder.norm.bias": torch.full((64,), torch.inf)}), "non-finite"),
        (
            reply(dict(CURRENT) | {"encoder.norm.bias": torch.full((64,), max_update_norm(CFG, CURRENT))}),
            "update norm",
        ),
        (RecordDict({"reply": ConfigRecord({"site": "synth-a", "round": 1})}), "no weights"),
    ],
)
def test_hostile_replies_are_refused_by_name(content: RecordDict, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        check(content, "synth-a", 1, CURRENT, CFG)


def test_a_non_finite_loss_is_dropped_not_believed() -> None:
    assert check(reply(loss=float("nan")), "synth-a", 1, CURRENT, CFG).loss is None


NAME = "encoder.norm.bias"
HONEST = CURRENT[NAME].numpy()


def npy(array: np.ndarray) -> bytes:
    stream = BytesIO()
    np.save(stream, array, allow_pickle=True)  # a hostile site pickles if it likes
    return stream.getvalue()


def claiming(header: str, payload: bytes = HONEST.tobytes(), version: bytes = b"\x01\x00") -> bytes:
    size = len(header).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + size + header.encode() + payload


def header(shape: object = (64,), order: object = False, kind: object = "<f4") -> str:
    return f"{{'descr': {kind!r}, 'fortran_order': {order!r}, 'shape': {shape!r}}}\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x03\x04" + bytes(300),
        npy(HONEST)[:-1],
        npy(HONEST) + b"\0",
        npy(HONEST) + bytes(5000),
        npy(HONEST.astype(np.float64)),
        npy(HONEST.astype(">f4")),
        npy(HONEST.reshape(8, 8)),
        npy(np.array([{}] * 64, dtype=object)),
        claiming(header((10**12,))),
        claiming(header((2**62, 2**62))),
        claiming(header((-64,))),
        claiming(header((64.0,))),
        claiming(header(order=True)),
        claiming(header(kind="|O")),
        claiming(header(kind=[("x", "<f4", (10**9,))])),
        claiming(header(kind="nonsense")),
        claiming("(" * 900),
        claiming("-" * 900 + "1"),
        claiming("{'descr': 'x\n"),
        claiming("[]"),
        claiming(header(), version=b"\x03\x00"),
        claiming(header(), version=b"\x09\x00"),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(256),
    ],
)
def test_hostile_bytes_are_refused_by_name(data: bytes) -> None:
    content = reply()
    content["weights"][NAME] = Array("float32", (64,), "numpy.ndarray", data)
    with pytest.raises(Refused, match=NAME.replace(".", r"\.") + " can't be read"):
        check(content, "synth-a", 1, CURRENT, CFG)


@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00"])
def test_the_same_bytes_are_read_when_the_header_is_honest(version: bytes) -> None:
    content = reply()
    honest = claiming(header(), version=version)
    content["weights"][NAME] = Array("float32", (64,), "numpy.ndarray", honest)
    assert torch.equal(check(content, "synth-a", 1, CURRENT, CFG).weights[NAME], CURRENT[NAME])
    for dtype, shape, stype in [("float64", (64,), "numpy.ndarray"), ("float32", (65,), "numpy.ndarray"),
                                ("float32", (64,), "pickle")]:  # fmt: skip
        content["weights"][NAME] = Array(dtype, shape, stype, honest)
        with pytest.raises(Refused, match="can't be read"):
            check(content, "synth-a", 1, CURRENT, CFG)


def test_the_norm_bound_follows_the_config_and_sits_above_what_adamw_can_do() -> None:
    longer = CFG.model_copy(update={"local_steps": 2 * CFG.steps})
    assert max_update_norm(longer, CURRENT) == pytest.approx(2 * max_update_norm(CFG, CURRENT))
    value = torch.nn.Parameter(torch.zeros(50))
    adamw = torch.optim.AdamW([value], lr=CFG.rate, betas=(0.9, 0.95), weight_decay=0.01)
    for step in range(CFG.steps):
        value.grad = torch.full((50,), (0.95 / 0.9) ** step)  # the fastest: growing past their own average
        adamw.step()
    moved, bound = float(value.detach().norm()), max_update_norm(CFG, {"value": value.detach()})
    assert CFG.rate * CFG.steps * 50**0.5 < moved < bound / 5


PRIVATE = parse({"privacy": "participant", "tasks": "sex,beat"})
PLAN = (0.5, 1.0, PRIVATE.steps)
STATED = dict(zip(("q", "sigma", "steps"), PLAN, strict=True))


@pytest.mark.parametrize(
    "facts",
    [
        {}, {"q": 0.5}, STATED | {"sigma": 0.0}, STATED | {"steps": 39}, STATED | {"q": 0.5 + 1e-8},
        STATED | {"sigma": float("nan")}, STATED | {"sigma": 1}, STATED | {"sigma": True},
        STATED | {"steps": float(PRIVATE.steps)}, STATED | {"q": "0.5"}, STATED | {"q": [0.5]},
    ],
)  # fmt: skip
def test_a_mechanism_other_than_the_planned_one_is_refused(facts: dict) -> None:
    with pytest.raises(Refused, match="mechanism is not what was asked for"):
        check(reply(**facts), "synth-a", 1, CURRENT, PRIVATE, PLAN)


def test_the_planned_mechanism_is_accepted_and_nothing_passes_without_a_plan() -> None:
    near = STATED | {"sigma": 1.0 + 1e-12}
    assert check(reply(**near), "synth-a", 1, CURRENT, PRIVATE, PLAN).mechanism == PLAN
    with pytest.raises(Refused, match="mechanism"):
        check(reply(**STATED), "synth-a", 1, CURRENT, PRIVATE, None)
    with pytest.raises(Refused, match="mechanism"):
        check(reply(**STATED | {"steps": True}), "synth-a", 1, CURRENT, PRIVATE, (0.5, 1.0, 1))
    assert check(reply(**STATED), "synth-a", 1, CURRENT, CFG, None).mechanism is None


def test_an_institutions_private_loss_is_never_taken() -> None:
    institution = parse({"privacy": "participant", "tasks": "sex,beat", "cohort": "node", "sites": "x,y"})
    content = reply(site="x", **STATED)
    assert check(content, "x", 1, CURRENT, institution, PLAN).loss is None
    assert check(reply(**STATED), "synth-a", 1, CURRENT, PRIVATE, PLAN).loss == 1.0


@pytest.mark.parametrize("epsilon", [0.0, 3.5, float("inf")])
def test_the_lifetime_account_is_optional(epsilon: float) -> None:
    assert check(reply(), "synth-a", 1, CURRENT, CFG).lifetime is None
    told = reply(**{"lifetime-epsilon": epsilon, "lifetime-events": 7})
    assert check(told, "synth-a", 1, CURRENT, CFG).lifetime == (epsilon, 7)


@pytest.mark.parametrize(
    ("epsilon", "events"),
    [(float("nan"), 1), (-1.0, 1), (1, 1), (True, 1), ("1", 1), (1.0, -1), (1.0, True), (1.0, 2.0)],
)
def test_a_lifetime_account_that_is_none_is_refused(epsilon: object, events: object) -> None:
    told = reply(**{"lifetime-epsilon": epsilon, "lifetime-events": events})
    with pytest.raises(Refused, match="lifetime"):
        check(told, "synth-a", 1, CURRENT, CFG)
    with pytest.raises(Refused, match="lifetime"):
        check(reply(**{"lifetime-events": 1}), "synth-a", 1, CURRENT, CFG)


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
