"""Planted truth: identity lives in one component of synthetic hearts; the maps must say which."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulations.planted_waves import knocked_out, wave
from transecg_core.attribution import attribute, explain
from transecg_core.cohorts.schema import COMPONENTS
from transecg_core.cohorts.synthetic import Plant, open_site
from transecg_core.model.heads import SiteModel, new_site_model
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.signals.windows import build_windows
from transecg_core.splits.protocols import split
from transecg_core.training.local import cosine, train_local, training_set

pytestmark = pytest.mark.audit
PEOPLE, STEPS, PATCH = 16, 700, 5
SITES = ("synth-a", "synth-c")


def _site(name: str, plant: Plant) -> AuditSite:
    source = open_site(name, PEOPLE, 7, plant)
    windows = build_windows(source)
    people = tuple(source.person(p) for p in windows.participants)
    return AuditSite(name, windows, split(windows, "auto", 0), people, np.ones(len(people), dtype=bool))


def _identifier(sites: tuple[AuditSite, ...]) -> SiteModel:
    """Train an encoder to tell all people apart, on the galleries of all sites."""
    first = np.cumsum([0] + [len(site.windows.participants) for site in sites])
    record = np.cumsum([0] + [len(site.windows.records) for site in sites])
    pooled = replace(
        sites[0].windows,
        x_NL=np.concatenate([s.windows.x_NL for s in sites]),
        participant_N=np.concatenate(
            [s.windows.participant_N + o for s, o in zip(sites, first, strict=False)]
        ),
        record_N=np.concatenate([s.windows.record_N + o for s, o in zip(sites, record, strict=False)]),
        beat_N=np.concatenate([s.windows.beat_N for s in sites]),
        records=sum((s.windows.records for s in sites), ()),
    )
    data = training_set(
        pooled, np.concatenate([s.split.gallery_N for s in sites]), ("participant",), 48, pooled.participant_N
    )
    model = new_site_model(PATCH, ("participant",), seed=1, participants=data.participants)
    train_local(
        model, data, steps=STEPS, batch_size=32, learning_rate=cosine(2e-3, STEPS), first_step=0, seed=3
    )
    released = new_site_model(PATCH, (), seed=1)
    released.encoder.load_state_dict(model.encoder.state_dict())
    return released.eval()


def _context(plant: Plant) -> AuditContext:
    sites = tuple(_site(name, plant) for name in SITES)
    return AuditContext(
        sites=sites,
        model=_identifier(sites),
        random_model=new_site_model(PATCH, (), seed=99).eval(),
        tasks=("participant",),
        membership=False,
        bootstrap=300,
        seed=5,
        attribution_windows=96,
        ceilings=None,
    )


def _ranked(row) -> list[str]:
    enrichment = {
        name: row["components"][name]["enrichment"] or 0.0 for name in COMPONENTS if name != "undefined"
    }
    return sorted(enrichment, key=lambda name: -enrichment[name])


# The P wave is small: at the default strength the encoder needs more steps than a test has.
@pytest.mark.parametrize(
    "plant", [Plant("QRS"), wave("T"), Plant("P", strength_mv=0.1)], ids=lambda p: p.carrier
)
def test_the_planted_component_comes_first(plant):
    context = _context(plant)
    groups = explain(context)
    rows = attribute(context, groups)["participant"]
    for method in ("occlusion", "gradient-attention"):
        assert rows[method]["shown"], rows[method]["reason"]
        assert _ranked(rows[method])[0] == plant.carrier
        assert rows[method]["components"][plant.carrier]["ci95"][0] > 1
    assert rows["occlusion"]["components"][plant.carrier]["ci95"][0] > 2
    (group,) = groups
    assert {ranking.order[0] for fill, ranking in knocked_out(context, group).items() if fill != "zero"} == {
        plant.carrier
    }
    assert not rows["random"]["shown"]


def test_without_any_identity_no_map_is_shown():
    rows = attribute(_context(Plant("none")))["participant"]
    assert not any(row["shown"] for row in rows.values())
    assert "untrained encoder" in rows["occlusion"]["reason"]
