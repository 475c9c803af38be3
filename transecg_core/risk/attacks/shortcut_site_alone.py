"""Shortcut: the site alone. What a guess reaches that knows nothing but where a record comes from."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import ANYBODY
from transecg_core.risk.attacks.beside import SHORTCUT, Beside


def _run(given: Given) -> np.ndarray:
    return (given.probes.site_Q[:, None] == given.gallery.site_G[None, :]).astype(np.float64)


SITE_ALONE = Beside(
    name=f"{SHORTCUT}site alone",
    kind="A",
    observer=ANYBODY,
    auxiliary_data="the site that the probe comes from",
    artefacts=("gallery", "probes"),
    measure="beside",
    run=_run,
    metrics=("rank-1",),
    conclusion="a guess among the people of the right site: rank-1 of one gallery of all sites means something "
    "only above it",
    told_site=True,
)
