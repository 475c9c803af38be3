"""What-if de-identification on constructed hearts: who is in which component is known, because we put it there."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import transecg_core.report
from transecg_core.attribution.what_if import ADAPTED, ALL_BUT_QRS, COMMON, TESTED, Bench, Change, what_if
from transecg_core.attribution.what_if_case import shared_case
from transecg_core.cohorts.schema import COMPONENT_CODE, UNKNOWN
from transecg_core.cohorts.synthetic import Plant, open_site
from transecg_core.report.what_if_words import what_if_sentence
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.signals.schema import WINDOW, RecordInfo, Windows
from transecg_core.signals.windows import build_windows
from transecg_core.splits.protocols import split

BOUNDS = {
    "P": (25, 45),
    "PQ": (45, 60),
    "QRS": (60, 85),
    "ST": (85, 110),
    "T": (110, 155),
}
STEP = 5


class Means(nn.Module):
    """An encoder that reads means of 20 ms; without a number on request."""

    def __init__(self, broken: bool = False) -> None:
        super().__init__()
        self.broken = broken

    def forward(self, x_BL: Tensor) -> Tensor:
        z_BD = x_BL.reshape(len(x_BL), -1, STEP).mean(dim=2)
        return z_BD * torch.nan if self.broken else z_BD


class Model(nn.Module):
    """`Means`, and a head that reads the sex off the skew of the T wave."""

    def __init__(self, broken: bool = False) -> None:
        super().__init__()
        self.encoder = Means(broken)
        self.heads = nn.ModuleDict({"sex": nn.Linear(WINDOW // STEP, 2)})
        self.heads["sex"].weight.data[:] = 0
        self.heads["sex"].bias.data[:] = 0
        early, late = slice(110 // STEP, 130 // STEP), slice(135 // STEP, 155 // STEP)
        self.heads["sex"].weight.data[0, early], self.heads["sex"].weight.data[0, late] = 9, -9


@dataclass(frozen=True)
class Recipe:
    """Two sites; `carrier` holds who somebody is, `sex` says whether T holds their sex.

    In ``QRS+T`` either of the two alone would do.
    """

    carrier: str = "T"
    strength: float = 0.4
    people: int = 12
    sex: bool = False
    without: tuple[str, ...] = ()
    seed: int = 0


def _bump(count: int) -> np.ndarray:
    return np.sin(np.linspace(0, np.pi, count + 2))[1:-1]


def _beat() -> np.ndarray:
    x_L = np.zeros(WINDOW)
    for name, height in (("P", 0.3), ("QRS", 4.0), ("T", 0.9)):
        start, stop = BOUNDS[name]
        x_L[start:stop] = height * _bump(stop - start)
    return x_L


def _site(recipe: Recipe, index: int) -> AuditSite:
    rng = np.random.default_rng([recipe.seed, index])
    x, infos = [], []
    for person in range(recipe.people):
        own_L, sex = np.zeros(WINDOW), "FM"[person % 2]
        for name in filter(BOUNDS.get, recipe.carrier.split("+")):
            start, stop = BOUNDS[name]
            phase = np.arange(1, stop - start + 1) / (stop - start + 1)
            weights = rng.normal(size=3)
            waves = np.stack([np.sin(2 * np.pi * k * phase) for k in (1, 2, 3)])
            own_L[start:stop] = recipe.strength * weights / np.linalg.norm(weights) @ waves
        if recipe.sex:
            start, stop = BOUNDS["T"]
            own_L[start:stop] += (0.5 if sex == "F" else -0.5) * np.sin(
                np.linspace(0, 2 * np.pi, stop - start)
            )
        for record in (1, 2):
            infos.append(RecordInfo(f"p{person}", 1, f"p{person}r{record}", "I", 10.0, 40.0, sex, None))
            x.append(_beat() + own_L + 0.12 * rng.normal(size=(6, WINDOW)))
    x_NL = np.concatenate(x)
    x_NL -= x_NL.mean(axis=1, keepdims=True)
    scale_N = x_NL.std(axis=1)
    code_L = np.full(WINDOW, COMPONENT_CODE["TP"], dtype=np.uint8)
    for name, (start, stop) in BOUNDS.items():
        code_L[start:stop] = COMPONENT_CODE["undefined" if name in recipe.without else name]
    count, record_N = len(x_NL), np.repeat(np.arange(len(infos), dtype=np.int32), 6)
    windows = Windows(
        x_NL=(x_NL / scale_N[:, None]).astype(np.float32),
        participant_N=record_N // 2,
        session_N=np.ones(count, dtype=np.int16),
        record_N=record_N,
        beat_N=np.full(count, UNKNOWN, dtype=np.uint8),
        component_NL=np.tile(code_L, (count, 1)),
        r_sample_N=np.arange(count, dtype=np.int64) * 2 * WINDOW,
        scale_N=scale_N.astype(np.float32),
        rpeak_B=np.arange(count, dtype=np.int64) * 2 * WINDOW,
        rpeak_record_B=record_N,
        participants=tuple(f"p{p}" for p in range(recipe.people)),
        records=tuple(infos),
        skips=(),
    )
    people = tuple(f"s{index}/p{p}" for p in range(recipe.people))
    trained = np.arange(recipe.people) % 3 == 0
    return AuditSite(f"s{index}", windows, split(windows, "auto", 0), people, trained)


def _context(recipe: Recipe = Recipe(), sites: int = 2, broken: bool = False) -> AuditContext:
    model = Model(broken)
    return AuditContext(
        sites=tuple(_site(recipe, index) for index in range(sites)),
        model=model,  # type: ignore[arg-type]
        random_model=model,  # type: ignore[arg-type]
        tasks=("participant", "sex"),
        membership=True,
        bootstrap=200,
        seed=1,
        attribution_windows=0,
        ceilings=None,
    )


def _rows(ctx: AuditContext, *changes: Change) -> dict[tuple[str, ...], dict]:
    bench = Bench(ctx, shared_case(ctx))
    found = [row for change in changes for row in bench.rows(change)]
    return {(row["component"], row["change"], row["attack"], row["metric"]): row for row in found}


def test_replacing_what_carries_identity_ends_it_and_replacing_the_rest_does_not():
    rows = _rows(
        _context(), *(Change(name, "mean") for name in ("P", "T")), Change("T", "flat"), Change("T", "swap")
    )
    for attack in ("pca-lda", "identification"):
        for name in (attack, attack + ADAPTED):
            for how in ("mean", "flat", "swap"):
                row = rows["T", how, name, "rank-1"]
                assert row["before"] > 0.8
                assert row["after"] < 0.25
                assert row["ci95"][1] < -0.4
                assert row["n_participants"] == 24
                assert rows["T", how, name, "EER"]["ci95"][0] > 0.15
            kept = rows["P", "mean", name, "rank-1"]
            assert kept["after"] > 0.8
            assert kept["ci95"][0] <= 0 <= kept["ci95"][1]
    # Somebody else's wave protects no better than the mean does against who adapts.
    for name in ("pca-lda", "identification"):
        pair = [rows["T", how, name + ADAPTED, "EER"]["after"] for how in ("mean", "swap")]
        assert pair[0] == pair[1]
    unaware = rows["T", "mean", "pca-lda", "rank-1"]
    assert unaware["difference"] == pytest.approx(unaware["after"] - unaware["before"])


def test_an_attacker_who_adapts_sees_past_a_change_that_only_confuses():
    # A T wave made flat is like nobody's, which puts off who expects one. The QRS says as much.
    rows = _rows(_context(Recipe("QRS+T", strength=1.0)), Change("T", "flat"))
    for attack, least in (("pca-lda", 0.9), ("identification", 0.5)):
        unaware, adapted = (rows["T", "flat", attack + name, "rank-1"] for name in ("", ADAPTED))
        assert unaware["before"] == adapted["before"] > 0.9
        assert unaware["after"] < 0.25
        assert adapted["after"] > least


def test_where_nobody_can_be_told_apart_nothing_is_gained():
    rows = _rows(_context(Recipe("none")), Change("T", "mean"))
    for key, row in rows.items():
        if key[-1] == "rank-1":
            assert row["before"] < 0.3
            assert row["ci95"][0] <= 0 <= row["ci95"][1]


def test_a_label_in_the_t_wave_is_lost_with_it():
    rows = _rows(_context(Recipe("QRS", sex=True)), Change("T", "mean"), Change("P", "mean"))
    lost, kept = (rows[name, "mean", "pca-lda", "rank-1"]["utility"] for name in ("T", "P"))
    for task in ("sex", "sex, refitted"):
        assert lost[task]["before"] > 0.9
        assert lost[task]["after"] < 0.75
        assert lost[task]["ci95"][1] < 0
        assert kept[task]["after"] > 0.9
        assert kept[task]["ci95"][0] <= 0 <= kept[task]["ci95"][1]


@pytest.fixture(scope="module")
def whole() -> list[dict]:
    return what_if(_context(Recipe("T", people=6)))


def test_every_component_is_tried_and_what_leads_is_also_flattened_and_swapped(whole):
    tried = list(dict.fromkeys((row["component"], row["change"]) for row in whole))
    assert tried == [
        *((name + COMMON, "mean") for name in TESTED),
        ("T" + COMMON, "flat"),
        ("T" + COMMON, "swap"),
        (ALL_BUT_QRS, "flat"),
    ]
    assert len(whole) == 8 * len(tried)


def test_nothing_leads_where_no_loss_is_shown():
    rows = what_if(_context(Recipe("none", people=6)))
    assert {(row["component"], row["change"]) for row in rows} == {(name + COMMON, "mean") for name in TESTED}
    assert all("no component leads" in row["notes"] for row in rows)


def test_notes_say_who_refits(whole):
    said = {row["attack"]: row["notes"] for row in whole}
    assert "embeds it again; nothing is refitted" in said["identification" + ADAPTED]
    assert "fits its projection on that" in said["pca-lda" + ADAPTED]
    assert all("knows nothing of the change" in said[name] for name in ("identification", "pca-lda"))
    assert not any("no component leads" in row["notes"] for row in whole)


def test_rows_are_what_the_report_takes(whole):
    schema = json.loads((Path(transecg_core.report.__file__).parent / "schema.json").read_text())
    jsonschema.validate(whole, schema["properties"]["what_if"] | {"$defs": schema["$defs"]})


def test_the_same_run_gives_the_same_figures_whatever_was_tried_before(whole):
    again = list(_rows(_context(Recipe("T", people=6)), Change("T", "swap", common=True)).values())
    assert json.dumps(again) == json.dumps([row for row in whole if row["change"] == "swap"])


def test_utility_looks_beyond_the_people_who_are_asked_about():
    ctx = _context()
    rest = replace(ctx.sites[0].split, probes={"later-in-record": ctx.sites[0].split.probes["other-record"]})
    case = shared_case(replace(ctx, sites=(replace(ctx.sites[0], split=rest), ctx.sites[1])))
    shared = case.shared
    assert case.problem.protocol == "other-record"
    assert len(case.problem.person_P) == 12
    assert len(np.unique(shared.person_M[shared.query_M < 0])) == 12
    assert not set(shared.person_M[shared.query_M < 0]) & set(shared.person_M[case.asked_M])
    assert not shared.beats_M.any()
    never_trained_on = [name for site in ctx.sites for name in site.person_P if int(name.split("p")[-1]) % 3]
    assert len(np.unique(shared.person_M[shared.judged_M])) == len(never_trained_on)


def test_a_wave_that_nobody_shows_is_no_figure():
    (row,) = _rows(_context(Recipe(without=("P",))), Change("P", "mean")).values()
    assert row["before"] is row["after"] is row["ci95"] is None
    assert "no shared window shows P" in row["notes"]


def _without_gallery(site: AuditSite) -> AuditSite:
    return replace(site, split=replace(site.split, gallery_N=np.zeros(len(site.windows), dtype=bool)))


@pytest.mark.parametrize(
    ("ctx", "reason"),
    [
        (_context(Recipe(people=1), sites=1), "somebody to confuse"),
        (_context(Recipe(people=4)), "needs probes of 10 people, found 8"),
        (replace(_context(), sites=tuple(map(_without_gallery, _context().sites))), "no site has a gallery"),
    ],
    ids=["one person", "eight people", "no gallery"],
)
def test_what_cannot_be_asked_says_why(ctx, reason):
    rows = what_if(ctx)
    assert [row["component"] for row in rows] == [name + COMMON for name in TESTED]
    assert all(row["before"] is None and reason in row["notes"] for row in rows)


def test_an_encoder_without_numbers_silences_its_own_rows_only():
    rows = _rows(_context(broken=True), Change("T", "mean"))
    for attack in ("identification", "identification" + ADAPTED):
        row = rows["T", "mean", attack, "rank-1"]
        assert row["before"] is None
        assert "the embeddings are not finite" in row["notes"]
    signal = rows["T", "mean", "pca-lda" + ADAPTED, "rank-1"]
    assert signal["before"] > 0.8
    assert signal["utility"] == {}
    assert "utility not measurable: the embeddings are not finite" in signal["notes"]


def _planted(plant: Plant) -> AuditContext:
    sites = []
    for name in ("synth-a", "synth-c"):
        source = open_site(name, 16, 7, plant)
        windows = build_windows(source)
        people = tuple(source.person(p) for p in windows.participants)
        sites.append(
            AuditSite(name, windows, split(windows, "auto", 0), people, np.ones(len(people), dtype=bool))
        )
    return replace(_context(), sites=tuple(sites), tasks=("participant",), membership=False)


@pytest.mark.audit
@pytest.mark.parametrize(
    "plant", [Plant("QRS", strength_mv=0.1), Plant("T"), Plant("P", strength_mv=0.1)], ids=lambda p: p.carrier
)
def test_in_a_planted_cohort_only_replacing_the_planted_component_ends_identification(plant):
    changes = [Change(name, "mean", common=True) for name in ("P", "QRS", "T")]
    rows = _rows(_planted(plant), *changes, Change(plant.carrier, "mean"))
    name, carrier = "pca-lda" + ADAPTED, plant.carrier
    found = {component: rows[component + COMMON, "mean", name, "rank-1"] for component in ("P", "QRS", "T")}
    assert all(row["before"] > 0.6 for row in found.values())
    assert found[carrier]["after"] < 0.25
    rest = [row for component, row in found.items() if component != carrier]
    assert all(row["after"] > row["before"] - 0.15 for row in rest)
    # Between its own edges, which follow the shape, more of who it is stays.
    assert rows[carrier, "mean", name, "rank-1"]["after"] > found[carrier]["after"] + 0.15


@pytest.mark.audit
@pytest.mark.parametrize("carrier", ["P", "QRS"])
def test_the_planted_component_leads_and_the_sentence_names_it(carrier):
    # Between own edges a neighbour of P led (PQ), and the sentence blamed a bystander.
    rows = what_if(_planted(Plant(carrier, strength_mv=0.1)))
    assert {row["component"] for row in rows if row["change"] == "swap"} == {carrier + COMMON}
    after = {
        row["component"]: row["after"]
        for row in rows
        if (row["change"], row["attack"], row["metric"]) == ("mean", "pca-lda" + ADAPTED, "rank-1")
    }
    assert after[carrier + COMMON] < 0.25
    assert min(value for name, value in after.items() if name != carrier + COMMON) > 0.4
    # "All but QRS" takes P away as well, and more.
    single = [row for row in rows if row["component"] != ALL_BUT_QRS]
    assert f"in place of {carrier} between common edges" in what_if_sentence(single)


@pytest.mark.audit
def test_in_a_cohort_without_identity_no_change_gains_anything():
    rows = _rows(_planted(Plant("none")), *(Change(name, "mean", common=True) for name in ("P", "QRS", "T")))
    for key, row in rows.items():
        if key[-1] == "rank-1":
            assert row["ci95"][0] <= 0 <= row["ci95"][1]
