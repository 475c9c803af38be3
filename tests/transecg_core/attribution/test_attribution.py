"""Known answer: identity and sex live in the QRS samples and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from transecg_core.attribution import CLAIM_METHODS, METHODS, attribute, central, example_beat, explain
from transecg_core.attribution import group as group_module
from transecg_core.cohorts.schema import COMPONENTS
from transecg_core.model.heads import new_site_model

CLAIMS = CLAIM_METHODS
NOT_MEASURED = (
    "faithfulness",
    "faithfulness_shifted",
    "randomised_correlation",
    "permuted_correlation",
    "knockout_agreement",
    "stability",
    "agreement",
)


@pytest.fixture(scope="module")
def groups(toy):
    return explain(toy)


@pytest.fixture(scope="module")
def result(toy, groups):
    return attribute(toy, groups)


def _first(row) -> str:
    return max(COMPONENTS, key=lambda name: row["components"][name]["enrichment"] or 0.0)


@pytest.mark.parametrize("task", ["participant", "sex"])
@pytest.mark.parametrize("method", CLAIMS)
def test_claim_carrying_methods_put_the_planted_component_first(result, task, method):
    row = result[task][method]
    assert row["shown"], row["reason"]
    assert _first(row) == "QRS"
    assert row["components"]["QRS"]["ci95"][0] > 3
    assert all(row["components"][name]["ci95"][1] < 1 for name in ("P", "T", "TP"))


@pytest.mark.parametrize("task", ["participant", "sex"])
def test_random_scores_find_nothing(result, task):
    row = result[task]["random"]
    assert not row["shown"]
    assert abs(row["faithfulness"]) < 0.1 < result[task]["occlusion"]["faithfulness"]
    assert all(0.8 < c["enrichment"] < 1.2 for c in row["components"].values() if c["duration"])
    assert abs(row["randomised_correlation"]) < 0.1


def test_random_scores_that_pass_refuse_every_map_of_their_task(toy, monkeypatch):
    measured = central.gains

    def rigged(ctx, group):
        found = measured(ctx, group)
        found["random"]["sex"] = found["occlusion"]["sex"]
        return found

    monkeypatch.setattr(central, "gains", rigged)
    rows = attribute(replace(toy, attribution_windows=28, tasks=("sex", "participant")))
    for row in rows["sex"].values():
        assert not row["shown"]
        assert "random scores pass the same test" in row["reason"]
    assert rows["participant"]["occlusion"]["shown"], rows["participant"]["occlusion"]["reason"]


def test_a_map_of_the_signals_height_is_greyed_though_it_beats_every_order(toy, monkeypatch):
    """It never saw a model. The control is the true map of the same method, which is shown."""
    real = group_module.relevances

    def height(model, x_BL, targets, method, **more):
        if method != "occlusion":
            return real(model, x_BL, targets, method, **more)
        return dict.fromkeys(targets, np.abs(x_BL))

    monkeypatch.setattr(group_module, "relevances", height)
    row = attribute(replace(toy, attribution_windows=56, tasks=("sex",)))["sex"]["occlusion"]
    assert min(row["faithfulness"], row["faithfulness_shifted"]) > 0.05
    assert row["randomised_correlation"] == pytest.approx(1)
    assert not row["shown"]
    assert row["reason"].startswith("looks like the map of a re-initialised model")


def test_maps_of_a_blind_method_are_the_same_for_all_tasks(result):
    for method in ("cls-attention", "rollout"):
        shares = {tuple(c["share"] for c in result[task][method]["components"].values()) for task in result}
        assert len(shares) == 1


def test_shares_and_durations_sum_to_one(result):
    for methods in result.values():
        for row in methods.values():
            if not row["components"]:
                assert "nothing in the map speaks for the target" in row["reason"]
                continue
            assert sum(c["share"] for c in row["components"].values()) == pytest.approx(1)
            assert sum(c["duration"] for c in row["components"].values()) == pytest.approx(1)


def test_a_task_with_one_class_is_greyed(result):
    assert all(not row["shown"] for row in result["age"].values())
    assert "one class only" in result["age"]["occlusion"]["reason"]


def test_an_untrained_model_gets_no_map(toy):
    fresh = new_site_model(5, ("sex", "age"), seed=123).eval()
    rows = attribute(replace(toy, model=fresh, attribution_windows=42))
    for task, words in {"participant": "untrained encoder", "sex": "near chance"}.items():
        assert not any(row["shown"] for row in rows[task].values())
        assert all(words in rows[task][method]["reason"] for method in METHODS if method != "random")


def test_a_task_without_labels_and_a_cohort_without_probes_say_so(toy):
    ctx = replace(toy, tasks=("sex", "diagnosis"), attribution_windows=12)
    for name in ("model", "random_model"):
        ctx = replace(ctx, **{name: new_site_model(5, ctx.tasks, seed=1).eval()})
    rows = attribute(ctx)
    assert list(rows) == ["sex", "diagnosis"]
    assert rows["diagnosis"]["occlusion"] == {
        "components": {},
        **dict.fromkeys(NOT_MEASURED),
        "shown": False,
        "reason": "no held-out window has a label of this task",
    }
    bare = replace(ctx, sites=tuple(replace(s, split=replace(s.split, probes={})) for s in ctx.sites))
    assert attribute(bare)["sex"]["rollout"]["reason"] == "no held-out window to explain"
    assert example_beat(bare) is None


def test_example_beat_is_a_cohort_beat_with_relevance_where_the_truth_is(toy, groups):
    picture = example_beat(toy, groups)
    json.dumps(picture, allow_nan=False)
    windows = toy.sites[0].windows
    assert len(picture["x"]) == 200
    assert picture["component"] == windows.component_NL[0].tolist()
    assert set(picture["relevance"]) == set(toy.tasks)
    for method in CLAIMS:
        trace = np.array(picture["relevance"]["sex"][method])
        # A window without relevance in favour of its class adds nothing.
        assert 0.95 < trace.mean() <= 1 + 1e-6
        assert 65 <= trace.argmax() < 90
    everybody = np.concatenate([site.windows.x_NL for site in toy.sites])
    assert np.abs(everybody - np.array(picture["x"])).max(axis=1).min() > 0.05  # nobody's own window


def test_example_beat_needs_people(toy):
    few = replace(toy, attribution_windows=9)
    assert example_beat(few) is None
    assert "too few people" in attribute(few)["sex"]["occlusion"]["reason"]


def test_result_is_json_and_repeatable(toy):
    small = replace(toy, attribution_windows=20, tasks=("sex",))
    assert json.dumps(attribute(small), allow_nan=False) == json.dumps(attribute(small), allow_nan=False)


def _held_out(toy, people, **changes):
    """Hold the first `people` of each site out of training."""
    sites = tuple(replace(site, member_P=np.arange(14) >= people) for site in toy.sites)
    return replace(toy, sites=sites, membership=True, **changes)


def test_person_tasks_are_explained_and_judged_on_people_never_trained_on(toy):
    ctx = _held_out(toy, 10, attribution_windows=80)
    everybody, controls = explain(ctx)
    assert set(everybody.maps) == {"participant"}
    assert set(controls.maps) == {"sex", "age"}
    assert len(np.unique(everybody.cohort.person_B)) == 28
    held_out = ctx.judged_on()
    names = sorted(person for site in ctx.sites for person in site.person_P)
    expected = {
        p for site, out in zip(ctx.sites, held_out, strict=True) for p in np.array(site.person_P)[out]
    }
    assert {names[i] for i in controls.cohort.person_B} == expected
    rows = attribute(ctx, (everybody, controls))
    assert list(rows) == list(toy.tasks)
    assert rows["sex"]["occlusion"]["shown"], rows["sex"]["occlusion"]["reason"]
    assert rows["sex"]["occlusion"]["reason"].endswith("on people never trained on")


def test_a_model_that_knows_its_own_people_only_gets_no_map(toy):
    """Flip the labels of the people never trained on: the head is right about the others alone."""
    ctx = _held_out(toy, 7, attribution_windows=48)
    flip = {"F": "M", "M": "F"}
    sites = []
    for site in ctx.sites:
        out = {site.windows.participants[p] for p in np.flatnonzero(~site.member_P)}
        records = tuple(
            replace(r, sex=flip[r.sex]) if r.participant in out else r for r in site.windows.records
        )
        sites.append(replace(site, windows=replace(site.windows, records=records)))
    rows = attribute(replace(ctx, sites=tuple(sites)))
    assert not any(row["shown"] for row in rows["sex"].values())
    assert "near chance" in rows["sex"]["occlusion"]["reason"]
    assert "people never trained on" in rows["sex"]["occlusion"]["reason"]


def test_few_people_never_trained_on_grey_the_person_tasks_only(toy):
    rows = attribute(_held_out(toy, 4, attribution_windows=56))
    assert rows["participant"]["occlusion"]["shown"]
    assert not any(row["shown"] for row in rows["sex"].values())
    assert "too few people never trained on: 8" in rows["sex"]["occlusion"]["reason"]
    assert rows["sex"]["occlusion"]["components"]


def test_the_reason_says_on_whom_a_task_was_judged(toy, result):
    assert result["sex"]["occlusion"]["reason"].endswith("on held-out windows of people who trained")
    strangers = attribute(replace(toy, strangers=True, tasks=("sex",), attribution_windows=56))
    assert strangers["sex"]["occlusion"]["reason"].endswith("on synthetic people, never trained on")
