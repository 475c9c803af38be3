"""B: some probes are of people whom nobody enrolled: who is named, and who wrongly.

The matching is `identification`'s on a gallery of half the people; the evaluator (`risk.open_world`)
chooses the threshold above which the best match counts as somebody, on other people.
"""

from __future__ import annotations

from transecg_core.risk.attacks.attack import GALLERY_WORDS, RELEASED_MODEL, Attack
from transecg_core.risk.attacks.identification import run

OPEN_WORLD = Attack(
    name="open-world",
    kind="B",
    observer=RELEASED_MODEL,
    auxiliary_data=f"{GALLERY_WORDS} of somebody who may not be among them; probes of other people, to set a threshold",
    artefacts=("gallery", "probes", "released-model"),
    measure="open-world",
    run=run,
)
