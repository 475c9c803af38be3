"""Probes that a copy in the gallery spoils, whichever beats the cap on windows left in either copy."""

from __future__ import annotations

import numpy as np
import pytest

from transecg_core.signals.schema import WINDOW, RecordInfo, Windows
from transecg_core.splits.copies import leaked, refuse_copies, take_out_copies
from transecg_core.splits.duplicates import DuplicatePair
from transecg_core.splits.guards import AFTER
from transecg_core.splits.protocols import Split

BEAT = 4 * WINDOW
"""Distance of the windows that the cap left: far more than a window."""


def record_windows(*starts: tuple[str, int, int]) -> Windows:
    """Return windows of records (name, first position, how many), `BEAT` samples apart."""
    record_N = np.concatenate([np.full(count, i, np.int32) for i, (_, _, count) in enumerate(starts)])
    at_N = np.concatenate([first + BEAT * np.arange(count) for _, first, count in starts]).astype(np.int64)
    n = len(at_N)
    return Windows(
        x_NL=np.zeros((n, WINDOW), np.float32), participant_N=np.zeros(n, np.int32),
        session_N=np.ones(n, np.int16), record_N=record_N, beat_N=np.zeros(n, np.uint8),
        component_NL=np.zeros((n, WINDOW), np.uint8), r_sample_N=at_N,
        scale_N=np.ones(n, np.float32),
        rpeak_B=at_N, rpeak_record_B=record_N, participants=("p",),
        records=tuple(RecordInfo("p", 1, name, "I", 1800.0, None, None, None) for name, _, _ in starts), skips=(),
    )  # fmt: skip


def copy(offset: int = 0, site_b: str = "here") -> DuplicatePair:
    return DuplicatePair("here", "one", "p", site_b, "two", "p", offset / 250, 99, 0.99)


def part(windows: Windows, gallery_N: np.ndarray, leaky: bool = False, **probes: np.ndarray) -> tuple:
    named = {name.replace("_", "-"): mask for name, mask in probes.items()}
    return "here", windows, Split(gallery_N, named, leaky, ())


@pytest.mark.parametrize("protocol", ["other_session", "other_record"])
@pytest.mark.parametrize("shift", [0, BEAT // 2, 30 * BEAT])
def test_all_of_a_copied_recording_is_spoilt(protocol: str, shift: int) -> None:
    """Also between the enrolled windows, and where the copy goes on after the original ended."""
    windows = record_windows(("one", 0, 40), ("two", shift, 40))
    own = windows.record_N == 0
    given = part(windows, own, **{protocol: ~own})
    assert (leaked([given], [copy()])[0] == ~own).all()
    with pytest.raises(ValueError, match="40 probe windows that are a copy"):
        refuse_copies([given], [copy()])
    (split,), count = take_out_copies([given], [copy()])
    assert (count, dict(split.probes)) == (40, {})


def test_without_a_gallery_window_of_the_copy_nothing_is_spoilt() -> None:
    windows = record_windows(("one", 0, 40), ("two", 0, 40), ("three", 0, 40))
    given = part(windows, windows.record_N == 2, other_record=windows.record_N < 2)
    assert not leaked([given], [copy()])[0].any()


def test_later_in_record_may_ask_for_what_follows_everything_enrolled() -> None:
    """Record one is enrolled up to its 30th window; of its copy, the later part is asked for."""
    windows = record_windows(("one", 0, 40), ("two", BEAT // 2, 40))
    place_N = np.tile(np.arange(40), 2)
    one_N = windows.record_N == 0
    gallery_N = (one_N & (place_N < 30)) | (~one_N & (place_N < 10))
    probes_N = (one_N & (place_N >= 32)) | (~one_N & (place_N >= 12))
    given = part(windows, gallery_N, later_in_record=probes_N)
    last = 29 * BEAT
    expected = probes_N & ~one_N & (windows.r_sample_N < last + AFTER)
    assert expected.any()
    assert not expected[probes_N & ~one_N].all()
    assert (leaked([given], [copy()])[0] == expected).all()
    (split,), _ = take_out_copies([given], [copy()])
    refuse_copies([("here", windows, split)], [copy()])


def test_positions_are_carried_over_by_the_offset() -> None:
    """What is at 0 in record two is at the offset in record one."""
    windows = record_windows(("one", 0, 40), ("two", 0, 40))
    one_N = windows.record_N == 0
    given = part(windows, one_N, later_in_record=~one_N)
    offset = 20 * BEAT
    kept = ~leaked([given], [copy(offset)])[0] & ~one_N
    assert windows.r_sample_N[kept].min() >= 39 * BEAT - offset + AFTER


def test_a_protocol_that_is_leaky_by_name_stays_as_it_is() -> None:
    windows = record_windows(("one", 0, 40), ("two", 0, 40))
    own = windows.record_N == 0
    assert not leaked([part(windows, own, leaky=True, random_window=~own)], [copy()])[0].any()
