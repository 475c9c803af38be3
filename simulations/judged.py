"""What an audit found in a planted federation, against what was planted: figure by figure, over seeds.

A figure *finds* when its 95 % interval is clear of chance on the risky side (and, for training leakage,
exceeds its control), and must do so on `POWER` of the seeds: a few dozen people don't always show what is
there. It is *silent* when its interval covers chance. A 95 % interval misses one time in twenty, so
silence is judged over seeds: more misses than `allowed` are an alarm that right intervals give less
than one time in two hundred.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import binom

from simulations.probes import ANY, PROBES, Probe
from simulations.scenarios import FOUND, SILENT, Scenario
from transecg_core.risk.rows import RiskRow

POWER = 0.8
MISS, ALARM = 0.05, 0.005
CHANCE: Mapping[str, float] = {"EER": 0.5, "TAR@5%FAR": 0.05, "TAR@1%FAR": 0.01}
"""Metric -> what guessing gives, where the row's baseline is something else."""
Side = Literal["risky", "covers", "safe"]
Key = tuple[str, str, str, str]


def allowed(seeds: int) -> int:
    """Return how many of so many intervals may miss chance before it is an alarm."""
    return int(binom.isf(ALARM, seeds, MISS))


def needed(seeds: int) -> int:
    """Return on how many of so many seeds a plant must be found."""
    return math.ceil(POWER * seeds - 1e-9)


@dataclass(frozen=True)
class Seen:
    """One measured row: its figure, what guessing gives, and on which side of that its interval lies."""

    main: float
    chance: float
    side: Side
    beats_control: bool


def seen(row: RiskRow, chance: float | None = None) -> Seen | None:
    """Return what a row says; None if nothing was measured.

    Parameters
    ----------
    chance
        What guessing gives; None where `CHANCE` or the row's baseline says so.

    Raises
    ------
    ValueError
        If nobody says what guessing gives.
    """
    if row.main is None or row.ci95 is None:
        return None
    chance = CHANCE.get(row.metric, row.baseline) if chance is None else chance
    if chance is None:
        raise ValueError(f"{row.name}, {row.metric}: a probe needs a metric of which chance is known")
    sign = -1.0 if row.metric == "EER" else 1.0
    # The end of the interval that is less risky, and the one that is more so.
    low, high = sorted(sign * end for end in row.ci95)
    side: Side = "risky" if low > sign * chance else "safe" if high < sign * chance else "covers"
    control = row.control if row.kind == "C" else None
    return Seen(row.main, chance, side, control is None or sign * row.main > sign * control)


@dataclass(frozen=True)
class Judgement:
    """One probe over seeds.

    Attributes
    ----------
    expected
        ``found`` or ``silent``; in words, why it is not judged.
    measured
        One per seed on which there was a figure.
    seeds
        On how many it was asked for.
    """

    probe: Probe
    expected: str
    measured: tuple[Seen, ...]
    seeds: int

    @property
    def hits(self) -> int:
        """On how many seeds the figure found something."""
        return sum(s.side == "risky" and s.beats_control for s in self.measured)

    @property
    def misses(self) -> int:
        """On how many seeds the interval does not cover chance, on either side unless chance is a ceiling."""
        quiet = ("covers", "safe") if self.probe.at_most else ("covers",)
        return sum(s.side not in quiet for s in self.measured)

    @property
    def passed(self) -> bool | None:
        """Whether the estimator said what it had to; None where it is not judged."""
        if self.expected not in (FOUND, SILENT):
            return None
        if not self.measured:
            return False
        if self.expected == FOUND:
            return self.hits >= needed(len(self.measured))
        return self.misses <= allowed(len(self.measured))


def judge(scenario: Scenario, audits: Sequence[Iterable[RiskRow]]) -> list[Judgement]:
    """Hold the rows of one scenario's audits, one per seed, against what was planted."""
    by_key = [{(r.site, r.name, r.metric, r.protocol): r for r in rows} for rows in audits]
    return [
        Judgement(probe, scenario.expected(probe), _measured(probe, by_key), len(audits)) for probe in PROBES
    ]


def _measured(probe: Probe, audits: Sequence[Mapping[Key, RiskRow]]) -> tuple[Seen, ...]:
    rows = [
        row
        for audit in audits
        for (*where, protocol), row in audit.items()
        if where == [probe.site, probe.attack, probe.metric] and probe.protocol in (ANY, protocol)
    ]
    return tuple(found for row in rows if (found := seen(row, probe.chance)) is not None)


def table(scenario: Scenario, judged: Sequence[Judgement]) -> str:
    """Return the scenario's risk table as text: what was expected, what came, and whether that is right."""
    head = ("attack", "metric", "protocol", "main", "chance", "found", "expected", "")
    rows = [_cells(one) for one in judged if one.passed is not None]
    width = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [f"{scenario.name}: {scenario.planted}"]
    lines += [
        "  ".join(cell.ljust(w) for cell, w in zip(cells, width, strict=True)).rstrip()
        for cells in (head, *rows)
    ]
    reasons: dict[str, list[str]] = {}
    for one in judged:
        if one.passed is None:
            reasons.setdefault(one.expected, []).append(one.probe.attack)
    for reason, attacks in reasons.items():
        lines.append(f"not judged: {', '.join(dict.fromkeys(attacks))} ({reason})")
    return "\n".join(lines)


def _cells(one: Judgement) -> tuple[str, ...]:
    figures = [s.main for s in one.measured]
    low_high = f" ({min(figures):.2f} to {max(figures):.2f})" if len(figures) > 1 else ""
    main = f"{np.mean(figures):.2f}{low_high}" if figures else "not measured"
    chance = f"{np.mean([s.chance for s in one.measured]):.2f}" if figures else ""
    if one.expected == SILENT:
        found = f"{one.misses} of {len(figures)}"
        expected = f"silent: at most {allowed(len(figures))}" if figures else SILENT
    else:
        found, expected = f"{one.hits} of {len(figures)}", f"{FOUND}: at least {needed(len(figures))}"
    verdict = "ok" if one.passed else "WRONG"
    return one.probe.attack, one.probe.metric, one.probe.protocol, main, chance, found, expected, verdict
