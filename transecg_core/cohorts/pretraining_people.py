"""Synthetic people for pretraining: nobody whom a federation, a test or an audit ever meets.

SYNTHETIC: nothing in here was recorded from a person.

They come from the generator of the synthetic federation with shifted parameters, so that a
model can't simply memorise the federation's four devices and its exact spread of people:

* every person has a recorder of their own, drawn at random: rate, lead direction, noise, wander,
  mains hum and quantisation from ranges that contain common recorders;
* people, sessions and records differ more, and muscle noise is stronger;
* some people have a bundle-branch-block-like normal beat (QRS 1.3 to 1.9 times as wide), because
  reference annotations call such beats normal;
* ectopy and the abnormal trait have other prevalences than at any site.

All constants are public and fixed. Everybody has all labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from transecg_core.cohorts.schema import Labels, Recording
from transecg_core.cohorts.synthetic_beats import EDGE, QRS_WAVES, BeatShape
from transecg_core.cohorts.synthetic_devices import Device, digitise, disturb
from transecg_core.cohorts.synthetic_people import Person, draw_person
from transecg_core.cohorts.synthetic_records import Settings, clean_lead
from transecg_core.cohorts.synthetic_shapes import Spread, Variation
from transecg_core.seeds import seed_for

SITE = "pretraining"

SHIFTED = Variation(
    person=Spread(24.0, 22.0, 0.38, 0.18, 0.008, 0.035),
    session=Spread(5.0, 3.5, 0.06, 0.02, 0.0012, 0.0050),
    record=1.0,
    session_heart_rate_bpm=8.0,
    beat_log_gain=0.08,
    noise_factor=1.0,
)
"""About 1.5 times the federation's spread between people and between records."""

ABNORMAL_PREVALENCE, ECTOPY_PREVALENCE, BLOCK_PREVALENCE = 0.45, 0.75, 0.2
BLOCK_WIDTH = (1.3, 1.9)
"""QRS widths of block-like beats, relative to the person's own."""
LEADS = ((1.0, 0.0, 0.0), (0.5, 0.87, 0.0), (0.95, 0.5, 0.4), (0.2, 0.3, 0.95))
"""Directions (left, feet, front) around which lead vectors scatter: I, II, V5, V2-like."""
LEAD_SCATTER = 0.2
RATES_HZ = (128.0, 200.0, 250.0, 360.0, 500.0)
MAINS_HZ = (50.0, 60.0)
LOG_NOISE_MV, LOG_WANDER_MV = (np.log(0.012), np.log(0.080)), (np.log(0.05), np.log(0.30))
LOG_MAINS_MV, LOG_LSB_MV = (np.log(0.002), np.log(0.030)), (np.log(0.0005), np.log(0.0100))


@dataclass(frozen=True)
class Crowd:
    """How many people, how long their one record is, and the seed they follow from."""

    people: int
    seconds: float
    seed: int


def recordings(crowd: Crowd) -> Iterator[Recording]:
    """Yield one record of each person, with sex, age, diagnosis and beats."""
    settings = Settings(SITE, crowd.people, crowd.seed, None, SHIFTED)
    for index in range(crowd.people):
        yield _recording(settings, f"{SITE}/{index}", crowd.seconds)


def _recording(settings: Settings, canonical: str, seconds: float) -> Recording:
    rng = np.random.default_rng(seed_for(settings.seed, "pretraining record", canonical))
    device = draw_device(rng)
    person = draw_person(
        settings.seed,
        canonical,
        abnormal_prevalence=ABNORMAL_PREVALENCE,
        ectopy_prevalence=ECTOPY_PREVALENCE,
        variation=SHIFTED,
    )
    if rng.random() < BLOCK_PREVALENCE:
        person = _blocked(person, float(rng.uniform(*BLOCK_WIDTH)))
    clean = clean_lead(settings, person, device, 1, rng, seconds)
    analogue_T = disturb(device, clean.signal_T, rng, noise_factor=1.0)
    return Recording(
        site=SITE,
        participant=canonical,
        session=1,
        record=canonical,
        fs_hz=device.fs_hz,
        lead=device.lead,
        signal_mv=digitise(device, analogue_T),
        age=person.age,
        sex=person.sex,
        labels=Labels(
            diagnosis="abnormal" if person.abnormal else "normal",
            beat_sample_B=clean.r_sample_B,
            beat_class_B=clean.beat_class_B,
        ),
    )


def draw_device(rng: np.random.Generator) -> Device:
    """Draw a recorder; its lead vector has length 1 and may look at the heart from behind."""
    vector = np.array(LEADS[rng.integers(len(LEADS))]) + LEAD_SCATTER * rng.standard_normal(3)
    vector *= (-1.0 if rng.random() < 0.05 else 1.0) / np.linalg.norm(vector)
    x, y, z = map(float, vector)
    noise, wander, hum, lsb = (
        float(np.exp(rng.uniform(*bounds)))
        for bounds in (LOG_NOISE_MV, LOG_WANDER_MV, LOG_MAINS_MV, LOG_LSB_MV)
    )
    rate, mains = float(rng.choice(RATES_HZ)), float(rng.choice(MAINS_HZ))
    return Device(rate, "any", (x, y, z), 1.0, noise, wander, mains, hum, lsb)


def _blocked(person: Person, factor: float) -> Person:
    """Return the person with a wide QRS in sinus and supraventricular beats; its onset stays, so PR does too."""
    normal, ventricular, supra = person.beats
    return replace(person, beats=(_widened(normal, factor), ventricular, _widened(supra, factor)))


def _widened(beat: BeatShape, factor: float) -> BeatShape:
    """Stretch the QRS from its onset and let T follow; the R wave stays the anchor at time 0."""
    centre_K, width_K = beat.centre_K.copy(), beat.width_K.copy()
    onset = float((centre_K - EDGE * width_K)[QRS_WAVES].min())
    end = float((centre_K + EDGE * width_K)[QRS_WAVES].max())
    longer = (factor - 1) * (end - onset)
    centre_K[QRS_WAVES] = onset + factor * (centre_K[QRS_WAVES] - onset)
    width_K[QRS_WAVES] *= factor
    centre_K[QRS_WAVES.stop :] += longer
    moved = centre_K[QRS_WAVES.start + 1]
    return replace(beat, centre_K=centre_K - moved, width_K=width_K)
