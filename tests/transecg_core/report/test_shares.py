"""Shares against durations: known answers."""

from __future__ import annotations

import pytest
from fake_attribution import shares

from transecg_core.report.shares import Point, point, share_panel, task_bars


def test_a_bar_is_sure_only_where_the_interval_excludes_the_share_of_the_time() -> None:
    part = {"share": 0.3, "duration": 0.1, "enrichment": 3.0, "ci95": [2.0, 4.0]}
    assert point(part) == Point(0.3, pytest.approx(0.2), pytest.approx(0.4), True)
    assert point(part | {"ci95": [0.9, 4.0]}).sure is False
    assert point(part | {"ci95": [0.2, 0.8]}).sure is True
    assert point(part | {"ci95": None}) == Point(0.3, None, None, False)
    assert point(None) is None
    assert point(part | {"share": None}) is None


def test_the_words_beside_a_bar_span_the_maps() -> None:
    entries = [{"components": shares("QRS", 2.0)}, None, {"components": shares("QRS", 4.0)}]
    rows = {row.component: row for row in task_bars(entries)}
    assert list(rows) == ["P", "PQ", "QRS", "ST", "T", "TP"]
    first, last = (e["components"]["QRS"]["enrichment"] for e in (entries[0], entries[2]))
    assert rows["QRS"].text == f"{first:.1f} to {last:.1f}×"
    assert rows["QRS"].points[1] is None
    assert rows["QRS"].duration == 0.11


def test_nothing_shown_nothing_drawn() -> None:
    assert task_bars([None, None]) == []
    nothing = {"share": None, "duration": 0.0, "enrichment": None, "ci95": None}
    assert task_bars([{"components": {"P": nothing}}]) == []


def test_extreme_shares_are_drawn() -> None:
    part = {"share": 1.0, "duration": 0.01, "enrichment": 100.0, "ci95": [0.0, 900.0]}
    svg = share_panel("extreme", "Shares", task_bars([{"components": {"P": part}}]))
    assert svg.startswith("<svg")
    assert "nan" not in svg
