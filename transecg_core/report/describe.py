"""What a site says about its data: the report's ``data.sites`` row."""

from __future__ import annotations

from typing import Any

import numpy as np

from transecg_core.risk.context import AuditSite

SMALL_CELL = 10
"""Groups of fewer people or records are suppressed in the shareable edition."""


def describe_site(site: AuditSite, *, shareable: bool) -> dict[str, Any]:
    """Return the ``data.sites`` row of design section 11.

    Parameters
    ----------
    shareable
        Suppress counts under `SMALL_CELL`; the default outside simulations.
    """
    windows = site.windows
    sessions = {(record.participant, record.session) for record in windows.records}
    skipped = dict(windows.skipped)
    if shareable:
        skipped = {reason: count for reason, count in skipped.items() if count >= SMALL_CELL}
    return {
        "name": site.name,
        "participants": len(site.person_P),
        "trained_on": int(np.count_nonzero(site.member_P)),
        "records": len(windows.records),
        "sessions": len(sessions),
        "windows": len(windows),
        "skipped": skipped,
    }
