"""What real records bring: no P wave, paced or inverted beats, no delineation, one class, one person, NaN."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from transecg_core.attribution import METHODS, attribute, attribution_by_site, example_beat, explain
from transecg_core.attribution.claim import claim
from transecg_core.cohorts.schema import COMPONENT_CODE
from transecg_core.model.heads import new_site_model
from transecg_core.risk.context import AuditContext
from transecg_core.risk.references import AuditModels
from transecg_core.risk.rows import NotMeasurable

UNDEFINED = COMPONENT_CODE["undefined"]


def _changed(toy: AuditContext, change, windows: int = 12, tasks=("sex",)) -> AuditContext:
    sites = tuple(replace(site, windows=change(site.windows)) for site in toy.sites)
    return replace(toy, sites=sites, tasks=tasks, attribution_windows=windows, bootstrap=100)


def _rows(ctx: AuditContext, task: str = "sex"):
    groups = explain(ctx)
    rows = attribute(ctx, groups)
    for part in (rows, attribution_by_site(ctx, groups), example_beat(ctx, groups)):
        json.dumps(part, allow_nan=False)
    assert all(row["shown"] is False or row["reason"] for row in rows[task].values())
    return rows[task]


def _relabelled(component: int | None, share: float):
    """Call one component (all of them: None) undefined in the first share of the records."""

    def change(windows):
        code_NL = windows.component_NL.copy()
        bad_N = windows.record_N < share * len(windows.records)
        hit_NL = bad_N[:, None] & (np.ones_like(code_NL, bool) if component is None else code_NL == component)
        code_NL[hit_NL] = UNDEFINED if component is None else COMPONENT_CODE["TP"]
        return replace(windows, component_NL=code_NL)

    return change


def test_without_p_waves_p_has_no_figure_and_the_rest_stands(toy):
    rows = _rows(_changed(toy, _relabelled(COMPONENT_CODE["P"], 1.0), windows=28))
    for row in rows.values():
        assert row["components"]["P"] == {
            "share": 0.0,
            "duration": 0.0,
            "enrichment": None,
            "ci95": None,
            "joint95": None,
            "behind": None,
        }
        assert "P" not in (row["stability"]["jitter"] or {})
    assert claim(rows, 5).component == "QRS"


def test_failed_delineation_grows_undefined_and_is_shown(toy):
    ctx = _changed(toy, _relabelled(None, 0.5), windows=28)
    rows = _rows(ctx)
    knocked_out = rows.pop("component-occlusion")
    for row in rows.values():
        assert 0.35 < row["components"]["undefined"]["duration"] < 0.65
        assert sum(part["share"] for part in row["components"].values()) == pytest.approx(1)
        assert row["components"]["undefined"]["ci95"] is not None
    # What is no component can't be knocked out: these windows have no map, and the reason counts them.
    assert knocked_out["components"]["undefined"]["duration"] == 0
    left_out = int(knocked_out["reason"].split("components without ")[1].split(" of 28")[0])
    assert 10 <= left_out <= 21


def test_no_delineation_at_all_names_no_component(toy):
    rows = _rows(_changed(toy, _relabelled(None, 1.0)))
    occlusion = rows["occlusion"]
    assert occlusion["components"]["undefined"]["share"] == pytest.approx(1)
    assert occlusion["components"]["QRS"]["enrichment"] is None
    assert occlusion["stability"]["jitter_first"] is None
    assert occlusion["knockout_agreement"] is None
    assert not rows["component-occlusion"]["shown"]
    assert "nothing in the map speaks for the target" in rows["component-occlusion"]["reason"]
    assert claim(rows, 5).component is None


def test_inverted_and_paced_beats_are_explained_like_any(toy):
    rng = np.random.default_rng(0)

    def change(windows):
        x_NL = windows.x_NL.copy()
        x_NL[::2] *= -1
        x_NL[1::4, 62] += 8 * rng.random(len(x_NL[1::4]))  # a pacemaker's spike
        return replace(windows, x_NL=x_NL.astype(np.float32))

    rows = _rows(_changed(toy, change))
    assert all(np.isfinite(row["faithfulness"]) for row in rows.values())


def test_identical_windows_have_no_relevance_to_replace(toy):
    def change(windows):
        return replace(windows, x_NL=np.repeat(windows.x_NL[:1], len(windows), axis=0))

    rows = _rows(_changed(toy, change))
    assert not any(row["shown"] for row in rows.values())
    assert rows["occlusion"]["components"] == {}
    assert "nothing in the map" in rows["occlusion"]["reason"]


def test_one_person_is_too_few(toy):
    only = np.flatnonzero(np.arange(14) == 3)

    def change(windows):
        keep = np.isin(windows.participant_N, only)
        return replace(
            windows, beat_N=np.where(keep, windows.beat_N, 2).astype(np.uint8)
        )  # ectopic: left out

    ctx = _changed(toy, change, windows=8, tasks=("participant", "sex"))
    rows = attribute(replace(ctx, sites=ctx.sites[:1]))
    assert all("too few people: 1" in rows["sex"][m]["reason"] for m in METHODS if m != "random")
    assert rows["participant"]["occlusion"]["reason"] == "no two people with a gallery at one site"
    json.dumps(rows, allow_nan=False)


def test_a_model_of_nan_has_no_map(toy):
    broken = new_site_model(5, ("sex", "age"), seed=1).eval()
    with torch.no_grad():
        broken.encoder.norm.weight.fill_(float("nan"))
    rows = _rows(replace(_changed(toy, lambda w: w), model=broken))
    assert all("not finite" in row["reason"] for row in rows.values())
    assert all(row["components"] == {} for row in rows.values())


def test_maps_that_are_not_finite_are_left_out_and_counted(toy):
    ctx = _changed(toy, lambda w: w)
    (group,) = explain(ctx)
    map_BL = group.maps["sex"]["occlusion"].copy()
    map_BL[:2] = np.nan  # ten people are left, the fewest that a component may be told of
    maps = {"sex": group.maps["sex"] | {"occlusion": map_BL}}
    row = attribute(ctx, (replace(group, maps=maps),))["sex"]["occlusion"]
    json.dumps(row, allow_nan=False)
    assert "2 of 12 maps left out" in row["reason"]
    assert row["components"]["QRS"]["enrichment"] > 3


def test_models_trained_again_and_on_permuted_labels_are_compared(toy):
    other = new_site_model(5, ("sex", "age"), seed=77).eval()
    bare = new_site_model(5, ("age",), seed=78).eval()  # a model that no site trained sex for

    def made() -> AuditModels:
        return AuditModels((toy.model, other, bare), (), ())

    ctx = replace(_changed(toy, lambda w: w), audit_models=made, permuted_model=lambda: toy.model)
    rows = _rows(ctx)
    seeds = rows["occlusion"]["stability"]["seeds"]
    assert seeds["models"] == 2
    assert seeds["first"] >= 0.5  # the released model itself is one of the two
    low, high = seeds["components"]["QRS"]
    assert low < high
    assert rows["rollout"]["stability"]["seeds"] is None
    assert rows["rollout"]["permuted_correlation"] == pytest.approx(1)  # the same model has the same map
    assert rows["rollout"]["randomised_correlation"] < 0.9

    def fails():
        raise NotMeasurable("too few people")

    rows = _rows(replace(ctx, audit_models=fails, permuted_model=fails))
    assert rows["occlusion"]["stability"]["seeds"] is None
    assert rows["occlusion"]["permuted_correlation"] is None
