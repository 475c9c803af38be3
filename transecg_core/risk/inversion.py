"""Rebuilding heartbeats from updates: the closed form through the position embedding, and whom it names.

The encoder embeds token t of a window as ``W x_t + b + pos_t``. With ``delta_t`` the gradient of the loss at that
sum, ``d loss / d pos_t = delta_t`` and ``d loss / d W = sum_t delta_t x_t^T``: of one window's gradient
the second is a linear system for the tokens ``x_t`` whose matrix is the first. With at most as many tokens as
dimensions it has one solution, the window itself. Of several windows, steps or an adaptive
optimizer, what comes out is some mixture; how much of a person is left in it is measured here.
"""

from __future__ import annotations

import numpy as np

from transecg_core.risk.observed import State
from transecg_core.risk.rows import NotMeasurable
from transecg_core.training.local import SHIFT

POSITIONS, PROJECTION = "encoder.tokens.pos", "encoder.embed.weight"


def closed_form(positions_TD: np.ndarray, projection_DP: np.ndarray) -> np.ndarray:
    """Return the window (L,) that solves ``sum_t positions_t x_t^T = projection``, z-normed.

    Parameters
    ----------
    positions_TD
        Gradient (or change) of the position embedding, without the class token's.
    projection_DP
        The same of the patch projection.

    Raises
    ------
    NotMeasurable
        If there is no equation to solve: one of the two did not move, or is not finite.
    """
    for what, value in (("position embedding", positions_TD), ("patch projection", projection_DP)):
        if not np.isfinite(value).all():
            raise NotMeasurable(f"the change of the {what} is not finite")
        if not value.any():
            raise NotMeasurable(f"the {what} did not move: the closed form has no equation")
    x_TP = np.linalg.lstsq(positions_TD.T.astype(np.float64), projection_DP.astype(np.float64), rcond=None)[0]
    return z_normed(x_TP.reshape(1, -1))[0]


def rebuilt(before: State, after: State) -> np.ndarray:
    """Return the window (L,) that the closed form finds in an update.

    Raises
    ------
    NotMeasurable
        As `closed_form`; ``trainable=bitfit`` and ``head`` keep the patch projection still.
    """
    moved = [(after[name].double() - before[name].double()).numpy() for name in (POSITIONS, PROJECTION)]
    return closed_form(moved[0][0, 1:], moved[1])


def z_normed(x_NL: np.ndarray) -> np.ndarray:
    """Return rows of mean 0 and standard deviation 1; a constant row is all zero."""
    centred_NL = x_NL - x_NL.mean(axis=1, keepdims=True)
    std_N1 = centred_NL.std(axis=1, keepdims=True)
    return np.asarray(centred_NL / np.where(std_N1 > 1e-9, std_N1, np.inf))


def likeness(x_NL: np.ndarray, y_ML: np.ndarray, shift: int = SHIFT) -> np.ndarray:
    """Return the best correlation (N, M) of windows over shifts of up to +-`shift` samples.

    Training shifts every window at random by as much, so what is rebuilt is shifted too. The
    shifts' common part is compared: `shift` samples at either end of `y` are left out.
    """
    length = x_NL.shape[1]
    inner_ML = z_normed(y_ML[:, shift : length - shift])
    best_NM = np.full((len(x_NL), len(y_ML)), -1.0)
    for start in range(2 * shift + 1):
        part_NL = z_normed(x_NL[:, start : start + length - 2 * shift])
        np.maximum(best_NM, part_NL @ inner_ML.T / inner_ML.shape[1], out=best_NM)
    return np.clip(best_NM, -1.0, 1.0)
