"""B: the site that a record comes from, from its embedding."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import RELEASED_MODEL
from transecg_core.risk.attacks.probe import Inference, infer


def _run(given: Given) -> np.ndarray:
    return infer(given, centre=False)


SOURCE_SITE = Inference(
    name="source-site inference",
    kind="B",
    observer=RELEASED_MODEL,
    auxiliary_data="recordings of other people of every site, and an unidentified record",
    artefacts=("gallery", "probes", "known-labels", "released-model"),
    measure="inference",
    run=_run,
    trait="site",
)
