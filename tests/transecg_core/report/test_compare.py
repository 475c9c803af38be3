"""The comparison of arms: pairing, intervals with known answers, refusals."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from transecg_core.report import ReportError, complete, write_comparison
from transecg_core.report.compare import compare, over_seeds
from transecg_core.report.compare_page import comparison_page


def shifted(report: dict[str, Any], seed: int, utility: float = 0.0, leak: float = 0.0) -> dict[str, Any]:
    out = copy.deepcopy(report)
    # Not looked at here, and slow to validate.
    out.update(example_beat=None, attribution={}, attribution_by_site={}, attribution_at_sites=[])
    out.update(fiducial_models=[], what_if=[])
    out["manifest"]["config"]["seed"] = out["manifest"]["seeds"]["run"] = seed
    out["manifest"]["data_hashes"] = {site: f"{seed:064x}" for site in out["manifest"]["data_hashes"]}
    for scores in out["utility"].values():
        if scores["pooled"]["value"] is not None:
            scores["pooled"]["value"] += utility
    for row in out["risks"]:
        if row["kind"] == "C" and row["main"] is not None:
            row["main"] += leak
    return complete(out)


@pytest.fixture
def arms(rich_report, private_report: Callable[..., dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Utility falls by .05 to .07 with epsilon 1, and by -.01 to .03 with epsilon 8; leakage by .10 to .12."""
    strict, loose = private_report(epsilon=1.0), private_report(epsilon=8.0)
    return {
        "epsilon=1": [shifted(strict, s, -0.05 - 0.01 * s, -0.10 - 0.01 * s) for s in (0, 1, 2)],
        "epsilon=8": [shifted(loose, s, 0.01 - 0.02 * s) for s in (0, 1, 2)],
        "best": [shifted(rich_report, s) for s in (2, 0, 1)],
    }


def figure(document: dict[str, Any], key: str) -> dict[str, Any]:
    found = [f for f in document["figures"] if f["key"] == key]
    assert len(found) == 1, [f["key"] for f in document["figures"]]
    return found[0]


def test_t_interval_known_answers() -> None:
    assert over_seeds([]) == {"mean": None, "ci95": None, "n": 0}
    assert over_seeds([0.4]) == {"mean": 0.4, "ci95": None, "n": 1}
    three = over_seeds([1.0, 2.0, 3.0])  # sd 1, t(.975, 2) = 4.302653
    assert three["mean"] == 2.0
    assert three["ci95"] == pytest.approx([2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5], abs=1e-6)


def test_arms_are_ordered_and_differences_paired(arms) -> None:
    document = compare(arms)
    assert [arm["name"] for arm in document["arms"]] == ["best", "epsilon=8", "epsilon=1"]
    assert document["arms"][0]["seeds"] == [0, 1, 2]
    assert document["arms"][2]["epsilon_participant"] == 1.0
    beat = figure(document, "utility/beat")["arms"]
    assert beat["best"]["against_best"] is None
    strict = beat["epsilon=1"]["against_best"]
    assert strict["mean"] == pytest.approx(-0.06)
    assert strict["ci95"][1] < 0
    assert beat["epsilon=8"]["against_best"]["ci95"][0] < 0 < beat["epsilon=8"]["against_best"]["ci95"][1]


def test_the_words_follow_the_intervals(arms) -> None:
    verdict = {text.partition(": ")[0]: text for text in compare(arms)["verdict"]}
    assert "lower, beat −6 points" in verdict["epsilon=1, utility"]
    assert "No conclusion" not in verdict["epsilon=1, utility"]
    assert verdict["epsilon=8, utility"].startswith("epsilon=8, utility: No conclusion")
    leakage = verdict["epsilon=1, training leakage"].partition("Fell: ")[2]
    assert leakage.startswith("how steady a person's embeddings are, AUC −0.11")
    assert "(ceiling 0.93)" in leakage
    assert "generated" in verdict["Evidence"]


def test_profile_quick_is_said_first(arms) -> None:
    for reports in arms.values():
        for report in reports:
            report["manifest"]["config"]["profile"] = report["training"]["profile"] = "quick"
    document = compare(arms)
    assert document["verdict"][0].startswith("Evidence: Profile quick does too little")
    assert "generated" in document["verdict"][0]
    assert "QUICK PROFILE" in comparison_page(document)


def test_one_seed_allows_no_conclusion(arms) -> None:
    document = compare({arm: runs[:1] for arm, runs in {**arms, "best": arms["best"][1:]}.items()})
    assert all("Against best" not in text for text in document["verdict"])
    beat = figure(document, "utility/beat")["arms"]["epsilon=1"]
    assert beat["against_best"]["n"] == 1
    assert beat["against_best"]["ci95"] is None


def test_only_common_seeds_are_paired(arms) -> None:
    arms["epsilon=1"] = [r for r in arms["epsilon=1"] if r["manifest"]["config"]["seed"] != 1]
    cell = figure(compare(arms), "utility/beat")["arms"]["epsilon=1"]
    assert cell["against_best"]["n"] == 2
    assert cell["against_best"]["mean"] == pytest.approx((-0.05 - 0.07) / 2)


def test_criteria_point_at_figures_that_exist(arms) -> None:
    document = compare(arms)
    keys = {f["key"] for f in document["figures"]}
    assert [row["criterion"] for row in document["criteria"]] == ["singling out", "linkability", "inference"]
    assert all(set(row["figures"]) <= keys for row in document["criteria"])
    assert all(row["figures"] for row in document["criteria"])


def test_without_best_there_is_no_conclusion(arms) -> None:
    del arms["best"]
    assert compare(arms)["verdict"][-1].startswith("No conclusion")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda a: a["best"].append(a["best"][0]), "twice"),
        (lambda a: a["best"][0]["manifest"]["config"].update({"protocol": "other-record"}), "protocol"),
        (lambda a: a["best"][0]["manifest"]["data_hashes"].update({"synth-a": "00"}), "other data"),
        (lambda a: a["best"][0]["risks"][0].pop("kind"), "kind"),
        (lambda a: a.clear(), "nothing to compare"),
    ],
)
def test_refused(arms, spoil, said, tmp_path) -> None:
    spoil(arms)
    with pytest.raises(ReportError, match=said):
        write_comparison(arms, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sparse_runs_compare_without_figures(sparse_report, tmp_path) -> None:
    page = write_comparison({"best": [complete(sparse_report)]}, tmp_path)
    assert "Limits" in page.read_text(encoding="utf-8")


def test_the_page_is_made_from_the_json_and_deterministic(arms, tmp_path) -> None:
    page = write_comparison(arms, tmp_path / "a")
    document = json.loads((tmp_path / "a" / "compare.json").read_text(encoding="utf-8"))
    assert comparison_page(document) == page.read_text(encoding="utf-8")
    again = write_comparison({arm: list(reversed(arms[arm])) for arm in reversed(list(arms))}, tmp_path / "b")
    assert again.read_bytes() == page.read_bytes()
    html = page.read_text(encoding="utf-8")
    assert not re.search(r"<script|https?://|<link|<img", html)
    assert "about one looks like a difference" in html


def test_what_the_start_was_good_for_stands_beside_the_arms(arms) -> None:
    task = next(task for task, scores in arms["best"][0]["utility"].items() if scores["pooled"]["value"])
    assert figure(compare(arms), f"utility/{task}")["start"] is None
    for value, report in zip((0.4, 0.5, 0.6), arms["best"], strict=True):
        report["utility"][task]["pooled"]["start"] = {"value": value, "ci95": [value, value]}
    document = compare(arms)
    assert figure(document, f"utility/{task}")["start"]["mean"] == pytest.approx(0.5)
    assert "before any training: 50" in comparison_page(document)


def test_hostile_arm_names_are_text(arms) -> None:
    arms["<script>x</script>"] = arms.pop("epsilon=8")
    html = comparison_page(compare(arms))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
