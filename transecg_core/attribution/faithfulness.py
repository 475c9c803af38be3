"""Does a map say what the model uses? Insertion minus deletion, and a re-initialised model.

*Insertion* starts from the mean training beat and puts the window's own patches back, the most
relevant first; *deletion* starts from the window and replaces its patches by the mean training
beat, the most relevant first. A map that finds what the model uses makes the model confident
early and unsure early. The difference of the two areas has expectation 0 under a random order
(at the same fraction both keep an equally random set), and is compared with drawn random orders.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.stats import rankdata

from transecg_core.attribution.relevance import embed
from transecg_core.attribution.targets import Target
from transecg_core.model.encoder import Encoder

STEPS = 6
"""Equal steps of the curves from none to all patches."""


def relevance_order(token_BT: np.ndarray, seed: int) -> np.ndarray:
    """Return each token's place, 0 the most relevant, (B, T); ties are broken at random.

    Without random tie-breaking, a map of zeros would inherit an order from time.
    """
    rng = np.random.default_rng(seed)
    order_BT = np.lexsort((rng.random(token_BT.shape), -token_BT.astype(np.float64)), axis=1)
    place_BT = np.empty_like(order_BT)
    np.put_along_axis(place_BT, order_BT, np.arange(token_BT.shape[1])[None], axis=1)
    return place_BT


def insertion_minus_deletion(
    encoder: Encoder,
    x_BL: np.ndarray,
    fill_BL: np.ndarray,
    place_BT: np.ndarray,
    targets: Mapping[str, Target],
) -> dict[str, np.ndarray]:
    """Return name -> area under insertion minus area under deletion per window, (B,).

    Parameters
    ----------
    fill_BL
        What takes a patch's place: the mean training beat of each window's site.
    place_BT
        From `relevance_order`.
    targets
        Whose `confidence` the curves follow; made for these windows.
    """
    batch, length = x_BL.shape
    tokens = place_BT.shape[1]
    cuts = np.unique(np.round(np.linspace(0, tokens, STEPS + 1)).astype(int))[1:-1]
    mixed = []
    for cut in cuts:
        first_BL = np.repeat(place_BT < cut, length // tokens, axis=1)
        mixed += [np.where(first_BL, x_BL, fill_BL), np.where(first_BL, fill_BL, x_BL)]
    z_MD = embed(encoder, np.concatenate(mixed).astype(np.float32))
    row_M = torch.arange(batch).repeat(2 * len(cuts))
    # The end points (all of the window, all of the fill) are equal in both areas and cancel.
    width = 1.0 / (len(cuts) + 1)
    areas = {}
    with torch.no_grad():
        for name, target in targets.items():
            curve = target.confidence(z_MD, row_M).reshape(len(cuts), 2, batch).double().numpy()
            areas[name] = width * (curve[:, 0] - curve[:, 1]).sum(axis=0)
    return areas


def rank_correlation(one_BT: np.ndarray, other_BT: np.ndarray) -> float | None:
    """Return the mean over windows of Spearman's correlation; None where no window has one.

    With the map of a re-initialised model: near 1 means that the map shows the input, not the model.
    """
    one = rankdata(one_BT, axis=1) - (one_BT.shape[1] + 1) / 2
    other = rankdata(other_BT, axis=1) - (other_BT.shape[1] + 1) / 2
    norm_B = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    defined_B = norm_B > 0
    if not defined_B.any():
        return None
    return float(((one * other).sum(axis=1)[defined_B] / norm_B[defined_B]).mean())
