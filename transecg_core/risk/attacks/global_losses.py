"""C: a round lowers a member's loss under the global weights, more than other people's."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import OTHER_SITE, TARGETS_WORDS, Attack
from transecg_core.risk.rounds import comparable


def run(given: Given) -> np.ndarray:
    """Return per target and round (T, R) how far the loss fell under the global weights."""
    targets = given.targets
    return comparable(given.global_rounds.scores("loss", targets), targets.site_T)


GLOBAL_LOSSES = Attack(
    name="global-losses",
    kind="C",
    observer=OTHER_SITE,
    auxiliary_data=TARGETS_WORDS,
    artefacts=("targets", "global-rounds"),
    measure="round-membership",
    run=run,
)
