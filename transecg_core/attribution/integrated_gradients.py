"""Integrated gradients by captum, from other people's windows.

The baseline decides the question. From zero the path leads through beats that no heart makes. From the
mean training beat it ends where insertion and deletion start, so that the map would be judged by its own
yardstick. So the baselines are the same other people's windows that occlusion fills with: "what makes this
window this person's and not somebody else's?". The mean over random baselines is known as expected
gradients (Erion et al. 2021, "Improving performance of deep learning models with axiomatic attribution
priors and expected gradients").
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from transecg_core.attribution.embedding import CHUNK, chunks, class_token, evaluating
from transecg_core.attribution.targets import Target
from transecg_core.model.encoder import Encoder

STEPS = 8
"""Points of the Gauss-Legendre rule on the path from each baseline; captum chooses where."""


def integrated_gradients(
    encoder: Encoder, x_BL: np.ndarray, fill_KBL: np.ndarray, target: Target
) -> np.ndarray:
    """Return each sample's part in the score's rise from a baseline to the window, float32 (B, L).

    Attributions of a window add up to its score less the baseline's (completeness), but for the error of
    the integral. Source: Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks".

    Parameters
    ----------
    fill_KBL
        K baselines per window; the attribution is averaged over them.
    """
    # captum takes long to import, and only this method needs it.
    from captum.attr import IntegratedGradients

    def score(x_ML: Tensor, row_M: Tensor) -> Tensor:
        return target.score(class_token(encoder, x_ML), row_M)

    explainer = IntegratedGradients(score)
    size = max(1, CHUNK // STEPS)
    total_BL = np.zeros(x_BL.shape)
    for fill_BL in fill_KBL:
        found = []
        start = 0
        for part, base in zip(chunks(x_BL, size), chunks(fill_BL, size), strict=True):
            row_M = torch.arange(start, start + len(part))
            start += len(part)
            with torch.enable_grad(), evaluating(encoder):
                found.append(
                    explainer.attribute(
                        part,
                        baselines=base,
                        additional_forward_args=(row_M,),
                        n_steps=STEPS,
                        method="gausslegendre",
                    )
                )
        total_BL += torch.cat(found).detach().double().numpy() / len(fill_KBL)
    return total_BL.astype(np.float32)
