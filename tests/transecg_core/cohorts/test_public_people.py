"""The public people of the adaptive attacker: apart from everybody else, and the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from transecg_core.cohorts.pretraining_people import Crowd, recordings
from transecg_core.cohorts.public_people import PEOPLE, RECORDERS, SESSIONS, public_source
from transecg_core.cohorts.schema import SkipLog
from transecg_core.cohorts.synthetic import open_site
from transecg_core.risk.public import WINDOWS_PER_RECORD, public_people
from transecg_core.seeds import seed_for
from transecg_core.training.pretrain import RECIPE


@pytest.fixture(scope="module")
def found():
    return list(public_source().read(SkipLog()))


def test_everybody_is_seen_on_each_day_by_one_recorder_and_has_one_sex(found):
    assert len(found) == RECORDERS * PEOPLE * SESSIONS
    by_person = {r.participant: [s for s in found if s.participant == r.participant] for r in found}
    assert len(by_person) == RECORDERS * PEOPLE
    for records in by_person.values():
        assert [r.session for r in records] == list(range(1, SESSIONS + 1))
        assert len({(r.fs_hz, r.lead, r.age, r.sex) for r in records}) == 1
        assert not np.array_equal(records[0].signal_mv, records[1].signal_mv)
    rates = {name.split("/")[0]: records[0].fs_hz for name, records in by_person.items()}
    assert len(rates) == RECORDERS
    again = next(iter(public_source().read(SkipLog())))
    np.testing.assert_array_equal(again.signal_mv, found[0].signal_mv)


def test_nobody_else_is_like_them(found):
    ages = {r.age for r in found}
    others = {r.age for r in open_site("synth-a", 10, 0).read(SkipLog())}
    others |= {r.age for r in recordings(Crowd(20, 2.0, seed_for(RECIPE.seed, "pretraining people")))}
    # Ages have one decimal: a few coincide; the same people would give all.
    assert len(ages & others) < 0.5 * len(others)


def test_windows_are_few_and_name_person_and_recorder():
    public = public_people()
    assert public is public_people()
    people = int(public.person_N.max()) + 1
    assert set(public.person_N.tolist()) == set(range(people))
    assert 0.95 * RECORDERS * PEOPLE <= people <= RECORDERS * PEOPLE  # who has no usable beat is left out
    assert set(public.recorder_N.tolist()) == set(range(RECORDERS))
    assert np.bincount(public.person_N).max() <= SESSIONS * WINDOWS_PER_RECORD
    for person in range(people):
        assert len(set(public.recorder_N[public.person_N == person].tolist())) == 1
