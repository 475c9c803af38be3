"""What a site says about its data: the report's ``data.sites`` row."""

from __future__ import annotations

from typing import Any

import numpy as np

from transecg_core.sites import Site
from transecg_core.splits.duplicates import near_duplicates

SMALL_CELL = 10
"""Groups of fewer people or records are suppressed in the shareable edition."""


def describe_site(site: Site, *, shareable: bool, private: bool = False) -> dict[str, Any]:
    """Return the ``data.sites`` row of the report.

    Parameters
    ----------
    shareable
        Suppress counts under `SMALL_CELL`; the default outside simulations.
    private
        A guarantee is claimed: a shareable row then says the declared size of the roster, which
        depends on nobody's data, in the place of counted people.
    """
    data, windows = site.data, site.data.windows
    sessions = {(record.participant, record.session) for record in windows.records}
    counts = {
        "participants": len(data.person_P),
        "trained_on": int(np.count_nonzero(data.member_P)),
        "records": len(windows.records),
        "sessions": len(sessions),
        "windows": len(windows),
    }
    if not shareable:
        return {"name": data.name, **counts, "skipped": dict(windows.skipped)}
    shown: dict[str, int | None] = {what: n if n >= SMALL_CELL else None for what, n in counts.items()}
    if private:
        shown |= {"participants": site.people, "trained_on": site.people}
    if not private:  # a count of recordings: withheld under a guarantee, like the others
        pairs = len(near_duplicates([(data.name, windows)]))
        shown |= {"duplicates": pairs if pairs >= SMALL_CELL else None}
    skipped = {reason: count for reason, count in windows.skipped.items() if count >= SMALL_CELL}
    return {"name": data.name, **shown, "skipped": skipped}
