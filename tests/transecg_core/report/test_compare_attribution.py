"""Where attribution moves between arms: known shifts are found, everything else is no conclusion."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
from fake_attribution import NEAR_CHANCE, method, shares

from transecg_core.report import validate
from transecg_core.report.compare import compare
from transecg_core.report.compare_attribution import attribution_sentence
from transecg_core.report.compare_page import comparison_page

METHODS = ("gradient-attention", "occlusion")
"""One of each family: enough, and cheap."""

Runs = dict[str, list[dict[str, Any]]]


def run(report: dict[str, Any], seed: int, lift: float, shown: bool = True) -> dict[str, Any]:
    """Return a run that explains ``sex`` only, by T, `lift` times as much as the rest."""
    empty = {
        "risks": [],
        "utility": {},
        "attribution": {},
        "example_beat": None,
        "verdict": [],
        "threat_model": [],
    }
    out = copy.deepcopy(report | empty)
    out.update(attribution_at_sites=[], fiducial_models=[], what_if=[])
    out["manifest"]["config"]["seed"] = seed
    out["attribution"] = {
        "sex": {m: method(m, shown, "T", "" if shown else NEAR_CHANCE, lift + 0.02 * seed) for m in METHODS}
    }
    site = {"n_participants": 12, "components": shares("T", lift + 0.1), "reason": None}
    out["attribution_by_site"] = {"sex": {m: {"synth-a": site} for m in METHODS}}
    return out


@pytest.fixture
def arms(rich_report, private_report: Callable[..., dict[str, Any]]) -> Runs:
    """Enrichment of T falls under epsilon 8; epsilon 1 has no map in one seed of three."""
    return {
        "best": [run(rich_report, s, 2.6) for s in (0, 1, 2)],
        "epsilon=8": [run(private_report(), s, 1.5 + 0.05 * s) for s in (0, 1, 2)],
        "epsilon=1": [run(private_report(epsilon=1.0), s, 1.5, shown=s > 0) for s in (0, 1, 2)],
    }


def row(
    document: dict[str, Any], component: str, site: str = "pooled", by: str = "occlusion"
) -> dict[str, Any]:
    rows = document["attribution"]["rows"]
    found = [r for r in rows if (r["component"], r["site"], r["method"]) == (component, site, by)]
    assert len(found) == 1
    return dict(found[0])


def said(document: dict[str, Any], arm: str) -> str:
    return next(text for text in document["verdict"] if text.startswith(f"{arm}, attribution: "))


def test_a_known_shift_is_found_in_both_directions(arms) -> None:
    document = compare(arms)
    fall = row(document, "T")["arms"]["epsilon=8"]["against_best"]
    assert fall["n"] == 3
    assert fall["ci95"][1] < 0
    assert row(document, "P")["arms"]["epsilon=8"]["against_best"]["ci95"][0] > 0
    assert "less on T (−" in said(document, "epsilon=8")
    assert "more on P (+" in said(document, "epsilon=8")
    assert "12 differences were looked at" in said(document, "epsilon=8")  # 2 methods, 6 components


def test_only_shown_maps_are_paired(arms) -> None:
    document = compare(arms)
    cell = row(document, "T")["arms"]["epsilon=1"]
    assert cell["values"]["0"] is None
    assert cell["against_best"]["n"] == 2
    shown = document["attribution"]["maps"][0]["arms"]["epsilon=1"]
    assert shown == {"shown": 2, "runs": 3, "reasons": ["the model is near chance"]}
    for report in arms["epsilon=1"]:
        for entry in report["attribution"]["sex"].values():
            entry.update(shown=False, reason=NEAR_CHANCE)
    document = compare(arms)
    assert said(document, "epsilon=1").endswith(
        "No map in both arms: sex (epsilon=1: the model is near chance)."
    )
    assert "every map shown in 0 of 3 (the model is near chance)" in comparison_page(document)


def test_one_family_alone_is_no_conclusion(arms) -> None:
    for report, best in zip(arms["epsilon=8"], arms["best"], strict=True):
        report["attribution"]["sex"]["occlusion"] = best["attribution"]["sex"]["occlusion"]
    assert "No conclusion on where attribution moves for sex." in said(compare(arms), "epsilon=8")


def test_methods_that_contradict_each_other_are_no_conclusion(arms) -> None:
    for report in arms["epsilon=8"]:
        report["attribution"]["sex"]["occlusion"]["components"] = shares("T", 4.0)
    assert "on T (" not in said(compare(arms), "epsilon=8")


def test_one_seed_is_no_conclusion(arms) -> None:
    document = compare({arm: runs[-1:] for arm, runs in arms.items()})
    assert "No conclusion on where attribution moves for sex." in said(document, "epsilon=8")


def test_the_page_shows_arms_over_each_other_and_marks_clear_differences(arms) -> None:
    document = compare({arm: arms[arm] for arm in ("best", "epsilon=8")})
    section = comparison_page(document).partition('<section id="attribution">')[2].partition("</section>")[0]
    assert section.count("<svg") == 2
    assert "The same site by site (12 rows)" in section
    table = section.partition("<details>")[0]
    assert len(re.findall("<b>[+−]", table)) == 12
    same = compare(
        {
            "best": arms["best"],
            "epsilon=8": [r | {"privacy": arms["epsilon=8"][0]["privacy"]} for r in arms["best"]],
        }
    )
    section = comparison_page(same).partition('<section id="attribution">')[2]
    assert "In none of 12 rows does an interval exclude zero." in section
    assert not re.findall("<b>[+−]", section)


def test_sites_are_compared_where_there_are_any(arms) -> None:
    document = compare(arms)
    assert row(document, "T", "synth-a")["arms"]["best"]["estimate"]["n"] == 3
    for runs in arms.values():
        for report in runs:
            del report["attribution_by_site"]
    assert {r["site"] for r in compare(arms)["attribution"]["rows"]} == {"pooled"}


def test_a_comparison_from_before_has_no_such_section(arms) -> None:
    document = compare(arms) | {"schema_version": "1.1"}
    del document["attribution"]
    validate(document, "compare.schema.json")
    assert 'id="attribution"' not in comparison_page(document)
    assert attribution_sentence(document, "epsilon=8") == ""


def test_an_interval_holds_only_what_a_share_can_be(arms) -> None:
    """Three seeds far apart give a t interval far outside of 0 and 1, and three zeros one without width."""
    for seed, part in enumerate((0.0, 0.1, 0.98)):
        parts = arms["best"][seed]["attribution"]["sex"]["occlusion"]["components"]
        parts["T"] |= {"share": part, "enrichment": 3 * part}
        parts["PQ"] |= {"share": 0.0, "enrichment": 0.0}
    document = compare(arms)
    validate(document, "compare.schema.json")
    best = row(document, "T")["arms"]["best"]
    assert best["share"]["ci95"] == [0.0, 1.0]
    assert best["estimate"]["ci95"][0] == 0.0
    assert best["estimate"]["ci95"][1] > 3.0
    cut = row(document, "PQ")["arms"]["best"]
    assert cut["estimate"] == {"mean": 0.0, "ci95": None, "n": 3}
    assert cut["share"]["ci95"] is None


def test_reasons_are_told_once_whatever_their_figures(arms) -> None:
    for seed, figure in enumerate(("-0.02", "0.00", "-0.12")):
        entry = arms["best"][seed]["attribution"]["sex"]["occlusion"]
        entry |= {"shown": False, "reason": f"does not agree with knock-out ({figure}); and more"}
        del arms["epsilon=8"][seed]["attribution"]["sex"]
    told = next(m for m in compare(arms)["attribution"]["maps"] if m["method"] == "occlusion")["arms"]
    assert told["best"]["reasons"] == ["does not agree with knock-out"]
    assert told["epsilon=8"]["reasons"] == ["these runs do not explain it"]
