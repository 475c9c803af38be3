"""What the privacy guarantee allows an attack on several people, some of them at several sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transecg_core.privacy.ceilings import CeilingCurve


def combined_ceiling(curves: Sequence[CeilingCurve], uncovered: float) -> CeilingCurve | None:
    """Return a ceiling on the average ROC over people of several sites.

    Per person TPR <= g(FPR) with g concave; averaged over people the same holds with the
    concave hull of the sites' curves. For a share `uncovered` of people (present at two
    sites, or trained on under two ids, whose exposure is the composition of both) nothing is assumed: they may be
    detected always and use no false positives, which leaves
    ``(1 - u) g(FPR / (1 - u)) + u``.

    Parameters
    ----------
    curves
        One per site, or none without a guarantee.
    uncovered
        Share of people outside any one site's curve.
    """
    if not curves or uncovered >= 1:
        return None
    fpr = np.unique(np.concatenate([curve.fpr for curve in curves]))
    top = np.max([_up(curve, fpr) for curve in curves], axis=0)
    hull = replace(curves[0], fpr=fpr, tpr_max=_concave_hull(fpr, top) if len(curves) > 1 else top)
    stretched = _up(hull, np.minimum(1.0, fpr / (1 - uncovered)))
    return replace(hull, tpr_max=(1 - uncovered) * stretched + uncovered)


def _up(curve: CeilingCurve, fpr: np.ndarray) -> np.ndarray:
    """Return the curve at `fpr`, between grid points the larger neighbour: never below the truth."""
    return np.asarray(curve.tpr_max[np.searchsorted(curve.fpr, fpr)])


def _concave_hull(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the least concave function above the points, at `x` (ascending)."""
    kept: list[int] = []
    for i in range(len(x)):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (y[b] - y[a]) * (x[i] - x[a]) > (y[i] - y[a]) * (x[b] - x[a]):
                break
            kept.pop()
        kept.append(i)
    return np.interp(x, x[kept], y[kept])
