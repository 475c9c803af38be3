"""Attacks that are read beside identification: shortcuts it may have taken, and an attacker who adapts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.standing import Scores

SHORTCUT = "shortcut: "
"""Names of shortcut tests start with it: they are no floor and no attack of their own."""


@dataclass(frozen=True)
class Beside(Attack):
    """An attack whose figures explain identification's; pooled over sites only.

    Attributes
    ----------
    metrics
        Of ``rank-1`` and ``EER``.
    conclusion
        What a reader may conclude from the row.
    reference
        What ``gain`` is measured against, from the same artefacts; None without such a row.
    gain
        Metric of the paired difference in rank-1 to the reference.
    own_site
        Whether a query competes with people of its own site only.
    told_site
        Whether the attack knows the site and nothing else: its baseline is a guess among everybody.
    cross_site
        Whether the attack is also asked about people known at two sites.
    """

    metrics: tuple[str, ...] = ("rank-1", "EER")
    conclusion: str = ""
    reference: Callable[[Given], Scores] | None = None
    gain: str = ""
    own_site: bool = False
    told_site: bool = False
    cross_site: bool = False
