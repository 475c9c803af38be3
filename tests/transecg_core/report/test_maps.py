"""The attribution section: checks in the table, sites, named features, and what is not there."""

from __future__ import annotations

import copy
import json
from typing import Any

from fake_attribution import NEAR_CHANCE, by_site

from transecg_core.attribution.competence import Competence
from transecg_core.attribution.intervals import Estimate
from transecg_core.attribution.judgement import judge
from transecg_core.report import complete
from transecg_core.report.fiducial_rows import fiducial_rows
from transecg_core.report.map_sites import at_sites
from transecg_core.report.map_sites import by_site as site_table
from transecg_core.report.map_table import OWN_TEST, map_tasks, no_map, top
from transecg_core.report.maps import attribution_parts
from transecg_core.report.methods import METHOD_ORDER
from transecg_core.report.page import report_page

SINCE_1_4 = ("attribution_by_site", "attribution_at_sites", "fiducial_models", "what_if")
SLOW: dict[str, Any] = {"example_beat": None, "risks": [], "utility": {}}
"""Not looked at here, and slow to draw."""
CHECKS = ("faithfulness_shifted", "permuted_correlation", "knockout_agreement", "stability", "agreement")


def older(report: dict[str, Any]) -> dict[str, Any]:
    out = {key: value for key, value in copy.deepcopy(report).items() if key not in SINCE_1_4}
    for methods in out["attribution"].values():
        for entry in methods.values():
            for key in CHECKS:
                del entry[key]
    return out | SLOW | {"schema_version": "1.3"}


def test_an_older_report_renders_and_is_not_told_what_it_lacks(rich_report) -> None:
    html = report_page(complete(older(rich_report)))
    assert "Every map and its checks" in html
    for words in ("Not computed", "ECG Unveiled", "What if a data owner", "may be named"):
        assert words not in html.partition('<section id="beat">')[2].partition("</section>")[0]


def test_empty_parts_say_why(sparse_report) -> None:
    assert report_page(complete(sparse_report)).count("Not computed in profile quick.") == 3
    sparse_report["training"]["profile"] = "default"
    assert report_page(complete(sparse_report)).count("Not computed in this run.") == 3


def test_claim_methods_come_first_and_random_is_last(rich_report) -> None:
    block = map_tasks(rich_report, ["sex"])[0]
    assert [row["method"] for row in block["rows"]] == [*METHOD_ORDER, "random"]
    assert [row["verdict"] for row in block["rows"]] == ["counts towards a claim"] * 4 + ["greyed"] * 3
    assert block["said"].startswith(
        "this model relies on T more than its duration explains, in this one training run (by "
    )
    row = block["rows"][2]
    assert (row["shifted"], row["knockout"], row["jitter"], row["permuted"]) == ("0.05", "0.71", "93 %", "–")
    assert row["fills"] == "T first whatever is filled in"


def test_what_fills_and_seeds_find_is_told(rich_report) -> None:
    stability = rich_report["attribution"]["sex"]["occlusion"]["stability"]
    stability["fills"] = {"people": "T", "zero": "QRS", "mean": None}
    stability["seeds"] = {"models": 8, "first": 0.75, "components": {"T": [1.1, 2.0]}}
    row = next(row for row in map_tasks(rich_report, ["sex"])[0]["rows"] if row["method"] == "occlusion")
    assert row["fills"] == "first by what is filled in: mean –, people T, zero QRS"
    assert row["seeds"] == "same component first in 75 % of 8 models of this recipe"


def test_undefined_never_leads() -> None:
    part = {"share": 0.1, "duration": 0.1, "enrichment": 1.0, "ci95": [0.5, 2.0]}
    assert top({"P": part, "undefined": part | {"enrichment": 9.0}}) == ("P 1.0×", "0.5 to 2.0")
    assert top({"undefined": part}) == ("–", "")
    assert top(None) == ("–", "")


def test_maps_that_fail_each_for_itself_are_still_drawn(rich_report) -> None:
    methods = rich_report["attribution"]["age"]
    for number, entry in enumerate(methods.values()):
        entry["reason"] = f"{NEAR_CHANCE}; insertion minus deletion, less random: 0.0{number}"
    assert no_map(methods) == NEAR_CHANCE
    methods["occlusion"]["reason"] = "no better than random; -0.02"
    assert no_map(methods) is None
    for entry in methods.values():
        entry["reason"] = "no better than random; -0.02"
    assert no_map(methods) is None
    assert no_map(rich_report["attribution"]["sex"]) is None


MODEL = {"randomised_correlation": None, "permuted_correlation": None, "knockout_agreement": None}


def test_the_judge_begins_a_maps_own_failing_as_the_page_expects() -> None:
    bad, good = Estimate(-0.1, -0.2, 0.0), Estimate(0.2, 0.1, 0.3)
    able, unable = Competence(True, "learned"), Competence(False, NEAR_CHANCE)
    for faithful, shifted in ((bad, good), (good, bad)):
        shown, reason = judge("occlusion", 40, able, faithful, shifted, False, MODEL, 0.4)
        assert not shown
        assert reason.startswith(OWN_TEST)
        assert judge("occlusion", 40, unable, faithful, shifted, False, MODEL, 0.4)[1].startswith(
            f"{NEAR_CHANCE}; "
        )
    for key, value in (("randomised_correlation", 1.0), ("knockout_agreement", -1.0)):
        shown, reason = judge("occlusion", 40, able, good, good, False, MODEL | {key: value}, 0.4)
        assert not shown
        assert reason.startswith(OWN_TEST)


def test_sites_tell_only_what_is_shown_over_all_sites(rich_report) -> None:
    table = site_table(rich_report, ["participant", "sex", "age"])
    assert [row["task"] for row in table["rows"] if row["span"]] == ["participant", "sex"]
    assert table["rows"][0]["cells"][0]["top"].startswith("QRS ")
    assert table["rows"][0]["cells"][3] == {
        "top": "–",
        "ci": "",
        "sub": "too few people: 6, and 10 are needed",
    }
    assert len(table["greyed"]) == 1
    assert table["greyed"][0].startswith("age (gradient-attention, ")
    assert site_table({"attribution_by_site": {}}, []) is None


def test_a_report_whose_maps_are_all_greyed_says_so(rich_report) -> None:
    rich_report["attribution_by_site"] = {"age": by_site()["age"]}
    rich_report |= SLOW
    assert "No map is shown over all sites" in report_page(complete(rich_report))


def test_sites_that_explain_themselves(rich_report) -> None:
    rows = at_sites(rich_report)["rows"]
    assert rows[0]["head"] == "its own, never released"
    assert rows[0]["cells"][2]["value"].endswith("×")
    assert at_sites(rich_report)["silent"] == ["too few people: 6, and 10 are needed: participant at synth-d"]
    near = {
        "site": "synth-a",
        "task": "beat",
        "head": "shared",
        "n_participants": None,
        "components": None,
        "reason": "near chance",
        "accuracy": None,
    }
    both = [near | {"method": name} for name in ("gradient-attention", "occlusion")]
    assert at_sites({"attribution_at_sites": both}) | {"columns": ()} == {
        "columns": (), "rows": [], "silent": ["near chance: beat at synth-a"]
    }  # fmt: skip
    assert at_sites({}) is None


def test_what_a_site_explains_is_never_bold_and_grey_where_the_map_over_all_sites_is(rich_report) -> None:
    rich_report |= SLOW
    assert not any(row["greyed"] for row in at_sites(rich_report)["rows"])
    part = _explained_at_sites(report_page(complete(rich_report)))
    assert "not checked for faithfulness at the site" in part
    assert "<b>" not in part
    assert "greyed over all sites</span>" not in part
    rich_report["attribution"]["sex"]["gradient-attention"].update(shown=False, reason=NEAR_CHANCE)
    greyed = {row["task"]: row["greyed"] for row in at_sites(rich_report)["rows"]}
    assert greyed == {"participant": False, "sex": True}
    part = _explained_at_sites(report_page(complete(rich_report)))
    assert part.count("greyed over all sites</span>") == part.count('<tr class="off">') == 1
    del rich_report["attribution"]["sex"]  # never explained over all sites: nothing to be greyed by
    assert not any(row["greyed"] for row in at_sites(rich_report)["rows"])


def _explained_at_sites(html: str) -> str:
    return html.split("<h3>Explained at the sites</h3>")[1].split("<h3>")[0]


def test_named_features_stand_beside_the_encoder(rich_report) -> None:
    first, second, third = fiducial_rows(rich_report)
    assert (first["value"], first["vit"], first["majority"]) == ("61 %", "80 %", "1 %")
    assert first["shares"].startswith("QRS 42 %, T 28 %, P 11 %")
    assert first["features"][1] == "QT interval, ms (12 %; T)"
    assert first["agreement"] == ["gradient-attention 0.60", "occlusion 0.90"]
    assert (second["span"], third["span"]) == (2, 0)
    assert third["notes"] == "not measurable: 6 people"
    assert fiducial_rows({}) == []


def test_hostile_names_are_text(rich_report) -> None:
    name = "<script>alert('x')</script>"
    for key in ("fiducial_models", "what_if", "attribution_at_sites", "attribution_by_site"):
        text = json.dumps(rich_report[key])
        for known in ("synth-a", "R amplitude", "pca-lda-adapted", "other-session, gallery of 96"):
            text = text.replace(known, name)
        rich_report[key] = json.loads(text)
    rich_report |= SLOW
    html = report_page(complete(rich_report))
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 5


def test_a_part_that_is_not_measured_is_not_invented(rich_report) -> None:
    del rich_report["attribution"]["sex"]["gradient-attention"]
    parts = attribution_parts(rich_report | SLOW)
    sex = next(block for block in parts["maps"] if block["task"] == "sex")
    assert "gradient-attention" not in [row["method"] for row in sex["rows"]]
    assert next(item for item in parts["shares"] if item["task"] == "sex")["note"] == ""


def test_a_component_of_a_few_people_has_no_figure_to_show(rich_report) -> None:
    tables = list(rich_report["attribution"].values())
    tables += [per for methods in rich_report["attribution_by_site"].values() for per in methods.values()]
    entries = [entry for table in tables for entry in table.values()] + rich_report["attribution_at_sites"]
    for entry in entries:
        if entry["components"]:
            entry["components"]["P"] = dict.fromkeys(("share", "duration", "enrichment", "ci95"))
    assert "Every map and its checks" in report_page(complete(rich_report | SLOW))
    cells = at_sites(rich_report)["rows"][0]["cells"]
    assert (cells[0]["value"], cells[0]["ci"]) == ("–", "")
