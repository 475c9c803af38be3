"""B: gallery-probe matching on the released encoder's embeddings."""

from __future__ import annotations

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import GALLERY_WORDS, RELEASED_MODEL, Attack
from transecg_core.risk.matching import Cosines, cosines


def run(given: Given) -> Cosines:
    """Return the similarity of every query with every enrolled person, (Q, G)."""
    gallery, probes = given.gallery, given.probes
    embed = given.released_model.embed
    return cosines(embed(gallery.x_NL), embed(probes.x_NL), gallery, probes)


IDENTIFICATION = Attack(
    name="identification",
    kind="B",
    observer=RELEASED_MODEL,
    auxiliary_data=GALLERY_WORDS,
    artefacts=("gallery", "probes", "released-model"),
    measure="linkage",
    run=run,
)
