"""C: the window that the closed form finds in one client's update."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import SERVER, Attack
from transecg_core.risk.inversion import rebuilt


def run(given: Given) -> np.ndarray:
    """Return the window (L,) rebuilt from the update."""
    return rebuilt(*given.client_update)


CLIENT_INVERSION = Attack(
    name="client-inversion",
    kind="C",
    observer=SERVER,
    auxiliary_data="other recordings of all enrolled people, to compare with what was rebuilt",
    artefacts=("client-update",),
    measure="inversion-study",
    run=run,
)
