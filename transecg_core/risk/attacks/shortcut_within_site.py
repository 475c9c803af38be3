"""Shortcut: identification among the people of one site, where telling sites apart is worth nothing."""

from __future__ import annotations

from transecg_core.risk.attacks.attack import GALLERY_WORDS, RELEASED_MODEL
from transecg_core.risk.attacks.beside import SHORTCUT, Beside
from transecg_core.risk.attacks.identification import run

WITHIN_SITE = Beside(
    name=f"{SHORTCUT}within-site identification",
    kind="B",
    observer=RELEASED_MODEL,
    auxiliary_data=GALLERY_WORDS,
    artefacts=("gallery", "probes", "released-model"),
    measure="beside",
    run=run,
    metrics=("rank-1",),
    conclusion="if this were near its chance while identification is high, identification would be telling sites "
    "apart",
    own_site=True,
)
