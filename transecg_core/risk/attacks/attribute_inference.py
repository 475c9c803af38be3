"""B: sex and age band of people from the embeddings of their recordings."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import RELEASED_MODEL
from transecg_core.risk.attacks.probe import Inference, Trait, infer


def _run(given: Given) -> np.ndarray:
    return infer(given, centre=True)


def _inference(trait: Trait, words: str) -> Inference:
    return Inference(
        name=f"{trait} inference",
        kind="B",
        observer=RELEASED_MODEL,
        auxiliary_data=f"recordings of other people of the same sites whose {words} is known, and an unidentified "
        "record",
        artefacts=("gallery", "probes", "known-labels", "released-model"),
        measure="inference",
        run=_run,
        trait=trait,
    )


SEX_INFERENCE = _inference("sex", "sex")
AGE_INFERENCE = _inference("age", "age band")
