"""One line of the risk table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["A", "B", "C"]
POOLED = "pooled"


class NotMeasurable(Exception):
    """Raised by an attack that the data can't carry; the message is the reason."""


@dataclass(frozen=True)
class RiskRow:
    """Main, control and baseline of one attack under one protocol at one site (or pooled).

    Attributes
    ----------
    kind
        A signal linkability, B model capability, C training leakage. Never added up.
    main
        A: the attack on everybody. B: on members. C: telling members from controls (people
        never trained on). None is "not measured", and `notes` says why.
    control
        A: none. B: the same on people never trained on. C: the same attack where nothing
        was trained on the person: on an untrained model; of rounds, on round 1 without their site;
        of update-inversion, on the other sites' updates; of client-inversion, on the next client's
        update. `notes` says which.
    baseline
        A and C: the naive guess. B: the untrained encoder on the same people; of a gain over a
        reference, no gain (0).
    ci95
        Of `main`, over participants.
    n_participants
        People behind `main` and `ci95`. A: everybody. B: members. C: members and controls.
    ceiling
        The largest `main` that the privacy guarantee allows; None where none holds.
    """

    name: str
    kind: Kind
    observer: str
    auxiliary_data: str
    site: str
    protocol: str
    metric: str
    main: float | None
    control: float | None
    baseline: float | None
    ci95: tuple[float, float] | None
    n_participants: int
    ceiling: float | None
    notes: str

    def as_dict(self) -> dict[str, Any]:
        """Return the row with exactly the keys of the report's ``risks`` table."""
        row = asdict(self)
        row["ci95"] = None if self.ci95 is None else list(self.ci95)
        return row
