"""The synthetic federation: four sites, each with its own device and its own people.

SYNTHETIC: no sample, person, age or label in this cohort belongs to anybody. It is the
default cohort and the ground truth for tests; numbers obtained on it describe the generator,
not patients.

What an ECG researcher may want to check, and where it is written
------------------------------------------------------------------
* Beats: ten Gaussian dipole waves seen through a lead vector (`synthetic_beats`).
* Traits to waves: PR, QRS and QT are distances between component edges (`synthetic_shapes.normal_beat`).
* Women against men: heart rate +4 bpm, QTc +14 ms, QRS -8 ms, T wave x 0.80, ST level -0.03 mV.
  Per decade of age: PR +4.5 ms, frontal axis -6 degrees (to the left), heart-rate variability
  x 0.87, T wave x 0.96, QTc +2 ms (`synthetic_people.Effects`, with sources).
* Abnormal people (label ``diagnosis``): ST level -0.10 mV and T wave x 0.40, as in subendocardial
  ischaemia. About 35 % of the people at synth-c and synth-d; nobody whose home is elsewhere.
* Ectopy (label ``beat``): about 60 % of the people at synth-b and synth-d have about 12.5 %
  ventricular beats (no P, wide QRS from one focus per person, opposite T, compensatory pause) and
  7 % supraventricular beats (early, P from another focus, shorter PR, normal QRS, no compensation).
* Between sessions: heart rate (sd 6 bpm), electrode rotation, wave gains, widths and timing; a
  fraction of it between records of one session (`synthetic_shapes.Variation`, calibrated
  to the linkability of ECG-ID's first and last records by ``benchmarks/calibrate_synthetic.py``).
* QT follows RR by Fridericia's law, mostly through the running mean of RR.
* Devices: 500 Hz lead I, 360 Hz lead II, 250 Hz lead V5, 128 Hz lead II (`synthetic_devices`).
* Twins: about one person in eight of each site is also seen at the next site (a -> b -> c -> d -> a),
  under another local id, with another device and other sessions; ``SiteSource.aliases`` tells.
* Each person: session 1 with records of 40 s and 20 s, session 2 with one of 20 s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from transecg_core.cohorts.schema import Labels, Recording, SiteSource, SkipLog
from transecg_core.cohorts.synthetic_devices import DEVICES, digitise, disturb
from transecg_core.cohorts.synthetic_people import Person, draw_person
from transecg_core.cohorts.synthetic_plants import Plant, add_recorder
from transecg_core.cohorts.synthetic_records import Settings, clean_lead
from transecg_core.cohorts.synthetic_shapes import CALIBRATED, Variation, normal_beat
from transecg_core.errors import UserError
from transecg_core.seeds import seed_for

__all__ = ["CALIBRATED", "SITES", "Plant", "SiteSpec", "Variation", "open_site"]


@dataclass(frozen=True)
class SiteSpec:
    """Who lives at a site and which labels it keeps.

    Prevalences hold for people whose home the site is; visitors bring their own.
    """

    next_site: str
    abnormal_prevalence: float
    ectopy_prevalence: float
    labels_diagnosis: bool
    labels_beats: bool


SITES: Mapping[str, SiteSpec] = {
    "synth-a": SiteSpec("synth-b", 0.0, 0.0, labels_diagnosis=False, labels_beats=False),
    "synth-b": SiteSpec("synth-c", 0.0, 0.66, labels_diagnosis=False, labels_beats=True),
    "synth-c": SiteSpec("synth-d", 0.38, 0.0, labels_diagnosis=True, labels_beats=False),
    "synth-d": SiteSpec("synth-a", 0.38, 0.66, labels_diagnosis=True, labels_beats=True),
}
SCHEDULE: tuple[tuple[int, int, float], ...] = ((1, 1, 40.0), (1, 2, 20.0), (2, 1, 20.0))
"""(session, record, seconds) of every participant."""
TWIN_EVERY = 8
"""About one person in this many is also seen at the next site."""


@dataclass(frozen=True)
class _Resident:
    """One participant of a site: local id, canonical person, and the site they come from."""

    local: str
    canonical: str
    home: str


def open_site(
    name: str,
    participants: int,
    seed: int,
    plant: Plant | None = None,
    variation: Variation = CALIBRATED,
) -> SiteSource:
    """Return a synthetic site; nothing is generated before it is read.

    A person depends only on `seed` and the canonical person: more participants add people and
    change nobody. Twins match up between sites opened with the same `participants` and `seed`.

    Parameters
    ----------
    name
        One of `SITES`.
    participants
        People seen at this site, visitors from the previous site included.
    seed
        The run's seed.
    plant
        Replaces natural identity by a known one; see `transecg_core.cohorts.synthetic_plants`.
    variation
        Spread between people, sessions, records and beats.

    Raises
    ------
    UserError
        For an unknown site or fewer than one participant.
    """
    if name not in SITES:
        raise UserError(f"sites: no synthetic site named '{name}'; choose from {', '.join(SITES)}")
    if participants < 1:
        raise UserError(f"participants-per-site={participants}: site '{name}' needs at least one person")
    settings = Settings(name, participants, seed, plant, variation)
    residents = _residents(settings)
    return SiteSource(
        name=name,
        kind="synthetic",
        read=partial(_read, settings, residents),
        fingerprint=_fingerprint(settings),
        people=participants,
        tasks=_tasks(SITES[name]),
        aliases=_aliases(settings, residents),
    )


def _tasks(spec: SiteSpec) -> tuple[str, ...]:
    beat, diagnosis = ("beat",) * spec.labels_beats, ("diagnosis",) * spec.labels_diagnosis
    return ("sex", "age", *beat, *diagnosis)


def twins(participants: int) -> int:
    """Return how many of a site's own people are also seen at the next site."""
    return 0 if participants < 2 else max(1, round(participants / TWIN_EVERY))


def _residents(settings: Settings) -> tuple[_Resident, ...]:
    """Return the site's participants sorted by local id; ids tell nothing, visitors included."""
    visitors, site, seed = twins(settings.participants), settings.site, settings.seed
    people = [_native(site, index, seed) for index in range(settings.participants - visitors)]
    previous = next(other for other, spec in SITES.items() if spec.next_site == site)
    for index in range(visitors):
        native = _native(previous, index, seed)
        people.append(
            _Resident(_local_id(site, seed, "visitor", native.canonical), native.canonical, previous)
        )
    return tuple(sorted(people, key=lambda person: person.local))


def _native(site: str, index: int, seed: int) -> _Resident:
    local = _local_id(site, seed, "native", index)
    return _Resident(local, f"{site}/{local}", site)


def _local_id(site: str, seed: int, role: str, who: str | int) -> str:
    return f"{site[-1].upper()}{seed_for(seed, 'synthetic id', site, role, who):016x}"[:13]


def _aliases(settings: Settings, residents: tuple[_Resident, ...]) -> dict[str, str]:
    """Return local id -> canonical person of everybody who is seen at two sites."""
    shared = {
        _native(settings.site, index, settings.seed).local for index in range(twins(settings.participants))
    }
    return {r.local: r.canonical for r in residents if r.home != settings.site or r.local in shared}


def _fingerprint(settings: Settings) -> str:
    digest = hashlib.sha256(repr(astuple(settings)).encode())
    digest.update(_generator_hash())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _generator_hash() -> bytes:
    """Hash the generator's own source: a changed generator must never meet a stale cache."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("synthetic*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def _read(settings: Settings, residents: tuple[_Resident, ...], skipped: SkipLog) -> Iterator[Recording]:
    """Yield all recordings by participant, session and record; a generator has nothing to skip."""
    del skipped
    for resident in residents:
        person = _person(settings, resident)
        for session, record, seconds in SCHEDULE:
            yield _recording(settings, resident, person, session, record, seconds)


def _person(settings: Settings, resident: _Resident) -> Person:
    home = SITES[resident.home]
    person = draw_person(
        settings.seed,
        resident.canonical,
        abnormal_prevalence=home.abnormal_prevalence,
        ectopy_prevalence=home.ectopy_prevalence,
        variation=settings.variation,
    )
    if settings.plant is None:
        return person
    heart = settings.plant.heart
    beat = normal_beat(heart)
    return replace(person, abnormal=False, traits=heart, beats=(beat, beat, beat), v_rate=0.0, s_rate=0.0)


def _recording(
    settings: Settings, resident: _Resident, person: Person, session: int, record: int, seconds: float
) -> Recording:
    device, spec = DEVICES[settings.site], SITES[settings.site]
    rng = np.random.default_rng(
        seed_for(settings.seed, "synthetic record", resident.canonical, settings.site, session, record)
    )
    clean = clean_lead(settings, person, device, session, rng, seconds)
    noise_factor = settings.variation.noise_factor * float(np.exp(0.3 * rng.standard_normal()))
    analogue_T = disturb(device, clean.signal_T, rng, noise_factor)
    if settings.plant is not None:
        analogue_T = add_recorder(
            settings.plant, analogue_T, fs_hz=device.fs_hz, seed=settings.seed, person=person.canonical
        )
    labels = Labels(
        diagnosis=("abnormal" if person.abnormal else "normal")
        if spec.labels_diagnosis and settings.plant is None
        else None,
        beat_sample_B=clean.r_sample_B if spec.labels_beats else None,
        beat_class_B=clean.beat_class_B if spec.labels_beats else None,
        component_T=clean.component_T,
    )
    return Recording(
        site=settings.site,
        participant=resident.local,
        session=session,
        record=f"{resident.local}_s{session}r{record}",
        fs_hz=device.fs_hz,
        lead=device.lead,
        signal_mv=digitise(device, analogue_T),
        age=person.age,
        sex=person.sex,
        labels=labels,
    )
