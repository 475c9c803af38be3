"""The most that any attack on training membership can reach, given what was charged.

A ceiling bounds kind C (training leakage) only. It says nothing about signal linkability or
model capability, which a guarantee on training data does not touch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transecg_core.privacy.accounting import Charges, trade_off


@dataclass(frozen=True)
class CeilingCurve:
    """Largest true positive rate of a membership test by its false positive rate, for one person.

    Attributes
    ----------
    fpr
        Ascending from 0 to 1 (G,).
    tpr_max
        1 - f(fpr) with f the weaker of the add and the remove trade-off curve (G,).
    """

    fpr: np.ndarray
    tpr_max: np.ndarray

    def tpr_at(self, fpr: float) -> float:
        """Return the ceiling on TPR at one FPR; between grid points the larger neighbour."""
        if not 0 <= fpr <= 1:
            raise ValueError(f"false positive rate {fpr} is not in [0, 1]")
        return float(self.tpr_max[int(np.searchsorted(self.fpr, fpr))])

    def auc(self) -> float:
        """Return the ceiling on the area under the ROC curve (upper Riemann sum)."""
        return float(np.sum(np.diff(self.fpr) * self.tpr_max[1:]))

    def advantage(self) -> float:
        """Return the ceiling on TPR - FPR, and so on any member-minus-control gap of a [0, 1] score."""
        # The maximum lies between two grid points at worst: pair each ceiling with the FPR before it.
        return float(np.max(self.tpr_max[1:] - self.fpr[:-1]))

    def success(self, prior: float) -> float:
        """Return the ceiling on inverting a person's data, with `prior` the best guess without the model."""
        return self.tpr_at(prior)


def ceiling(mech_steps: Charges) -> CeilingCurve:
    """Return the person-level ceilings of a run (or of a lifetime: pass all charges)."""
    fpr = np.concatenate([[0.0], np.geomspace(1e-6, 1e-3, 100, endpoint=False), np.linspace(1e-3, 1.0, 1999)])
    return CeilingCurve(fpr, 1 - trade_off(mech_steps, fpr))
