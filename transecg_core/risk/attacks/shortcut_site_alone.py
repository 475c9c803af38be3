"""Shortcut: the site alone. What a guess reaches that knows nothing but where a record comes from."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import ANYBODY
from transecg_core.risk.attacks.beside import SHORTCUT, Beside
from transecg_core.risk.matching import Cosines


def _run(given: Given) -> Cosines:
    site_Q, site_G = given.probes.site_Q, given.gallery.site_G
    one_SS = np.eye(int(max(site_G.max(), site_Q.max(initial=0))) + 1)
    return Cosines(one_SS[site_Q], one_SS[site_G])


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
