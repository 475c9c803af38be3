"""The synthetic cohort: contract, truth, effects, twins."""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from transecg_core.cohorts.schema import COMPONENT_CODE, Recording, SkipLog
from transecg_core.cohorts.synthetic import CALIBRATED, SCHEDULE, SITES, Plant, open_site, twins
from transecg_core.cohorts.synthetic_devices import DEVICES
from transecg_core.errors import UserError
from transecg_core.names import SITES as CONFIG_SITES

CODE = COMPONENT_CODE
ALL = sorted(SITES)


@lru_cache(maxsize=16)
def recordings(site: str, participants: int = 8, seed: int = 0) -> tuple[Recording, ...]:
    skips = SkipLog()
    out = tuple(open_site(site, participants, seed).read(skips))
    assert skips.counts() == {}
    return out


def test_sites_are_the_configured_ones_in_a_ring() -> None:
    assert set(SITES) == set(CONFIG_SITES["synthetic"]) == set(DEVICES)
    site, seen = "synth-a", []
    while site not in seen:
        seen.append(site)
        site = SITES[site].next_site
    assert sorted(seen) == ALL
    assert site == "synth-a"


@pytest.mark.parametrize("site", ALL)
def test_recordings_keep_the_contract(site: str) -> None:
    device, spec, records = DEVICES[site], SITES[site], recordings(site)
    assert len({r.record for r in records}) == len(records) == 8 * len(SCHEDULE)
    assert [r.participant for r in records] == sorted(r.participant for r in records)
    for recording in records:
        assert (recording.site, recording.fs_hz, recording.lead) == (site, device.fs_hz, device.lead)
        assert recording.signal_mv.dtype == np.float32
        assert np.isfinite(recording.signal_mv).all()
        assert recording.sex in ("F", "M")
        assert recording.age is not None
        assert 20 <= recording.age <= 80
        steps = recording.signal_mv / device.lsb_mv
        assert np.abs(steps - np.round(steps)).max() < 0.02
        assert (recording.labels.diagnosis is not None) == spec.labels_diagnosis
        assert (recording.labels.beat_class_B is not None) == spec.labels_beats
    shape = Counter((r.session, round(r.signal_mv.size / r.fs_hz)) for r in records)
    assert shape == {(1, 40): 8, (1, 20): 8, (2, 20): 8}


def test_same_options_give_the_same_bytes_and_another_seed_does_not() -> None:
    first, again = (list(open_site("synth-b", 3, 5).read(SkipLog())) for _ in range(2))
    other = list(open_site("synth-b", 3, 6).read(SkipLog()))
    for a, b in zip(first, again, strict=True):
        assert a.record == b.record
        assert a.signal_mv.tobytes() == b.signal_mv.tobytes()
        assert a.labels.component_T is not None
        assert b.labels.component_T is not None
        assert a.labels.component_T.tobytes() == b.labels.component_T.tobytes()
    assert not {r.participant for r in first} & {r.participant for r in other}
    assert first[0].signal_mv.tobytes() != other[0].signal_mv.tobytes()


def test_more_people_change_nobody() -> None:
    few = {r.record: r for r in recordings("synth-d", 5)}
    many = {r.record: r for r in recordings("synth-d", 13)}
    assert few.keys() < many.keys()
    for name, recording in few.items():
        assert recording.signal_mv.tobytes() == many[name].signal_mv.tobytes()
        assert (recording.sex, recording.age) == (many[name].sex, many[name].age)


def test_fingerprint_follows_every_option() -> None:
    louder = replace(CALIBRATED, noise_factor=2.0)
    sources = [
        open_site("synth-a", 4, 0),
        open_site("synth-b", 4, 0),
        open_site("synth-a", 5, 0),
        open_site("synth-a", 4, 1),
        open_site("synth-a", 4, 0, plant=Plant("none")),
        open_site("synth-a", 4, 0, plant=Plant("QRS")),
        open_site("synth-a", 4, 0, plant=Plant("QRS", strength_mv=0.06)),
        open_site("synth-a", 4, 0, variation=louder),
    ]
    assert len({s.fingerprint for s in sources}) == len(sources)
    assert open_site("synth-a", 4, 0).fingerprint == sources[0].fingerprint


@pytest.mark.parametrize("participants", [2, 3, 8, 24])
def test_twins_are_one_person_at_the_next_site_under_another_id(participants: int) -> None:
    sources = {site: open_site(site, participants, 3) for site in ALL}
    expected = max(1, round(participants / 8))
    assert twins(participants) == expected
    for site, source in sources.items():
        following = sources[SITES[site].next_site]
        shared = set(source.aliases.values()) & set(following.aliases.values())
        own = {p for p in shared if p.startswith(f"{site}/")}
        assert len(own) == expected
        assert not set(source.aliases) & set(following.aliases)
        assert len(source.aliases) == len(set(source.aliases.values())) == 2 * expected


def test_twins_keep_body_and_change_recording() -> None:
    here, there = open_site("synth-c", 8, 0), open_site("synth-d", 8, 0)
    local_here = {canonical: local for local, canonical in here.aliases.items()}
    local_there = {canonical: local for local, canonical in there.aliases.items()}
    (person,) = set(local_here) & set(local_there)
    at = [
        next(r for r in recordings(site, 8) if r.participant == local[person])
        for site, local in (("synth-c", local_here), ("synth-d", local_there))
    ]
    assert (at[0].age, at[0].sex, at[0].labels.diagnosis) == (at[1].age, at[1].sex, at[1].labels.diagnosis)
    assert here.person(at[0].participant) == there.person(at[1].participant)
    stranger = next(r.participant for r in recordings("synth-c", 8) if r.participant not in here.aliases)
    assert here.person(stranger) == f"synth-c/{stranger}"


def test_one_person_alone_has_no_twin() -> None:
    assert open_site("synth-a", 1, 0).aliases == {}
    assert len(list(open_site("synth-a", 1, 0).read(SkipLog()))) == len(SCHEDULE)


def test_wrong_options_are_named() -> None:
    with pytest.raises(UserError, match=r"no synthetic site named 'synth-x'.*synth-a"):
        open_site("synth-x", 4, 0)
    with pytest.raises(UserError, match=r"participants-per-site=0.*'synth-a'"):
        open_site("synth-a", 0, 0)


@pytest.mark.audit
def test_floors_are_near_those_of_ecg_id() -> None:
    """ECG-ID's are what the benchmark prints (its docstring): raw, PCA+LDA, and the mean over the untrained encoders."""
    path = Path(__file__).parents[3] / "benchmarks" / "calibrate_synthetic.py"
    spec = importlib.util.spec_from_file_location("calibrate_synthetic", path)
    assert spec is not None
    assert spec.loader is not None
    calibrate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(calibrate)
    runs = [calibrate.report("synth-a", open_site("synth-a", 90, seed), 200) for seed in (0, 1)]
    floors = {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}
    assert floors["raw"] == pytest.approx([0.798, 0.112], abs=0.07)
    assert floors["PCA+LDA"] == pytest.approx([0.854, 0.090], abs=0.07)
    untrained = np.mean([value for name, value in floors.items() if name.startswith("random")], axis=0)
    assert untrained == pytest.approx([0.410, 0.219], abs=0.09)
