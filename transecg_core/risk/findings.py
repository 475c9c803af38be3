"""What an audit finds: rows of the risk table, and what a row can't hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from transecg_core.risk.rows import Kind, RiskRow

Group = Literal["member", "control", "neither", "everybody"]
"""Trained on, never trained on, trained on under some of their ids only; everybody where nobody can say."""
Points = tuple[float | None, ...]


@dataclass(frozen=True)
class Curve:
    """One figure of an attack as a function of something: rank, gallery size, round.

    Attributes
    ----------
    name
        Attack, as in the risk table.
    x
        Ascending (X,); `main`, `control`, `baseline`, `low` and `high` have its length, None where not measurable.
    main, control, baseline
        As in `RiskRow`; None where the whole curve is missing.
    low, high
        95 % interval of `main` over participants.
    n_participants
        People behind `main`.
    """

    name: str
    kind: Kind
    observer: str
    site: str
    protocol: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    main: Points
    control: Points | None
    baseline: Points | None
    low: Points | None
    high: Points | None
    n_participants: int
    notes: str

    def as_dict(self) -> dict[str, Any]:
        """Return the curve with exactly the keys of the report's ``risk_curves``."""
        return asdict(self)


@dataclass(frozen=True)
class PersonRisk:
    """What one participant risks; never leaves a local report.

    Attributes
    ----------
    participant
        Salted hash of the local id (`transecg_core.risk.codes`); ``people.csv`` beside a local report tells whose.
    protocol
        The hardest that this person has probes for; None without a probe.
    figures
        Name of a figure -> value, None where not measurable.
    """

    site: str
    participant: str
    group: Group
    protocol: str | None
    figures: Mapping[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        """Return the person with exactly the keys of the report's ``people_at_risk``."""
        return asdict(self)


@dataclass(frozen=True)
class GroupRisk:
    """How well the people of one group are identified: one line of the report's groups.

    Attributes
    ----------
    attribute, group
        What divides people, and one part of them: ``sex`` and ``F``.
    name, kind, observer, protocol, metric
        As in `RiskRow`; over all sites.
    main, control, ci95, n_participants
        As in `RiskRow`; `n_controls` people are behind `control`.
    baseline
        B: the best signal-only attack on the same people. A: the naive guess.
    """

    attribute: str
    group: str
    name: str
    kind: Kind
    observer: str
    protocol: str
    metric: str
    main: float | None
    control: float | None
    baseline: float | None
    ci95: tuple[float, float] | None
    n_participants: int
    n_controls: int
    notes: str

    def as_dict(self) -> dict[str, Any]:
        """Return the group with exactly the keys of the report's ``risk_groups``."""
        row = asdict(self)
        row["ci95"] = None if self.ci95 is None else list(self.ci95)
        return row


@dataclass(frozen=True)
class Rebuilt:
    """A beat that an attack rebuilt from an update, beside the true one: the picture of inversion.

    Attributes
    ----------
    setting
        What the update was: local steps, optimizer, people, noise.
    true_L, rebuilt_L
        Samples at 250 Hz, z-normed (L).
    correlation
        Between the two.
    """

    setting: str
    true_L: tuple[float, ...]
    rebuilt_L: tuple[float, ...]
    correlation: float

    def as_dict(self) -> dict[str, Any]:
        """Return the pair with exactly the keys of the report's ``rebuilt_beats``."""
        return asdict(self)


@dataclass(frozen=True)
class Findings:
    """Everything that one attack, or a whole audit, found."""

    rows: list[RiskRow]
    curves: tuple[Curve, ...] = ()
    people: tuple[PersonRisk, ...] = ()
    rebuilt: tuple[Rebuilt, ...] = ()
    groups: tuple[GroupRisk, ...] = ()


def together(parts: Iterable[Findings]) -> Findings:
    """Return the findings of several attacks as one, in their order."""
    parts = list(parts)
    return Findings(
        [row for part in parts for row in part.rows],
        tuple(curve for part in parts for curve in part.curves),
        tuple(person for part in parts for person in part.people),
        tuple(pair for part in parts for pair in part.rebuilt),
        tuple(group for part in parts for group in part.groups),
    )
