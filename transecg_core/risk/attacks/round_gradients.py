"""C: a member's gradient points where their site's update went, more than where the other sites' went."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import SERVER, TARGETS_WORDS, Attack
from transecg_core.risk.rounds import against_others


def run(given: Given) -> np.ndarray:
    """Return per target and round (T, R) the cosine of gradient and own update, against the others'."""
    targets = given.targets
    return against_others(*given.site_updates.scores("gradient", targets), targets.site_T)


ROUND_GRADIENTS = Attack(
    name="round-gradients",
    kind="C",
    observer=SERVER,
    auxiliary_data=TARGETS_WORDS,
    artefacts=("targets", "site-updates"),
    measure="round-membership",
    run=run,
)
