"""The row of named features on drawn beats: identity and sex live in the T wave's height, or nowhere."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from torch import Tensor, nn

from transecg_core.attribution.fiducial_model import fiducial_models
from transecg_core.attribution.fiducial_people import first, stretches
from transecg_core.attribution.fiducial_shap import FEATURE_COMPONENTS
from transecg_core.attribution.fiducial_traits import enough, inferred
from transecg_core.cohorts.schema import COMPONENT_CODE, UNKNOWN
from transecg_core.report.schema import schema
from transecg_core.risk.artefacts import ModelAccess
from transecg_core.risk.cases import Case, build_case
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.signals.schema import R_OFFSET, WINDOW, RecordInfo, Windows
from transecg_core.splits.protocols import split

WINDOWS = 15
ENDS = ((30, "TP"), (52, "P"), (62, "PQ"), (88, "QRS"), (104, "ST"), (150, "T"), (WINDOW, "TP"))
SHAPE = (
    (0, 0),
    (30, 0),
    (40, 0.2),
    (51, 0),
    (62, 0),
    (70, -0.1),
    (R_OFFSET, 1),
    (80, -0.25),
    (87, 0),
    (104, 0),
)


def codes(without: tuple[str, ...] = ()) -> np.ndarray:
    out_L, start = np.empty(WINDOW, dtype=np.uint8), 0
    for end, name in ENDS:
        out_L[start:end], start = COMPONENT_CODE["undefined" if name in without else name], end
    return out_L


@dataclass(frozen=True)
class Drawn:
    """A federation of drawn beats: identity and sex in T's height as much as said."""

    people: int = 14
    records: int = 2
    identity: float = 0.1
    sex: float = 0.2
    one_sex: bool = False
    without: tuple[str, ...] = ()
    seed: int = 0


class Sees(nn.Module):
    """An encoder that sees the T wave's samples."""

    def forward(self, x_BL: Tensor) -> Tensor:
        return x_BL[:, 104:150:5]


class Taller(nn.Module):
    """A head that calls male who has a T wave taller than any drawn woman's."""

    def forward(self, z_BD: Tensor) -> Tensor:
        male_B = z_BD[:, 5] * 100 - 100 * 0.685 * 41 / 42  # sample 129 of the rise from 88 to 130
        return torch.stack([-male_B, male_B], dim=1)


class Swapped(nn.Module):
    def forward(self, z_BD: Tensor) -> Tensor:
        return z_BD.flip(1)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Sees()
        self.heads = nn.ModuleDict({"sex": Taller()})


def site(name: str, how: Drawn) -> AuditSite:
    rng = np.random.default_rng([how.seed, ord(name[-1])])
    x, infos = [], []
    for person in range(how.people):
        male = 0 if how.one_sex else person % 2
        height = 0.5 + how.identity * (person // 2) / how.people * 4 + how.sex * male
        for record in range(how.records):
            infos.append(RecordInfo(f"p{person}", record + 1, f"r{person}-{record}", "I", 10.0,
                                    None, "FM"[male], None))  # fmt: skip
            at, level = zip(*SHAPE, (130, height), (149, 0), (WINDOW - 1, 0), strict=True)
            x += [
                np.interp(np.arange(WINDOW), at, level) + 0.01 * rng.normal(size=WINDOW)
                for _ in range(WINDOWS)
            ]
    count = len(x)
    record_N = np.repeat(np.arange(len(infos)), WINDOWS).astype(np.int32)
    participant_N = (record_N // how.records).astype(np.int32)
    r_N = np.arange(count, dtype=np.int64) * 2 * WINDOW
    windows = Windows(
        x_NL=np.array(x, dtype=np.float32), participant_N=participant_N,
        session_N=np.array([infos[r].session for r in record_N], dtype=np.int16), record_N=record_N,
        beat_N=np.full(count, UNKNOWN, dtype=np.uint8), component_NL=np.tile(codes(how.without), (count, 1)),
        r_sample_N=r_N, scale_N=np.ones(count, dtype=np.float32), rpeak_B=r_N, rpeak_record_B=record_N,
        participants=tuple(f"p{p}" for p in range(how.people)), records=tuple(infos), skips=(),
    )  # fmt: skip
    people = tuple(f"{name}/p{p}" for p in range(how.people))
    return AuditSite(name, windows, split(windows, "other-session", 0), people,
                     np.ones(how.people, dtype=bool))  # fmt: skip


def context(how: Drawn, sites: int = 2) -> AuditContext:
    model = Model()
    return AuditContext(
        sites=tuple(site(f"s{i}", how) for i in range(sites)), model=model, random_model=model,  # type: ignore[arg-type]
        tasks=("participant", "sex"), membership=False, bootstrap=200, seed=3, attribution_windows=0, ceilings=None,
    )  # fmt: skip


def by_name(rows: list[dict]) -> dict[tuple[str, str], dict]:
    return {(row["task"], row["site"]): row for row in rows}


MAPS = {
    "sex": {
        "occlusion": {
            "shown": True,
            "components": {n: {"enrichment": 3.0 if n == "T" else 1.0} for n in FEATURE_COMPONENTS},
        }
    }
}


@pytest.fixture(scope="module")
def told() -> list[dict]:
    return fiducial_models(context(Drawn()), MAPS)


def test_rows_have_the_shape_of_the_report_and_stand_for_sites_and_tasks(told: list[dict]) -> None:
    shape = Draft202012Validator({"$defs": schema()["$defs"], "$ref": "#/$defs/fiducial_model"})
    assert [error.message for row in told for error in shape.iter_errors(row)] == []
    assert [(row["task"], row["site"]) for row in told] == [
        ("participant", "s0"), ("participant", "s1"), ("participant", "pooled"), ("sex", "pooled"), ("age", "pooled"),
    ]  # fmt: skip
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("where", [("participant", "s0"), ("participant", "pooled"), ("sex", "pooled")])
def test_what_lives_in_the_t_wave_is_found_there(told: list[dict], where: tuple[str, str]) -> None:
    row = by_name(told)[where]
    assert row["ci95"][0] > row["majority"]
    assert row["components"]["T"] > 0.55  # of 34 features 7 speak of T
    assert sum(row["components"].values()) == pytest.approx(1.0)
    assert row["features"][0]["component"] == "T"


def test_the_encoder_stands_beside_it_on_the_same_people(told: list[dict]) -> None:
    rows = by_name(told)
    assert rows["sex", "pooled"]["vit"] > 0.9  # it sees the T wave
    assert 0 <= rows["participant", "s0"]["vit"] <= 1
    assert rows["participant", "pooled"]["n_participants"] == 28
    assert rows["participant", "s0"]["majority"] == pytest.approx(1 / 14)
    assert rows["sex", "pooled"]["agreement"]["occlusion"] > 0
    assert "random orders reach 0.9, so it is no test" in rows["sex", "pooled"]["notes"]
    assert rows["participant", "pooled"]["agreement"] is None
    assert "no map of the encoder" in rows["participant", "pooled"]["notes"]


def test_the_trees_are_set_against_the_encoder_person_by_person(told: list[dict]) -> None:
    row = by_name(told)["participant", "pooled"]
    found = re.search(r"trees less vit, paired by person: (\S+) \[(\S+), (\S+)\]", row["notes"])
    assert found is not None
    value, low, high = map(float, found.groups())
    assert value == pytest.approx(row["value"] - row["vit"], abs=0.006)
    assert low <= value <= high
    assert "vit: untuned, the nearest gallery template" in row["notes"]


def test_the_head_that_the_maps_explain_is_judged_on_the_same_people(told: list[dict]) -> None:
    assert (
        "own head, which its maps explain, on the same people: 1.00 ["
        in by_name(told)["sex", "pooled"]["notes"]
    )


@pytest.mark.audit
def test_a_head_that_swaps_the_classes_is_always_wrong() -> None:
    head = context(Drawn()).released
    wrong = Model()
    wrong.heads["sex"] = nn.Sequential(Taller(), Swapped())
    case = build_case(context(Drawn()))
    everybody_C = np.ones(28, dtype=bool)
    for access, right in ((head, True), (ModelAccess(wrong), False)):  # type: ignore[arg-type]
        found = inferred(case, "sex", everybody_C, everybody_C, access, 0)
        assert found.head_U is not None
        assert ((found.head_U == found.truth_U) == right).all()


def split_people(how: Drawn, members: int, spoilt: bool = False) -> Case:
    """The first so many people of both sites are members; spoilt, their beats are noise around their own."""
    ctx = context(how)
    sites = []
    for one in ctx.sites:
        member_P = np.arange(how.people) < members
        x_NL, rng = one.windows.x_NL.copy(), np.random.default_rng(9)
        if spoilt:
            own = member_P[one.windows.participant_N]
            x_NL[own] += rng.normal(size=(int(own.sum()), 1)).astype(np.float32) * x_NL[own]
        sites.append(replace(one, windows=replace(one.windows, x_NL=x_NL), member_P=member_P))
    return build_case(replace(ctx, sites=tuple(sites), membership=True))


def test_strangers_are_judged_by_strangers_alone() -> None:
    found = []
    for spoilt in (False, True):
        case = split_people(Drawn(), 4, spoilt)
        control_C = case.people.control_C
        assert control_C.sum() == 20
        assert enough(case, "sex", control_C)
        found.append(inferred(case, "sex", control_C, control_C, context(Drawn()).released, 0))
    clean, other = found
    assert (clean.strength_UF == other.strength_UF).all()
    assert (clean.vit_U == other.vit_U).all()


@pytest.mark.audit
def test_whom_trees_learn_from_matters() -> None:
    found = []
    for spoilt in (False, True):
        case = split_people(Drawn(), 4, spoilt)
        control_C = case.people.control_C
        found.append(inferred(case, "sex", control_C, np.ones_like(control_C), context(Drawn()).released, 0))
    assert not (found[0].strength_UF == found[1].strength_UF).all()


@pytest.mark.parametrize(("how", "members"), [(Drawn(), 5), (Drawn(one_sex=True), 2), (Drawn(), 14)])
def test_too_few_strangers_are_not_enough(how: Drawn, members: int) -> None:
    case = split_people(how, members)
    assert not enough(case, "sex", case.people.control_C)


def test_nobody_with_an_age_is_said_and_not_scored(told: list[dict]) -> None:
    age = by_name(told)["age", "pooled"]
    assert (age["value"], age["components"], age["features"]) == (None, None, [])
    assert age["notes"] == "not measurable: nobody to judge has a label of this task"


def test_people_and_labels_that_no_beat_tells_apart_are_at_chance_and_not_explained() -> None:
    rows = by_name(fiducial_models(context(Drawn(identity=0.0, sex=0.0, seed=5)), MAPS))
    for where in (("participant", "pooled"), ("sex", "pooled")):
        row = rows[where]
        assert row["ci95"][0] <= row["majority"] <= row["ci95"][1]
        assert (row["components"], row["agreement"], row["features"]) == (None, None, [])
        assert "no better than a guess" in row["notes"]


def test_no_p_wave_leaves_p_and_pq_without_a_share() -> None:
    row = by_name(fiducial_models(context(Drawn(without=("P",)), sites=1), {}))["participant", "s0"]
    assert row["components"]["P"] == row["components"]["PQ"] == 0.0
    assert row["components"]["T"] > 0.55


def test_no_qrs_anywhere_is_a_reason_and_no_figure() -> None:
    rows = fiducial_models(context(Drawn(without=("QRS",)), sites=1), {})
    assert all(row["value"] is None and "QRS complex" in row["notes"] for row in rows)


@pytest.mark.parametrize(
    ("how", "task", "reason"),
    [
        (Drawn(people=9), "participant", "9 people who can be confused, and 10 are needed"),
        (Drawn(records=1), "participant", "no site has probes of one of two or more enrolled people"),
        (Drawn(people=1), "participant", "no site has probes of one of two or more enrolled people"),
        (Drawn(one_sex=True), "sex", "5 in each of two classes"),
        (Drawn(people=8), "sex", "5 in each of two classes"),
    ],
)
def test_too_little_data_is_a_reason_and_no_figure(how: Drawn, task: str, reason: str) -> None:
    row = by_name(fiducial_models(context(how, sites=1), {}))[task, "pooled"]
    assert row["value"] is None
    assert row["components"] is None
    assert reason in row["notes"]


@pytest.mark.audit
def test_a_broken_encoder_leaves_the_trees_alone() -> None:
    class Broken(Model):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Nan()  # type: ignore[assignment]

    class Nan(nn.Module):
        def forward(self, x_BL: Tensor) -> Tensor:
            return torch.full((len(x_BL), 4), float("nan"))

    rows = by_name(fiducial_models(replace(context(Drawn()), model=Broken()), {}))  # type: ignore[arg-type]
    for where in (("participant", "s0"), ("sex", "pooled")):
        assert rows[where]["value"] is not None
        assert rows[where]["vit"] is None
        assert "vit not measurable: the embeddings are not finite" in rows[where]["notes"]


@pytest.mark.audit
def test_only_people_never_trained_on_are_judged_where_there_are_any() -> None:
    ctx = context(Drawn())
    sites = tuple(replace(s, member_P=np.arange(14) < 2) for s in ctx.sites)
    row = by_name(fiducial_models(replace(ctx, sites=sites, membership=True), {}))["sex", "pooled"]
    assert row["n_participants"] == 24
    assert "fitted on people the encoder was never trained on of other folds" in row["notes"]


@pytest.mark.audit
def test_too_few_strangers_are_judged_by_everybody_and_the_note_says_so() -> None:
    ctx = context(Drawn())
    sites = tuple(replace(s, member_P=np.arange(14) < 6) for s in ctx.sites)
    row = by_name(fiducial_models(replace(ctx, sites=sites, membership=True), {}))["sex", "pooled"]
    assert row["n_participants"] == 16
    assert "too few were not: the probe is held back by it" in row["notes"]


def test_stretches_cover_every_window_of_a_record_once() -> None:
    drawn = site("s0", Drawn(people=2))
    found = stretches(drawn.windows.x_NL, drawn.windows.component_NL, drawn.windows.record_N)
    assert found.group_R.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    long = stretches(
        np.repeat(drawn.windows.x_NL, 2, axis=0), np.repeat(drawn.windows.component_NL, 2, axis=0),
        np.repeat(drawn.windows.record_N, 2),
    )  # fmt: skip
    assert np.bincount(long.group_R).tolist() == [6, 6, 6, 6]


def test_a_tie_counts_its_share() -> None:
    score_KC = np.array([[0.5, 0.5, 0.0], [0.2, 0.7, 0.1], [0.3, 0.3, 0.3]])
    right_KC = np.array([[True, False, False]] * 3)
    assert first(score_KC, right_KC) == pytest.approx([0.5, 0.0, 1 / 3])


@pytest.mark.audit
def test_the_same_audit_gives_the_same_bytes(told: list[dict]) -> None:
    assert json.dumps(fiducial_models(context(Drawn()), MAPS)) == json.dumps(told)
