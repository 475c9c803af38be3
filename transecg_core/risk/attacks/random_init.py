"""A: the untrained encoder. What any embedding of this shape keeps of the signal."""

from __future__ import annotations

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import ANYBODY, GALLERY_WORDS, Attack
from transecg_core.risk.matching import Cosines, cosines


def _run(given: Given) -> Cosines:
    gallery, probes = given.gallery, given.probes
    embed = given.architecture.embed
    return cosines(embed(gallery.x_NL), embed(probes.x_NL), gallery, probes)


RANDOM_INIT = Attack(
    name="random-init",
    kind="A",
    observer=ANYBODY,
    auxiliary_data=f"{GALLERY_WORDS}; the public architecture with random weights",
    artefacts=("gallery", "probes", "architecture"),
    measure="linkage",
    run=_run,
)
