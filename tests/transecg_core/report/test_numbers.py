"""How numbers read."""

from __future__ import annotations

import pytest

from transecg_core.report.numbers import count, figure, interval, significant, with_interval


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.734, "rank-1", "73 %"),
        (0.0, "rank-1", "0 %"),
        (0.734, "AUC", "0.73"),
        (-0.001, "AUC", "0.00"),
        (-0.06, "faithfulness", "−0.06"),
        (0.07, "gain in rank-1 over random-init", "+7 points"),
        (-0.07, "gap in rank-1 (members - controls)", "−7 points"),
        (-0.001, "gap in rank-1 (members - controls)", "0 points"),
        (0.12, "TAR@1%FAR", "12 %"),
        (0.12, "EER", "0.12"),
        (None, "AUC", "–"),
    ],
)
def test_figure(value, metric, text) -> None:
    assert figure(value, metric) == text


def test_intervals() -> None:
    assert interval([0.651, 0.812], "rank-1") == "65 to 81 %"
    assert interval([-0.02, 0.1], "gain in rank-1") == "−2 to +10 points"
    assert with_interval(0.7, [0.6, 0.8], "AUC") == "0.70 (0.60 to 0.80)"
    assert with_interval(0.7, None, "AUC") == "0.70"
    assert with_interval(None, None) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [(8.0, "8"), (7.9999, "8"), (1e-5, "1e-5"), (1.234e-5, "1.23e-5"), (0.0312, "0.0312"), (89.94, "89.9"),
     (1234567.0, "1234567"), (0.0, "0"), (None, "–"), (100.0, "100")],
)  # fmt: skip
def test_significant(value, text) -> None:
    assert significant(value) == text


def test_count() -> None:
    assert count(1, "round") == "1 round"
    assert count(12, "round") == "12 rounds"
    assert count(12345) == "12\u2009345"
    assert count(None) == "–"
