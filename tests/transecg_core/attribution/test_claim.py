"""Every rule of a claim blocks it alone; what was not measured is told as a limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from transecg_core.attribution.claim import claim
from transecg_core.attribution.components import summarise
from transecg_core.attribution.methods import CLAIM_METHODS
from transecg_core.cohorts.schema import COMPONENT_CODE

GRADIENT, INTEGRATED, OCCLUSION, WHOLE = CLAIM_METHODS


def part(enrichment: float, behind: float | None = 1.0) -> dict[str, Any]:
    """Return a component that lags by `behind`, give or take .5."""
    ci95, lag = [enrichment - 0.2, enrichment + 0.2], None if behind is None else [behind - 0.5, behind + 0.5]
    return {
        "share": 0.1, "duration": 0.1, "enrichment": enrichment, "ci95": [0.0, 9.0], "joint95": ci95, "behind": lag,
    }  # fmt: skip


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "components": {"P": part(0.5), "QRS": part(2.0, None), "T": part(0.6), "undefined": part(5.0)},
        "shown": True,
        "randomised_correlation": 0.1,
        "permuted_correlation": 0.2,
        "knockout_agreement": 0.7,
        "stability": {
            "jitter": {},
            "jitter_first": 1.0,
            "fills": None,
            "seeds": {"models": 8, "first": 1.0, "components": {}},
        },
    } | changes


def all_shown() -> dict[str, Any]:
    out = {method: entry() for method in CLAIM_METHODS}
    fills = dict.fromkeys(("people", "mean", "bridge", "zero"), "QRS")
    out[WHOLE]["stability"] |= {"jitter": None, "jitter_first": None, "fills": fills}
    return out


def with_(method: str, path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return the entries that pass, one thing changed."""
    out = all_shown()
    place = out[method]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return out


def test_a_component_is_named_where_nothing_speaks_against_it() -> None:
    found = claim(all_shown(), 5)
    assert (found.component, found.components) == ("QRS", ("QRS",))
    assert found.why == (
        "by gradient-attention, integrated-gradients, occlusion, component-occlusion: 4 of 4 maps shown; "
        "first in all draws with moved boundaries; first in all models trained again; "
        "not checked against a re-initialised model for component-occlusion; "
        "not checked against a model trained on permuted labels for component-occlusion; "
        "not checked under moved boundaries for component-occlusion"
    )


@pytest.mark.parametrize(
    ("method", "path", "value", "words"),
    [
        (WHOLE, ("stability", "fills", "people"), "T", "knocked out with fill people, T comes first"),
        (WHOLE, ("stability", "fills", "mean"), None, "knocked out with fill mean, none comes first"),
        (INTEGRATED, ("stability", "seeds", "first"), 0.75, "only 75 % of the models trained again"),
        (GRADIENT, ("stability", "jitter_first"), 0.799, "only 79 % of the draws with moved boundaries"),
        (OCCLUSION, ("components", "T"), part(3.0), "the maps disagree"),
        (OCCLUSION, ("components", "QRS"), part(1.1), "no component clearly above"),
        (OCCLUSION, ("components",), {}, "occlusion puts no component"),
    ],
)
def test_each_reason_alone_blocks_a_claim(method: str, path: tuple[str, ...], value: Any, words: str) -> None:
    found = claim(with_(method, path, value), 5)
    assert (found.component, found.components) == (None, ())
    assert words in found.why


@pytest.mark.parametrize("patch", [10, None])
def test_wide_patches_name_nothing(patch: int | None) -> None:
    assert claim(all_shown(), patch) == (None, (), "component claims need patch=5")


@pytest.mark.parametrize(
    ("family", "methods"), [("gradient", CLAIM_METHODS[:2]), ("perturbation", CLAIM_METHODS[2:])]
)
def test_both_families_must_be_shown(family: str, methods: tuple[str, ...]) -> None:
    entries = all_shown()
    for method in methods:
        entries[method]["shown"] = False
    assert claim(entries, 5) == (None, (), f"no {family} map is shown")


def test_moved_boundaries_must_have_been_measured() -> None:
    entries = all_shown()
    for one in entries.values():
        one["stability"]["jitter_first"] = None
    assert claim(entries, 5).why == "stability under moved boundaries was not measured"


def test_what_just_passes() -> None:
    entries = all_shown()
    entries[GRADIENT]["stability"]["seeds"]["first"] = 0.8
    entries[GRADIENT]["stability"]["jitter_first"] = 0.935
    found = claim(entries, 5)
    assert found.component == "QRS"
    assert "first in at least 93 % of the draws with moved boundaries" in found.why
    assert "first in at least 80 % of the models trained again" in found.why


def test_fills_count_though_their_map_is_greyed() -> None:
    entries = with_(WHOLE, ("stability", "fills", "mean"), "T")
    entries[WHOLE]["shown"] = False
    assert claim(entries, 5).why == "knocked out with fill mean, T comes first"


def test_fills_that_make_impossible_beats_are_told_and_block_nothing() -> None:
    entries = with_(WHOLE, ("stability", "fills", "zero"), "T")
    found = claim(entries, 5)
    assert found.component == "QRS"
    assert "fills that make impossible beats put another first: zero T" in found.why


def test_greyed_maps_have_no_vote_but_are_counted() -> None:
    entries = with_(INTEGRATED, ("components", "T"), part(4.0)) | {
        "rollout": entry(components={"T": part(4.0)})
    }
    for method in (INTEGRATED, WHOLE):
        entries[method]["shown"] = False
    found = claim(entries, 5)
    assert found.component == "QRS"
    assert (
        "by gradient-attention, occlusion: 2 of 4 maps shown, and greyed integrated-gradients says T;"
        in found.why
    )


def test_what_was_not_measured_is_a_limit() -> None:
    entries = all_shown()
    for one in entries.values():
        one |= dict.fromkeys(("randomised_correlation", "permuted_correlation", "knockout_agreement"))
        one["stability"] |= {"seeds": None, "fills": None}
    entries[GRADIENT]["knockout_agreement"] = 0.5
    found = claim(entries, 5)
    assert found.component == "QRS"
    for words in (
        "not checked against a re-initialised model;",
        "not checked against a model trained on permuted labels;",
        "not checked against knock-out for integrated-gradients, occlusion, component-occlusion;",
        "not checked over training seeds;",
        "not checked with fill people, mean",
    ):
        assert words in found.why


def test_another_component_above_its_duration_is_named_too() -> None:
    entries = all_shown()
    for one in entries.values():
        one["components"]["T"] = part(1.5)
    assert claim(entries, 5)[:2] == ("QRS", ("QRS", "T"))
    entries[GRADIENT]["components"]["T"] = part(1.1)
    found = claim(entries, 5)
    assert found[:2] == ("QRS", ("QRS",))
    assert "T too by integrated-gradients, occlusion, component-occlusion alone" in found.why


def test_what_can_not_be_told_apart_is_not_ranked() -> None:
    entries = all_shown()
    for one in entries.values():
        one["components"]["T"] = part(1.5)
    entries[OCCLUSION]["components"]["T"] = part(1.8, 0.5)  # the leader may have no more
    found = claim(entries, 5)
    assert found[:2] == (None, ("QRS", "T"))
    assert "QRS not told apart from T by occlusion" in found.why
    entries[GRADIENT]["components"]["T"] = part(0.9, 1.1)
    assert claim(entries, 5)[:2] == (None, ("QRS",))


def test_reports_before_these_checks_make_no_claim() -> None:
    old = {m: {k: v for k, v in one.items() if k != "stability"} for m, one in all_shown().items()}
    assert claim(old, 5).components == ()
    assert claim({}, 5).components == ()


def test_reports_without_joint_intervals_name_nothing() -> None:
    old = all_shown()
    for one in old.values():
        for row in one["components"].values():
            del row["joint95"]
    found = claim(old, 5)
    assert found[:2] == (None, ())
    assert "occlusion puts no component clearly above its share of the time" in found.why


def test_reports_without_paired_leads_rank_nothing() -> None:
    old = all_shown()
    for one in old.values():
        for row in one["components"].values():
            del row["behind"]
    assert claim(old, 5)[:2] == (None, ("QRS",))


def test_components_of_equal_weight_are_never_ranked_by_chance_alone() -> None:
    """P, QRS and T are equally enriched in truth; people differ, so one of them is largest in every sample."""
    code = np.full((40, 200), COMPONENT_CODE["TP"], np.uint8)
    waves = {"P": (25, 45), "QRS": (60, 80), "T": (110, 130)}
    for name, (start, end) in waves.items():
        code[:, start:end] = COMPONENT_CODE[name]
    ranked = 0
    for seed in range(20):
        share_PW = np.random.default_rng(seed).dirichlet([6, 6, 6], size=40)
        map_BL = np.zeros((40, 200))
        for (start, end), share_P in zip(waves.values(), share_PW.T, strict=True):
            map_BL[:, start:end] = share_P[:, None] / (end - start)
        entries = all_shown()
        entries[WHOLE]["stability"]["fills"] = None
        for one in entries.values():
            one["components"] = summarise(map_BL, code, np.arange(40), 200, seed)
        found = claim(entries, 5)
        assert set(found.components) == set(waves)
        ranked += found.component is not None
    assert ranked <= 4
