"""Which components a map with one value per patch can tell from their neighbours."""

from __future__ import annotations

import numpy as np

from transecg_core.cohorts.schema import COMPONENTS

RESOLVED = 0.8
"""Share of its own relevance that a component must keep under a perfect map to be told from its neighbours.

At 20 ms patches every component of a usual beat keeps more (a PQ of 48 ms .86); at 40 ms PQ does not.
"""


def kept(component_BL: np.ndarray, patch: int) -> dict[str, float | None]:
    """Return component -> share of its relevance that stays in it under a perfect map per patch.

    A perfect map has all its relevance on the component's samples, evenly. A patch that reaches over an
    edge spreads its part over both sides: of n samples in a patch of p, n / p stay. Mean over the windows
    that have the component; None where none has. ``undefined`` is no component and left out.

    Parameters
    ----------
    component_BL
        Component code per sample.
    patch
        Samples per patch.
    """
    windows, length = component_BL.shape
    out: dict[str, float | None] = {}
    for code, name in enumerate(COMPONENTS):
        if name == "undefined":
            continue
        inside_BT = (component_BL == code).reshape(windows, length // patch, patch).sum(axis=2)
        samples_B = inside_BT.sum(axis=1)
        has_B = samples_B > 0
        share_B = (inside_BT**2).sum(axis=1)[has_B] / (patch * samples_B[has_B])
        out[name] = float(share_B.mean()) if has_B.any() else None
    return out


def unresolved(component_BL: np.ndarray, patch: int) -> tuple[str, ...]:
    """Return the components present that are too short for a claim at this patch, in order of the beat.

    ``component-occlusion`` replaces samples, not patches, and has no such limit.
    """
    return tuple(
        name for name, share in kept(component_BL, patch).items() if share is not None and share < RESOLVED
    )
