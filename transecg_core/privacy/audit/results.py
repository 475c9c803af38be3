"""What the audits say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scipy import stats

_CHANCE = 1e-3

Instrument = Literal["mechanism", "crowd", "recount", "canaries"]


@dataclass(frozen=True)
class Claim:
    """One claim under one instrument.

    Attributes
    ----------
    setting
        What was run.
    lower_bound
        Epsilon that the code exceeds, with the instrument's confidence.
    max_attainable
        The largest lower bound that this audit could have found, had it guessed everything right;
        None where there is no such limit.
    problems
        Contradictions other than a bound above the claim.
    notes
        What was found and contradicts nothing.
    """

    instrument: Instrument
    setting: str
    claimed: float
    lower_bound: float
    max_attainable: float | None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the claim survived; says little where `power` is False."""
        return self.lower_bound <= self.claimed and not self.problems

    @property
    def power(self) -> bool:
        """Whether the audit could have contradicted the claim at all."""
        return self.max_attainable is None or self.max_attainable > self.claimed


@dataclass(frozen=True)
class Control:
    """Deliberately broken code under an instrument that must catch it, at each of `seeds` seeds."""

    instrument: Instrument
    name: str
    caught_seeds: int
    seeds: int

    @property
    def caught(self) -> bool:
        """Whether every seed caught it."""
        return self.caught_seeds == self.seeds


@dataclass(frozen=True)
class FalseAlarms:
    """How often the right code was accused; `allowed` is the rate that the confidence permits at most."""

    instrument: Instrument
    alarms: int
    seeds: int
    allowed: float

    @property
    def too_many(self) -> bool:
        """Whether right code would be accused so often less than once in a thousand audits."""
        return bool(stats.binom.sf(self.alarms - 1, self.seeds, self.allowed) < _CHANCE)


@dataclass(frozen=True)
class Findings:
    """Everything that one run of the audit found."""

    claims: tuple[Claim, ...]
    controls: tuple[Control, ...]
    false_alarms: tuple[FalseAlarms, ...]

    @property
    def passed(self) -> bool:
        """Whether every claim holds, every control was caught, and alarms are no more than chance."""
        held = all(c.holds for c in self.claims) and all(c.caught for c in self.controls)
        return held and not any(f.too_many for f in self.false_alarms)
