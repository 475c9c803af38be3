"""What is said of leakage tests, one by one."""

from __future__ import annotations

from transecg_core.report import complete
from transecg_core.report.leakage import attacks_told, one_by_one


def test_each_test_is_told_once_by_what_it_shows(private_report) -> None:
    report = private_report()
    base = next(row for row in report["risks"] if row["name"] == "embedding-consistency" and row["main"])
    server = {"observer": "server", "baseline": 0.5, "control": 0.52}
    report["risks"] += [
        base | server | {"name": "round-losses", "main": 0.8, "ci95": [0.7, 0.9]},
        base | server | {"name": "update-inversion", "main": 0.55, "ci95": [0.4, 0.7]},
        base
        | {"name": "shadow-lira", "main": None, "ci95": None, "notes": "not measurable: no audit models"},
        base | {"name": "worst people: shared-head-loss", "main": 0.9, "ci95": [0.9, 0.9]},
    ]
    (sentence,) = [line for line in complete(report)["verdict"] if line.startswith("Given away")]
    assert (
        "Above their reference, of 4 further tests: how much a site's updates lower the person's own loss"
        in sentence
    )
    assert "(AUC 0.80 (0.70 to 0.90) against 0.52; the privacy guarantee allows at most 0.93)" in sentence
    compatible = sentence.partition("compatible with their reference: ")[2]
    assert "beats rebuilt from the updates (AUC 0.55 (0.40 to 0.70) against 0.52" in compatible
    assert "members against controls in identification" in compatible
    assert "Not measurable: likelihoods from audit models of the same recipe (LiRA)." in sentence
    assert "worst people" not in sentence


def test_one_row_stands_for_an_attack_and_a_measured_one_first(rich_report) -> None:
    names = [row["name"] for row in attacks_told(rich_report, "other-session")]
    assert names == ["embedding-consistency", "shared-head-loss", "linkage-gap"]
    assert all(row["main"] is not None for row in attacks_told(rich_report, "other-session"))
    assert one_by_one({"risks": []}, None, None) == []
