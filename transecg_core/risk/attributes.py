"""Sex and age band, as an attacker may know them of enrolled people and of a probe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transecg_core.cohorts.schema import UNKNOWN, age_band
from transecg_core.risk.cases import Case
from transecg_core.risk.context import AuditContext
from transecg_core.training.local import MISSING

SEXES = ("F", "M")


@dataclass(frozen=True)
class Attributes:
    """Sex and age band of each enrolled person (G) and of whoever each query is of (Q), `MISSING` where not known."""

    sex_G: np.ndarray
    sex_Q: np.ndarray
    age_G: np.ndarray
    age_Q: np.ndarray


def attributes_of(ctx: AuditContext, case: Case) -> Attributes:
    """Return sex and age band of each enrolled person and of whoever each query is of."""
    gallery, probes = case.gallery, case.probes
    first_G = np.unique(gallery.entry_N, return_index=True)[1]
    first_Q = np.unique(probes.query_N, return_index=True)[1]
    enrolled = _codes(ctx, gallery.site_G, case.gallery_row_N[first_G])
    asked = _codes(ctx, probes.site_Q, case.probe_row_N[first_Q])
    return Attributes(enrolled[0], asked[0], enrolled[1], asked[1])


def _codes(ctx: AuditContext, site_I: np.ndarray, row_I: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sex, age = [], []
    for site, row in zip(site_I, row_I, strict=True):
        windows = ctx.sites[site].windows
        info = windows.records[int(windows.record_N[row])]
        band = age_band(info.age)
        sex.append(SEXES.index(info.sex) if info.sex in SEXES else MISSING)
        age.append(MISSING if band == UNKNOWN else band)
    return np.array(sex, dtype=np.int64), np.array(age, dtype=np.int64)
