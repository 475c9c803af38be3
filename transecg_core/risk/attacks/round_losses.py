"""C: their site's update lowers a member's loss, more than the other sites' updates do."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import SERVER, TARGETS_WORDS, Attack
from transecg_core.risk.rounds import against_others


def run(given: Given) -> np.ndarray:
    """Return per target and round (T, R) how far the loss fell by the own update, against the others'."""
    targets = given.targets
    return against_others(*given.site_updates.scores("loss", targets), targets.site_T)


ROUND_LOSSES = Attack(
    name="round-losses",
    kind="C",
    observer=SERVER,
    auxiliary_data=TARGETS_WORDS,
    artefacts=("targets", "site-updates"),
    measure="round-membership",
    run=run,
)
