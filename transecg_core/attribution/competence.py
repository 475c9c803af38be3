"""Whether a model has learned a task at all: without that there is nothing to explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from transecg_core.attribution.embedding import embed
from transecg_core.attribution.intervals import Estimate, mean_over_people
from transecg_core.attribution.similarity import Identification
from transecg_core.model.heads import SiteModel
from transecg_core.risk.balanced import balanced_accuracy
from transecg_core.risk.rows import NotMeasurable


@dataclass(frozen=True)
class Competence:
    """Whether the model has learned a task on the audit cohort; without it there is nothing to explain."""

    learned: bool
    sentence: str


def class_competence(
    model: SiteModel,
    task: str,
    x_BL: np.ndarray,
    class_B: np.ndarray,
    person_B: np.ndarray,
    resamples: int,
    seed: int,
) -> Competence:
    """Compare the balanced accuracy of a shared head with chance, one in the number of classes present."""
    with torch.no_grad():
        predicted_B = model.heads[task](embed(model.encoder, x_BL)).argmax(dim=1).numpy()
    try:
        found = balanced_accuracy(class_B, predicted_B, person_B, resamples, seed)
    except NotMeasurable as reason:
        return Competence(False, f"balanced accuracy not measurable in the audit cohort: {reason}")
    estimate = Estimate(found.value, *found.ci95)
    chance = 1.0 / len(np.unique(class_B))
    text = f"balanced accuracy {estimate} against {chance:.2f} by guessing"
    learned = estimate.low > chance
    return Competence(learned, text if learned else f"the model is near chance: {text}")


def identification_competence(
    trained: Identification, untrained: Identification, person_B: np.ndarray, resamples: int, seed: int
) -> Competence:
    """Compare identification with the same architecture untrained, on the same probes.

    Not with chance: any encoder, also an untrained one, passes on what the signal itself gives away,
    and a map of that would explain the signal and not the model.
    """
    rows = trained.usable_B
    above = mean_over_people(trained.above_B[rows], person_B[rows], resamples, seed)
    gain = mean_over_people((trained.above_B - untrained.above_B)[rows], person_B[rows], resamples, seed)
    text = f"own template beats {above.value:.2f} of the others, {gain} more than in an untrained encoder"
    learned = gain.low > 0
    return Competence(learned, text if learned else f"identifies no better than an untrained encoder: {text}")
