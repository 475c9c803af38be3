"""What the coordinator knows about a run when training ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from transecg_core.config import RunConfig
from transecg_core.privacy.account import RawMechanism
from transecg_core.risk.observed import Observed


@dataclass(frozen=True)
class SiteAccount:
    """What one site did over the rounds.

    Attributes
    ----------
    mechanisms
        One (q, sigma, steps) per round that the site was *asked* for, accepted or not: a late or
        refused update was charged and seen all the same. Empty without privacy.
    accepted
        Rounds whose update entered the sum.
    lifetime
        (person epsilon, charges) of an institution's ledger, as the site last told it.
    """

    mechanisms: tuple[RawMechanism, ...] = ()
    accepted: int = 0
    lifetime: tuple[float, int] | None = None


@dataclass(frozen=True)
class RunRecord:
    """What the coordinator knows when training ends.

    ``described`` is each site's own ``data.sites`` row; ``rounds`` the report's training log; ``tasks`` those
    that some site trained, of the run's (the heads of others are as they were initialised). A model
    from elsewhere (`transecg_core.external`) comes without rounds and accounts, and with the
    ``command`` that audits it. ``start`` holds the pretrained weights that round 1 started from; None
    where they were random. ``observed`` holds what observers of the rounds saw; None outside a simulation.
    ``at_sites`` holds the report's ``attribution_at_sites`` rows, as the sites sent them and checked.
    """

    cfg: RunConfig
    engine: str
    rounds: list[dict[str, Any]]
    accounts: Mapping[str, SiteAccount]
    described: Mapping[str, dict[str, Any]]
    tasks: tuple[str, ...]
    command: str | None = None
    start: Mapping[str, Tensor] | None = None
    observed: Observed | None = None
    at_sites: tuple[Mapping[str, Any], ...] = ()

    @property
    def elsewhere(self) -> bool:
        """Whether the model was trained elsewhere."""
        return self.command is not None
