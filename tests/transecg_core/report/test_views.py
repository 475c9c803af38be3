"""The page's views beyond rows: curves, people, groups, rebuilt beats; and tables that fold their tail."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

from transecg_core.report import complete
from transecg_core.report.curves import SHOWN, curve_parts
from transecg_core.report.exposed import people_parts
from transecg_core.report.page import report_page
from transecg_core.report.rebuilt import rebuilt_parts
from transecg_core.report.risk_tables import risk_kinds, site_tables

HOSTILE = "<script>alert(1)</script>\"'&$x^2$"


def curve(name: str = "identification", **more: Any) -> dict[str, Any]:
    x = [1.0, 2.0, 5.0, 10.0, 40.0]
    main = [0.4, 0.5, 0.6, 0.7, 0.9]
    return {
        "name": name, "kind": "B", "observer": "released-model", "site": "pooled", "protocol": "other-session",
        "x_label": "rank", "y_label": "share found", "x": x, "main": main, "control": [v - 0.1 for v in main],
        "baseline": [v / 2 for v in main], "low": [v - 0.1 for v in main], "high": [v + 0.1 for v in main],
        "n_participants": 46, "notes": "one gallery of all sites",
    } | more  # fmt: skip


def person(code: str, certain: float, margin: float, **more: Any) -> dict[str, Any]:
    figures = {
        "rank-1": 1.0, "expected rank": 1.0, "margin": margin, "linked with certainty": certain, "signal rank-1": 0.0,
        "queries": 2.0, "percentile, shared-head-loss": 0.75,
    }  # fmt: skip
    base = {"site": "synth-a", "participant": code, "group": "member", "protocol": "other-session"}
    return {**base, "figures": figures} | more


def group(name: str, kind: str, main: float | None, note: str = "") -> dict[str, Any]:
    return {
        "attribute": "sex", "group": name, "name": "identification" if kind == "B" else "pca", "kind": kind,
        "observer": "o", "protocol": "other-session", "metric": "rank-1", "main": main, "control": None,
        "baseline": 0.1, "ci95": None if main is None else [main - 0.1, main + 0.1], "n_participants": 20,
        "n_controls": 0, "notes": note,
    }  # fmt: skip


def pair(setting: str, shift: int = 0) -> dict[str, Any]:
    x = np.exp(-((np.arange(200) - 75) ** 2) / 50.0)
    return {
        "setting": setting,
        "true_L": x.tolist(),
        "rebuilt_L": np.roll(x, shift).tolist(),
        "correlation": -0.25,
    }


@pytest.fixture
def full(rich_report) -> dict[str, Any]:
    """A local report with every view."""
    rich_report |= {
        "schema_version": "1.4",
        "attribution": {},  # not looked at here, and slow to draw
        "example_beat": None,
        "risk_curves": [curve(), curve("round-losses", kind="C", x=[1.0, 2.0, 3.0, 4.0, 5.0])],
        "people_at_risk": [
            person("0badc0de", 0.0, 0.9),
            person("0ddba11a", 1.0, 0.1),
            person("5ca1ab1e", 0.0, 0.2, group="control"),
        ],
        "risk_groups": [group("F", "A", 0.9), group("F", "B", None, "not measurable: 3 people, needs 5")],
        "rebuilt_beats": [pair("one beat, SGD", 0), pair("five people, AdamW", 40)],
    }
    return rich_report


def test_every_view_stands_on_the_page(full) -> None:
    html = report_page(complete(full))
    for section in ("curves", "people", "rebuilt"):
        assert html.count(f'<section id="{section}">') == 1
    for words in ("0ddba11a", "share found by rank", "five people, AdamW", "correlation \N{MINUS SIGN}0.25",
                  "not measurable: 3 people, needs 5", "people.csv"):  # fmt: skip
        assert words in html
    assert len(re.findall("<svg", html)) == len(re.findall("<svg", report_page(complete(without(full))))) + 6


def without(report: dict[str, Any]) -> dict[str, Any]:
    views = ("risk_curves", "people_at_risk", "risk_groups", "rebuilt_beats")
    return {key: value for key, value in report.items() if key not in views}


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_a_report_from_before_the_views_has_none_of_them(full, version) -> None:
    html = report_page(complete(without(full) | {"schema_version": version}))
    assert not re.findall('id="(curves|people|rebuilt)"', html)


def test_the_worst_come_first_and_only_ten(full) -> None:
    full["people_at_risk"] += [person(f"{n:08x}", 0.0, -n / 100) for n in range(20)]
    worst = people_parts(full)["worst"]
    assert [row["who"] for row in worst[:3]] == ["0ddba11a", "0badc0de", "5ca1ab1e"]
    assert len(worst) == 10
    assert worst[0]["certain"] == "yes"
    assert people_parts(full)["listed"] == "23 people"


def test_a_shareable_report_shows_nobody(full) -> None:
    full |= {"edition": "shareable", "people_at_risk": []}
    html = report_page(complete(full))
    assert "easiest to find" not in html
    assert "people.csv" not in html


def test_names_in_the_views_are_text(full) -> None:
    full["risk_curves"][0] |= {"name": HOSTILE, "x_label": HOSTILE, "notes": HOSTILE}
    full["people_at_risk"][0] |= {"site": HOSTILE}
    full["risk_groups"][0] |= {"group": HOSTILE}
    full["rebuilt_beats"][0] |= {"setting": HOSTILE}
    html = report_page(complete(full))
    assert "<script" not in html
    assert html.count("alert(1)") >= 7


@pytest.mark.parametrize(
    "changes",
    [
        {"x": [3.0], "main": [0.5], "control": None, "baseline": None, "low": [0.4], "high": [0.6]},
        {"main": [None, None, 0.4, None, None], "low": None, "high": None, "control": [None] * 5},
        {"x": [0.0, 0.5, 1.0, 1.5, 2.0], "main": [-3.0, 0.0, 9.0, 2.0, 1.0]},
        {"low": [None] * 5, "high": [None] * 5},
    ],
    ids=["one point", "holes", "beyond 0 and 1", "no band"],
)
def test_odd_curves_are_drawn(full, changes) -> None:
    full["risk_curves"] = [curve(**changes)]
    assert len(curve_parts(complete(full))["curves"]) == 1


def test_empty_curves_are_not_drawn_and_many_are_counted(full) -> None:
    full["risk_curves"] = [curve(main=[None] * 5)]
    assert curve_parts(full)["curves"] == []
    full["risk_curves"] = [curve(f"attack {n}", protocol="other-record") for n in range(SHOWN)] + [curve()]
    parts = curve_parts(full)
    assert len(parts["curves"]) == SHOWN
    assert parts["curves"][0]["title"] == "identification"  # the headline's protocol first
    assert parts["more_curves"].startswith("1 more curve in report.json")


def test_rebuilt_beats_are_shown_setting_by_setting(full) -> None:
    full["rebuilt_beats"] = [pair("a")] * 5 + [pair("b")]
    parts = rebuilt_parts(full)
    assert [item["setting"] for item in parts["rebuilt"]] == ["a", "a", "b"]
    assert parts["more_rebuilt"] == "3 more pairs in report.json."


def test_every_row_is_in_one_table_open_or_folded(full) -> None:
    extra = copy.deepcopy(next(row for row in full["risks"] if row["name"] == "pca-lda"))
    full["risks"] += [extra | {"name": f"shortcut: {n}"} for n in range(9)]
    kinds = risk_kinds(full)
    rows = [r for kind in kinds for family in kind["families"] for r in family["rows"] + family["folded"]]
    pooled = [row for row in full["risks"] if row["site"] == "pooled"]
    assert len(rows) == len(pooled)
    signal, shortcuts = (
        f for f in kinds[0]["families"] if f["title"] in ("Comparing the recordings", "Shortcut tests")
    )
    assert {row["protocol"] for row in signal["rows"]} == {"other-session"}
    assert {row["protocol"] for row in signal["folded"]} == {"other-record", "later-in-record"}
    assert [row["name"] for row in shortcuts["rows"]] == [f"shortcut: {n}" for n in range(6)]
    assert shortcuts["summary"].startswith("3 more rows")
    for table in site_tables(full):
        assert table["rows"]


def test_the_first_row_of_each_attack_stays_open(full) -> None:
    base = next(row for row in full["risks"] if row["name"] == "identification" and row["metric"] == "rank-1")
    metrics = ("rank-1", "EER", "mAP")
    full["risks"] = [base | {"name": f"shortcut: {n}", "metric": m} for n in range(4) for m in metrics]
    (family,) = risk_kinds(full)[1]["families"]
    assert {row["name"] for row in family["rows"]} == {f"shortcut: {n}" for n in range(4)}
