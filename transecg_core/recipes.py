"""What a profile and a recipe decide for every option that is left at ``auto``."""

from __future__ import annotations

from dataclasses import dataclass

from transecg_core.names import PrivacyUnit, Trainable


@dataclass(frozen=True)
class ProfileSettings:
    """What a profile decides for every option left at ``auto``, and for the audit.

    ``audit_models`` counts the models that the audit trains of the run's own recipe.
    """

    num_server_rounds: int
    local_steps: int
    synthetic_participants: int
    bootstrap: int
    attribution_windows: int
    audit_models: int


@dataclass(frozen=True)
class Recipe:
    """How to train, where the options are left at ``auto``.

    Attributes
    ----------
    trainable
        Which parameters training may move.
    batch_size
        Windows per step; under privacy the expected number.
    windows_per_draw
        Windows that a drawn participant contributes to a step (participant unit only).
    learning_rate
        Peak AdamW step.
    steps_share
        Share of the profile's local steps that are taken: under privacy every step costs.
    ema
        Decay per round of the averaged model that is released; 0 releases the last one.
    """

    trainable: Trainable
    batch_size: int
    windows_per_draw: int
    learning_rate: float
    steps_share: float
    ema: float


FROM_SCRATCH = Recipe("full", 32, 4, 0.002, 1.0, 0.0)
"""From random weights, whatever the unit."""

PRETRAINED: dict[PrivacyUnit, Recipe] = {
    "none": Recipe("full", 32, 4, 0.002, 1.0, 0.0),
    "window": Recipe("bitfit", 256, 1, 0.02, 0.125, 0.8),
    "participant": Recipe("bitfit", 400, 8, 0.03, 0.05, 0.8),
}
"""From weights pretrained on synthetic people, by unit of privacy."""

PROFILES: dict[str, ProfileSettings] = {
    "quick": ProfileSettings(3, 20, 10, 200, 24, 0),
    "default": ProfileSettings(20, 40, 28, 1000, 200, 0),
    "full": ProfileSettings(30, 60, 28, 2000, 400, 16),
}
