"""A: the weights that training started from, pretrained on synthetic people: what training on nobody here gives."""

from __future__ import annotations

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import ANYBODY, GALLERY_WORDS, Attack
from transecg_core.risk.matching import Cosines, cosines


def _run(given: Given) -> Cosines:
    gallery, probes, embed = given.gallery, given.probes, given.start.embed
    return cosines(embed(gallery.x_NL), embed(probes.x_NL), gallery, probes)


PRETRAINED_START = Attack(
    name="pretrained-start",
    kind="A",
    observer=ANYBODY,
    auxiliary_data=f"{GALLERY_WORDS}; the public weights that training started from",
    artefacts=("gallery", "probes", "start"),
    measure="linkage",
    run=_run,
)
