"""One synthetic record: session and record drift, rhythm, and the noise-free lead with its truth.

SYNTHETIC: no record in here was measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from transecg_core.cohorts.synthetic_beats import BeatShape, CleanLead, Rhythm, make_rhythm, render
from transecg_core.cohorts.synthetic_devices import Device
from transecg_core.cohorts.synthetic_people import Person
from transecg_core.cohorts.synthetic_plants import Plant, add_shape
from transecg_core.cohorts.synthetic_shapes import Variation, perturb
from transecg_core.seeds import seed_for

QT_RR_EXPONENT = 1.0 / 3.0
"""Fridericia's law."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides a site's samples."""

    site: str
    participants: int
    seed: int
    plant: Plant | None
    variation: Variation


def clean_lead(
    settings: Settings, person: Person, device: Device, session: int, rng: np.random.Generator, seconds: float
) -> CleanLead:
    """Return one record's noise-free lead with its truth."""
    variation, plant = settings.variation, settings.plant
    lead_vector = np.array(device.lead_vector)
    beats, heart_rate = person.beats, person.traits.heart_rate_bpm
    if plant is None:
        beats, heart_rate = _today(settings, person, session, int(rng.integers(2**62)))
    rhythm = _rhythm(person, heart_rate, rng, seconds)
    clean = render(
        beats,
        rhythm,
        lead_vector=lead_vector,
        fs_hz=device.fs_hz,
        duration_s=seconds,
        gain_BK=_beat_gains(rng, rhythm.time_B, len(beats[0].centre_K), variation.beat_log_gain),
        qt_rr_exponent=QT_RR_EXPONENT if plant is None else 0.0,
    )
    if plant is None:
        return clean
    signal_T = add_shape(
        plant,
        clean.signal_T,
        rhythm,
        beats[0],
        lead_vector=lead_vector,
        fs_hz=device.fs_hz,
        seed=settings.seed,
        person=person.canonical,
    )
    return replace(clean, signal_T=signal_T)


def _rhythm(person: Person, heart_rate_bpm: float, rng: np.random.Generator, seconds: float) -> Rhythm:
    return make_rhythm(
        rng,
        seconds,
        heart_rate_bpm=heart_rate_bpm,
        hrv=person.traits.hrv,
        v_rate=person.v_rate,
        s_rate=person.s_rate,
    )


def _today(
    settings: Settings, person: Person, session: int, record_seed: int
) -> tuple[tuple[BeatShape, BeatShape, BeatShape], float]:
    """Return the person's beats and heart rate in one record: session drift, then record drift."""
    variation = settings.variation
    seed = seed_for(settings.seed, "synthetic session", person.canonical, settings.site, session)
    rng = np.random.default_rng(seed_for(seed, "size"))
    size = float(np.exp(variation.session_log_scale * rng.standard_normal()))
    drift_bpm = variation.session_heart_rate_bpm * rng.standard_normal()
    heart_rate = float(np.clip(person.traits.heart_rate_bpm + drift_bpm, 45, 115))
    of_session = _drifted(person.beats, seed, variation, size)
    return _drifted(of_session, record_seed, variation, variation.record), heart_rate


def _drifted(
    beats: tuple[BeatShape, BeatShape, BeatShape], seed: int, variation: Variation, scale: float
) -> tuple[BeatShape, BeatShape, BeatShape]:
    """Perturb the three beat types alike: the same electrodes see all of them."""
    normal, ventricular, supra = (
        perturb(np.random.default_rng(seed), beat, variation.session, scale) for beat in beats
    )
    return normal, ventricular, supra


def _beat_gains(rng: np.random.Generator, time_B: np.ndarray, waves: int, log_gain: float) -> np.ndarray:
    """Return amplitude factors (B, K): breathing moves all waves together, the rest each on its own."""
    breath_B = 0.04 * np.sin(2 * np.pi * (0.25 * time_B + rng.random()))
    own_BK = log_gain * rng.standard_normal((time_B.size, waves))
    return np.asarray(np.exp(breath_B[:, None] + own_BK))
