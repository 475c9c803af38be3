"""C: the released encoder as a re-identifier of its own training people, against others.

The matching is that of `identification`; the evaluator takes members minus controls.
"""

from __future__ import annotations

from transecg_core.risk.attacks.attack import GALLERY_WORDS, RELEASED_MODEL, Attack
from transecg_core.risk.attacks.identification import run

LINKAGE_GAP = Attack(
    name="linkage-gap",
    kind="C",
    observer=RELEASED_MODEL,
    auxiliary_data=GALLERY_WORDS,
    artefacts=("gallery", "probes", "released-model"),
    measure="linkage-gap",
    run=run,
)
