"""Public people of the adaptive attacker: anybody can generate them, and nobody else ever meets them.

SYNTHETIC: nothing in here was recorded from a person.

They are drawn as the people for pretraining are (`transecg_core.cohorts.pretraining_people`: wider
spread than any federation's), under a seed of their own. Unlike those they share recorders, a few
people each, and are seen on two days: an attacker learns from them how one heart changes from record
to record, which is what matching has to overlook.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from transecg_core.cohorts.pretraining_people import ABNORMAL_PREVALENCE, SHIFTED, draw_device
from transecg_core.cohorts.schema import Recording, SiteSource, SkipLog
from transecg_core.cohorts.synthetic_devices import digitise, disturb
from transecg_core.cohorts.synthetic_people import draw_person
from transecg_core.cohorts.synthetic_records import Settings, clean_lead
from transecg_core.seeds import seed_for

SITE = "public-people"
SEED = seed_for(20240, "public people")
RECORDERS, PEOPLE, SESSIONS, SECONDS = 10, 8, 2, 12.0
"""Recorders, people of each, days of everybody, and the length of a day's one record."""


def public_source() -> SiteSource:
    """Return the public people as a site; participants are named ``recorder/person``."""
    return SiteSource(
        name=SITE,
        kind="synthetic",
        read=_read,
        fingerprint=_fingerprint(),
        people=RECORDERS * PEOPLE,
        tasks=(),
    )


def _read(skipped: SkipLog) -> Iterator[Recording]:
    del skipped
    for recorder in range(RECORDERS):
        device = draw_device(np.random.default_rng(seed_for(SEED, "recorder", recorder)))
        settings = Settings(f"{SITE}-{recorder}", PEOPLE, SEED, None, SHIFTED)
        for index in range(PEOPLE):
            name = f"{recorder}/{index}"
            person = draw_person(
                SEED, name, abnormal_prevalence=ABNORMAL_PREVALENCE, ectopy_prevalence=0.0, variation=SHIFTED
            )
            for session in range(1, SESSIONS + 1):
                rng = np.random.default_rng(seed_for(SEED, "record", name, session))
                clean = clean_lead(settings, person, device, session, rng, SECONDS)
                analogue_T = disturb(device, clean.signal_T, rng, noise_factor=1.0)
                yield Recording(
                    site=SITE,
                    participant=name,
                    session=session,
                    record=f"{name}/{session}",
                    fs_hz=device.fs_hz,
                    lead=device.lead,
                    signal_mv=digitise(device, analogue_T),
                    age=person.age,
                    sex=person.sex,
                )


@cache
def _fingerprint() -> str:
    digest, folder = hashlib.sha256(), Path(__file__).parent
    for path in (*sorted(folder.glob("synthetic*.py")), folder / "pretraining_people.py", Path(__file__)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
