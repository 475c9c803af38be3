"""How numbers read in a sentence, a table and a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

NOTHING = "–"
_RATES = ("rank-", "accuracy", "tar@", "tpr@", "share", "probability")


def is_rate(metric: str) -> bool:
    """Return whether a metric reads as a percentage."""
    name = metric.lower()
    return any(part in name for part in _RATES)


def low_is_risky(metric: str) -> bool:
    """Return whether a metric is an error of the attacker's: low means identified."""
    return metric.upper().startswith("EER")


def metric_label(metric: str) -> str:
    """Return the metric's name, with its direction where that is unusual."""
    return f"{metric} (low is risky)" if low_is_risky(metric) else metric


def is_difference(metric: str) -> bool:
    """Return whether a metric is a difference of two figures."""
    name = metric.lower()
    return any(part in name for part in ("gain", "gap", "difference"))


def figure(value: float | None, metric: str = "") -> str:
    """Return a figure as a percentage, as percentage points, or with two decimals; a dash for nothing."""
    if value is None:
        return NOTHING
    if is_rate(metric) and is_difference(metric):
        points = _zero(100 * value, 0)
        return f"{points:+.0f} points".replace("-", "−") if points else "0 points"
    if is_rate(metric):
        return f"{_zero(100 * value, 0):.0f} %".replace("-", "−")
    return f"{_zero(value, 2):.2f}".replace("-", "−")


def _zero(value: float, digits: int) -> float:
    """Return `value` rounded, without a negative zero."""
    return round(value, digits) + 0.0


def interval(pair: Sequence[float] | None, metric: str = "") -> str:
    """Return an interval as ``low to high``."""
    if pair is None:
        return NOTHING
    low, high = figure(pair[0], metric), figure(pair[1], metric)
    return f"{low.removesuffix(' %').removesuffix(' points')} to {high}"


def with_interval(value: float | None, pair: Sequence[float] | None, metric: str = "") -> str:
    """Return ``value (low to high)``, the unit said once."""
    shown = figure(value, metric)
    if value is None or pair is None:
        return shown
    return f"{shown} ({interval(pair, metric).removesuffix(' %').removesuffix(' points')})"


def significant(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits, without an exponent where it stays readable."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4 or magnitude > 6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    text = f"{value:.{max(digits - 1 - magnitude, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(value: int | None, noun: str = "") -> str:
    """Return a count with thin spaces between thousands, and its noun in the right number."""
    shown = NOTHING if value is None else f"{value:,}".replace(",", "\u2009")
    return f"{shown} {noun}{'' if value == 1 else 's'}" if noun else shown
