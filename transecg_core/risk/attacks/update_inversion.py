"""C: a window rebuilt from a site's update by the closed form, compared with enrolled people's beats."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import SERVER, Attack
from transecg_core.risk.inversion import likeness, rebuilt
from transecg_core.risk.matching import group_means


def run(given: Given) -> np.ndarray:
    """Return the likeness (R, S, G) of what each round's update of each site gives with each enrolled person.

    NaN where a site was absent.
    """
    gallery, seen = given.gallery, given.site_updates
    mean_GL = group_means(gallery.x_NL, gallery.entry_N, len(gallery.site_G))
    out_RSG = np.full((len(seen.rounds), len(seen.site_names), len(mean_GL)), np.nan)
    for r, one in enumerate(seen.rounds):
        for s, site in enumerate(seen.site_names):
            if site in one.updates:
                window_L = rebuilt(one.before, one.updates[site])
                out_RSG[r, s] = likeness(window_L[None], mean_GL)[0]
    return out_RSG


UPDATE_INVERSION = Attack(
    name="update-inversion",
    kind="C",
    observer=SERVER,
    auxiliary_data="identified windows of every site's people, to compare with what was rebuilt",
    artefacts=("gallery", "site-updates"),
    measure="inversion",
    run=run,
)
