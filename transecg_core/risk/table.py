"""From an attack's figure, or the reason for having none, to a row of the report."""

from __future__ import annotations

from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.estimate import Estimate
from transecg_core.risk.rows import RiskRow

CROSS_SITE = "cross-site"
"""Protocol of people enrolled at one site and probed at another."""


def measured(
    attack: Attack,
    where: tuple[str, str, str],
    found: Estimate,
    control: float | None,
    baseline: float | None,
    people: int,
    notes: tuple[str | None, ...],
    ceiling: float | None = None,
) -> RiskRow:
    """Return a row with a figure.

    Parameters
    ----------
    where
        Site (or pooled), protocol, metric.
    people
        People behind `found`.
    notes
        Joined with semicolons; None is left out.
    """
    site, protocol, metric = where
    return RiskRow(
        name=row_name(attack, protocol),
        kind=attack.kind,
        observer=attack.observer,
        auxiliary_data=attack.auxiliary_data,
        site=site,
        protocol=protocol,
        metric=metric,
        main=found.value,
        control=control,
        baseline=baseline,
        ci95=found.ci95,
        n_participants=people,
        ceiling=ceiling,
        notes="; ".join(note for note in notes if note),
    )


def blank(attack: Attack, where: tuple[str, str, str], reason: str) -> RiskRow:
    """Return a row that says why there is no figure."""
    site, protocol, metric = where
    return RiskRow(
        name=row_name(attack, protocol),
        kind=attack.kind,
        observer=attack.observer,
        auxiliary_data=attack.auxiliary_data,
        site=site,
        protocol=protocol,
        metric=metric,
        main=None,
        control=None,
        baseline=None,
        ci95=None,
        n_participants=0,
        ceiling=None,
        notes=f"not measurable: {reason}",
    )


def row_name(attack: Attack, protocol: str) -> str:
    """Return the attack's name, marked where it links people across sites."""
    return f"{CROSS_SITE} {attack.name}" if protocol == CROSS_SITE else attack.name
