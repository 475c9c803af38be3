"""A toy federation whose truth is known: sex and identity live in the QRS samples and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from transecg_core.cohorts.schema import COMPONENT_CODE, UNKNOWN
from transecg_core.model.heads import SiteModel, new_site_model
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.signals.schema import WINDOW, RecordInfo, Windows
from transecg_core.splits.protocols import split
from transecg_core.training.local import cosine, train_local, training_set

PEOPLE, BEATS_PER_RECORD, PATCH = 14, 12, 5
BOUNDS = (
    ("TP", 0, 25),
    ("P", 25, 50),
    ("PQ", 50, 65),
    ("QRS", 65, 90),
    ("ST", 90, 110),
    ("T", 110, 165),
    ("TP", 165, 200),
)


def component_code() -> np.ndarray:
    code_L = np.zeros(WINDOW, dtype=np.uint8)
    for name, start, stop in BOUNDS:
        code_L[start:stop] = COMPONENT_CODE[name]
    return code_L


def _bump(centre: float, width: float) -> np.ndarray:
    return np.exp(-0.5 * ((np.arange(WINDOW) - centre) / width) ** 2)


def _toy_site(name: str, seed: int) -> AuditSite:
    rng = np.random.default_rng(seed)
    x, person_N, record_N, records = [], [], [], []
    for person in range(PEOPLE):
        sex = person % 2
        own_L = np.zeros(WINDOW)
        own_L[67:88] = 0.5 * np.convolve(rng.normal(size=21), np.ones(3) / 3**0.5, mode="same")
        own_L += (0.8 if sex else -0.8) * (_bump(84, 2) - _bump(70, 2))
        for session in (1, 2):
            records.append(
                RecordInfo(f"p{person}", session, f"p{person}r{session}", "I", 30.0, 30.0, "FM"[sex], None)
            )
            for _ in range(BEATS_PER_RECORD):
                # P and T vary as much as the QRS does, but tell nothing about anybody.
                free = rng.normal(1.0, 0.4, size=2)
                beat_L = (
                    0.6 * free[0] * _bump(38, 6) + 4 * _bump(76, 4) + 1.2 * free[1] * _bump(138, 14) + own_L
                )
                x.append(beat_L + 0.1 * rng.normal(size=WINDOW))
                person_N.append(person)
                record_N.append(len(records) - 1)
    x_NL = np.array(x)
    x_NL = ((x_NL - x_NL.mean(axis=1, keepdims=True)) / x_NL.std(axis=1, keepdims=True)).astype(np.float32)
    count = len(x_NL)
    record = np.array(record_N, dtype=np.int32)
    windows = Windows(
        x_NL=x_NL,
        participant_N=np.array(person_N, dtype=np.int32),
        session_N=np.array([records[r].session for r in record], dtype=np.int16),
        record_N=record,
        beat_N=np.full(count, UNKNOWN, dtype=np.uint8),
        component_NL=np.tile(component_code(), (count, 1)),
        r_sample_N=np.arange(count, dtype=np.int64) * 2 * WINDOW,
        scale_N=np.ones(count, dtype=np.float32),
        rpeak_B=np.arange(count, dtype=np.int64) * 2 * WINDOW,
        rpeak_record_B=record,
        participants=tuple(f"p{p}" for p in range(PEOPLE)),
        records=tuple(records),
        skips=(),
    )
    people = tuple(f"{name}/p{p}" for p in range(PEOPLE))
    return AuditSite(name, windows, split(windows, "auto", 0), people, np.ones(PEOPLE, dtype=bool))


def _trained(sites: tuple[AuditSite, ...]) -> SiteModel:
    """Train on all sites' galleries at once: how the weights came about doesn't matter here."""
    tasks = ("participant", "sex", "age")
    gallery = [site.split.gallery_N for site in sites]
    both = replace(
        sites[0].windows,
        x_NL=np.concatenate([s.windows.x_NL for s in sites]),
        participant_N=np.concatenate([s.windows.participant_N + i * PEOPLE for i, s in enumerate(sites)]),
        record_N=np.concatenate([s.windows.record_N + i * 2 * PEOPLE for i, s in enumerate(sites)]),
        beat_N=np.concatenate([s.windows.beat_N for s in sites]),
        records=sum((s.windows.records for s in sites), ()),
    )
    data = training_set(both, np.concatenate(gallery), tasks, 48, both.participant_N)
    model = new_site_model(PATCH, tasks, seed=1, participants=data.participants)
    train_local(model, data, steps=220, batch_size=32, learning_rate=cosine(2e-3, 220), first_step=0, seed=3)
    shared = new_site_model(PATCH, ("sex", "age"), seed=1)
    shared.encoder.load_state_dict(model.encoder.state_dict())
    for task in ("sex", "age"):
        shared.heads[task].load_state_dict(model.heads[task].state_dict())
    return shared.eval()


@pytest.fixture(scope="session")
def toy() -> AuditContext:
    """Two sites of 14 people; a model trained on the first sessions, to be explained on the second."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    sites = (_toy_site("toy-a", 11), _toy_site("toy-b", 12))
    context = AuditContext(
        sites=sites,
        model=_trained(sites),
        random_model=new_site_model(PATCH, ("sex", "age"), seed=99).eval(),
        tasks=("participant", "sex", "age"),
        membership=False,
        bootstrap=200,
        seed=5,
        attribution_windows=84,
        ceilings=None,
    )
    torch.set_num_threads(threads)
    return context
