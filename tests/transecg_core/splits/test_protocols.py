"""Laws of the split protocols, on recordings of any structure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.signals.schema import WINDOW, RecordInfo, Windows
from transecg_core.splits.guards import AFTER, refuse_leaks
from transecg_core.splits.protocols import PROTOCOLS, natural_key, split

# A person is a list of records; a record is (session, number of windows, samples between R peaks).
RECORD = st.tuples(st.integers(1, 3), st.integers(1, 15), st.integers(90, 320))
COHORT = st.lists(st.lists(RECORD, min_size=1, max_size=4), min_size=1, max_size=5)


def make(cohort: list[list[tuple[int, int, int]]], first: int = 0) -> Windows:
    """Windows with the given structure and distinct random waveforms."""
    rows, records = [], []
    for person, person_records in enumerate(cohort):
        for session, count, step in person_records:
            name = f"rec_{len(records) + 8}"
            records.append(RecordInfo(f"p{person + first}", session, name, "I", 20.0, None, None, None))
            rows += [(person, session, len(records) - 1, 100 + beat * step) for beat in range(count)]
    table = np.array(rows)
    count = len(table)
    return Windows(
        x_NL=np.random.default_rng(count).normal(size=(count, WINDOW)).astype(np.float32),
        participant_N=table[:, 0].astype(np.int32),
        session_N=table[:, 1].astype(np.int16),
        record_N=table[:, 2].astype(np.int32),
        beat_N=np.full(count, 255, dtype=np.uint8),
        component_NL=np.zeros((count, WINDOW), dtype=np.uint8),
        r_sample_N=table[:, 3].astype(np.int64),
        scale_N=np.ones(count, dtype=np.float32),
        rpeak_B=table[:, 3].astype(np.int64),
        rpeak_record_B=table[:, 2].astype(np.int32),
        participants=tuple(f"p{person + first}" for person in range(len(cohort))),
        records=tuple(records),
        skips=(),
    )


@settings(deadline=None)
@given(COHORT, st.sampled_from(PROTOCOLS), st.integers(0, 3))
def test_parts_are_disjoint_everyone_enrols_and_the_split_is_deterministic(cohort, protocol, seed):
    windows = make(cohort)
    result = split(windows, protocol, seed)
    used = result.gallery_N.astype(int) + sum(mask.astype(int) for mask in result.probes.values())
    assert used.max() == 1
    assert set(windows.participant_N[result.gallery_N]) == set(windows.participant_N)
    assert result.leaky == (protocol == "random-window")
    assert all(mask.any() for mask in result.probes.values())
    again = split(windows, protocol, seed)
    assert np.array_equal(again.gallery_N, result.gallery_N)
    assert list(again.probes) == list(result.probes)
    assert all(np.array_equal(again.probes[name], result.probes[name]) for name in result.probes)


@settings(deadline=None)
@given(COHORT, st.sampled_from([p for p in PROTOCOLS if p != "random-window"]))
def test_no_sample_of_a_recording_is_on_both_sides(cohort, protocol):
    windows = make(cohort)
    result = split(windows, protocol, 0)
    for name, mask in result.probes.items():
        for row in np.flatnonzero(mask):
            same = result.gallery_N & (windows.record_N == windows.record_N[row])
            if name != "later-in-record":
                assert not same.any()
            elif same.any():
                # the start of the probe lies a guard gap after the end of every gallery window
                assert (windows.r_sample_N[row] - windows.r_sample_N[same] >= AFTER).all()


@settings(deadline=None)
@given(COHORT, st.sampled_from(PROTOCOLS))
def test_a_split_does_not_depend_on_who_else_is_there(cohort, protocol):
    everyone, alone = make(cohort), make(cohort[-1:], first=len(cohort) - 1)
    whole, single = split(everyone, protocol, 5), split(alone, protocol, 5)
    own = everyone.participant_N == len(cohort) - 1
    assert np.array_equal(whole.gallery_N[own], single.gallery_N)
    for name in single.probes:
        assert np.array_equal(whole.probes[name][own], single.probes[name])


def test_auto_gives_each_person_the_strongest_protocols():
    windows = make([[(1, 5, 300), (1, 5, 300), (2, 5, 300)], [(1, 5, 300), (2, 5, 300)], [(1, 20, 250)]])
    result = split(windows, "auto", 0)
    found = {name: sorted(set(windows.record_N[mask].tolist())) for name, mask in result.probes.items()}
    assert found == {"other-session": [2, 4], "other-record": [1], "later-in-record": [5]}
    assert result.probes["later-in-record"].sum() == 6
    assert result.notes == (
        "later-in-record: probes of 1 of 3 participants",
        "other-record: probes of 1 of 3 participants",
        "other-session: probes of 2 of 3 participants",
    )


def test_records_are_taken_in_natural_order():
    assert natural_key("rec_2") < natural_key("rec_10")
    windows = make([[(1, 4, 300)] * 4])  # rec_8, rec_9, rec_10, rec_11
    probe = split(windows, "other-record", 0).probes["other-record"]
    assert {windows.records[r].record for r in windows.record_N[probe]} == {"rec_11"}


def test_nobody_measurable_is_a_reason_not_a_crash():
    result = split(make([[(1, 9, 300)]]), "other-session", 0)
    assert not result.probes
    assert result.gallery_N.all()
    assert "not measurable" in result.notes[0]


def test_probes_identical_to_gallery_windows_are_left_out():
    windows = make([[(1, 4, 300), (2, 4, 300)], [(1, 4, 300), (2, 4, 300)]])
    x_NL = windows.x_NL.copy()
    x_NL[4:8] = x_NL[0:4]  # the first person's second day is the first one filed twice
    result = split(replace(windows, x_NL=x_NL), "other-session", 0)
    assert set(windows.participant_N[result.probes["other-session"]]) == {1}
    assert any("4 probe windows left out" in note for note in result.notes)


def test_guards_refuse_what_protocols_never_make():
    windows = make([[(1, 6, 150), (1, 6, 150), (2, 6, 300)]])
    gallery = windows.record_N == 0
    late = gallery & (windows.r_sample_N > 600)
    with pytest.raises(ValueError, match="one recording on both sides"):
        refuse_leaks(windows, gallery & ~late, {"other-record": late})
    with pytest.raises(ValueError, match="overlap, precede or closely follow"):
        refuse_leaks(windows, gallery & ~late, {"later-in-record": late})
    with pytest.raises(ValueError, match="one session"):
        refuse_leaks(windows, gallery, {"other-session": windows.record_N == 1})
    with pytest.raises(ValueError, match="in two probe sets"):
        refuse_leaks(windows, gallery, {"a": late})
    twin = replace(windows, x_NL=windows.x_NL[np.r_[0:12, 0:6]])
    with pytest.raises(ValueError, match="identical windows"):
        refuse_leaks(twin, gallery, {"other-session": windows.record_N == 2})
    refuse_leaks(windows, gallery & ~late, {"random-window": late}, leaky=True)


def test_unknown_protocol_is_refused():
    with pytest.raises(ValueError, match="not one of"):
        split(make([[(1, 3, 300)]]), "any", 0)


@pytest.mark.parametrize(("distance", "refused"), [(AFTER - 1, True), (AFTER, False)])
def test_the_guard_demands_the_gap_that_the_split_leaves(distance: int, refused: bool) -> None:
    windows = make([[(1, 2, distance)]])
    first = windows.r_sample_N == windows.r_sample_N.min()
    if not refused:
        refuse_leaks(windows, first, {"later-in-record": ~first})
        return
    with pytest.raises(ValueError, match="closely follow"):
        refuse_leaks(windows, first, {"later-in-record": ~first})
