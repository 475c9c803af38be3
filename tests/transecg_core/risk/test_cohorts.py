"""The audit on recordings: a small synthetic federation, and ECG-ID's floors."""

from __future__ import annotations

import numpy as np
import pytest

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.synthetic import open_site
from transecg_core.model.heads import new_site_model
from transecg_core.risk.audit import audit
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.signals.cache import cached_windows
from transecg_core.signals.windows import build_windows
from transecg_core.splits.membership import members
from transecg_core.splits.protocols import split

TASKS = ("sex", "age", "beat", "diagnosis")


def context(sources, windows, protocol: str, seed: int) -> AuditContext:
    sites = tuple(
        AuditSite(
            source.name,
            table,
            split(table, protocol, seed),
            tuple(source.person(p) for p in table.participants),
            members(source.person, table.participants, "halves", seed),
        )
        for source, table in zip(sources, windows, strict=True)
    )
    model, fresh = new_site_model(10, TASKS, 1), new_site_model(10, TASKS, 2)
    return AuditContext(sites, model, fresh, TASKS, True, 200, seed, 0, None)


def one(rows, name, metric, protocol, site="pooled"):
    (row,) = [r for r in rows if (r.name, r.metric, r.protocol, r.site) == (name, metric, protocol, site)]
    return row


def test_an_untrained_model_on_synthetic_people_leaks_nothing_and_signals_identify():
    sources = [open_site(name, 10, 4) for name in ("synth-a", "synth-b")]
    rows = audit(context(sources, [build_windows(source) for source in sources], "auto", 4)).rows
    linked = {row.protocol for row in rows if row.name.endswith("identification")}
    assert linked == {"other-record", "other-session", "cross-site"}
    assert {row.protocol for row in rows if row.name == "embedding-consistency"} == {"independent-coins"}
    chance = 1 / 20
    for protocol in ("other-record", "other-session"):
        assert one(rows, "raw-correlation", "rank-1", protocol).main > 5 * chance
        assert one(rows, "random-init", "rank-1", protocol).main > chance
        raw = one(rows, "raw-correlation", "EER", protocol)
        assert raw.main < one(rows, "random-init", "EER", protocol).main < 0.5
    leakage = [row for row in rows if row.kind == "C" and row.main is not None]
    assert leakage
    for row in leakage:
        assert row.ci95[0] <= row.baseline <= row.ci95[1], row


@pytest.mark.real
def test_floors_of_ecgid_are_those_of_the_literature(data_root):
    """Median-beat correlation links ECG-ID's last record to the earlier ones at rank-1 about .8."""
    source = open_reader("ecgiddb", data_root / "ecgiddb", "ecgiddb")
    rows = audit(context([source], [cached_windows(source)], "other-record", 0)).rows
    raw = one(rows, "raw-correlation", "rank-1", "other-record", "ecgiddb")
    assert raw.n_participants >= 85
    assert 0.70 < raw.main < 0.95
    lda = one(rows, "pca-lda", "rank-1", "other-record", "ecgiddb")
    random = one(rows, "random-init", "rank-1", "other-record", "ecgiddb")
    assert lda.main > raw.main > random.main + 0.15
    assert one(rows, "pca-lda", "EER", "other-record", "ecgiddb").main < 0.12
    assert np.isnan([row.main for row in rows if row.main is not None]).sum() == 0
