"""C: a member's gradient points where the global weights went."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import OTHER_SITE, TARGETS_WORDS, Attack
from transecg_core.risk.rounds import comparable


def run(given: Given) -> np.ndarray:
    """Return per target and round (T, R) the cosine of gradient and change of the global weights."""
    targets = given.targets
    return comparable(given.global_rounds.scores("gradient", targets), targets.site_T)


GLOBAL_GRADIENTS = Attack(
    name="global-gradients",
    kind="C",
    observer=OTHER_SITE,
    auxiliary_data=TARGETS_WORDS,
    artefacts=("targets", "global-rounds"),
    measure="round-membership",
    run=run,
)
