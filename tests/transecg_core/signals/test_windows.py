from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transecg_core.cohorts.schema import BEATS, COMPONENT_CODE, UNKNOWN, Recording, SiteSource, SkipLog
from transecg_core.errors import UserError
from transecg_core.signals import windows as module
from transecg_core.signals.schema import R_OFFSET, WINDOW
from transecg_core.signals.windows import build_windows

Make = Callable[..., Recording]


def source(*recordings: Recording, skipped: tuple[tuple[str, str], ...] = ()) -> SiteSource:
    def read(skips: SkipLog) -> Iterator[Recording]:
        for record, reason in skipped:
            skips.add(record, reason)
        yield from recordings

    return SiteSource("site", "synthetic", read, "fingerprint", people=1, tasks=())


def test_contract_of_arrays(make_recording: Make) -> None:
    windows = build_windows(
        source(
            make_recording(record="b", session=1),
            make_recording(record="a", session=2, fs_hz=360.0, seed=1),
            make_recording(participant="p2", record="c", rr_s=1.0),
        )
    )
    n = len(windows)
    assert windows.x_NL.shape == windows.component_NL.shape == (n, WINDOW)
    kinds = (
        ("x_NL", np.float32),
        ("component_NL", np.uint8),
        ("participant_N", np.int32),
        ("record_N", np.int32),
    )
    more = ("session_N", np.int16), ("beat_N", np.uint8), ("r_sample_N", np.int64), ("scale_N", np.float32)
    for name, kind in (*kinds, *more):
        assert getattr(windows, name).dtype == kind
        assert getattr(windows, name).shape[0] == n
    assert windows.participants == ("p1", "p2")
    assert [info.record for info in windows.records] == ["b", "a", "c"]
    assert np.unique(windows.record_N).tolist() == [0, 1, 2]
    assert windows.session_N[windows.record_N == 1].tolist() == [2] * int((windows.record_N == 1).sum())
    assert windows.records[1].duration_s == pytest.approx(20.0)
    for record in range(3):
        assert (np.diff(windows.r_sample_N[windows.record_N == record]) > 0).all()
    np.testing.assert_allclose(windows.x_NL.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(windows.x_NL.std(axis=1), 1, atol=1e-4)
    assert (windows.scale_N > 0).all()
    assert (np.abs(windows.x_NL).argmax(axis=1) == R_OFFSET).all()
    assert (windows.beat_N == UNKNOWN).all()
    assert (windows.component_NL[:, R_OFFSET] == COMPONENT_CODE["QRS"]).all()
    assert (windows.rpeak_B.dtype, windows.rpeak_record_B.dtype) == (np.int64, np.int32)
    assert windows.rpeak_B.shape == windows.rpeak_record_B.shape
    assert (np.diff(windows.rpeak_record_B) >= 0).all()


def test_amplitude_does_not_matter_and_runs_repeat(make_recording: Make) -> None:
    one, two = build_windows(source(make_recording())), build_windows(source(make_recording(scale=2.0)))
    np.testing.assert_allclose(one.x_NL, two.x_NL, atol=1e-4)
    np.testing.assert_allclose(two.scale_N, 2 * one.scale_N, rtol=1e-4)  # what normalising took out
    assert build_windows(source(make_recording())).x_NL.tobytes() == one.x_NL.tobytes()


def test_windows_keep_the_sign_and_a_record_upside_down_is_noted(make_recording: Make) -> None:
    up, down = make_recording(), make_recording(scale=-1.0)
    one, two = build_windows(source(up)), build_windows(source(down))
    np.testing.assert_allclose(one.x_NL, -two.x_NL, atol=1e-5)
    assert (one.component_NL == two.component_NL).all()
    assert module.POINTS_DOWN not in one.skipped
    assert two.skipped[module.POINTS_DOWN] == 1


def test_labels_reach_windows_and_ectopic_beats_survive(make_recording: Make) -> None:
    labelled = make_recording(labels=True, ventricular=(5, 11))
    windows = build_windows(source(labelled))
    assert (windows.beat_N == BEATS.index("V")).sum() == 2
    assert (windows.beat_N == BEATS.index("N")).sum() > 15
    ventricular = windows.component_NL[windows.beat_N == BEATS.index("V")]
    assert (ventricular[:, R_OFFSET] == COMPONENT_CODE["undefined"]).all()
    # The same beats without labels are unlike the median beat, and are counted.
    unlabelled = build_windows(source(make_recording(ventricular=(5, 11))))
    assert unlabelled.skipped.get(module.UNLIKE, 0) >= 1
    assert len(unlabelled) < len(windows)


def test_everything_left_out_is_counted(make_recording: Make) -> None:
    good = make_recording()
    zero = Recording("site", "p9", 1, "zero", 500.0, "I", np.zeros(10_000, dtype=np.float32))
    short = Recording("site", "p8", 1, "short", 500.0, "I", np.zeros(100, dtype=np.float32))
    slow = Recording("site", "p7", 1, "slow", 50.0, "I", np.zeros(10_000, dtype=np.float32))
    windows = build_windows(source(good, zero, short, slow, skipped=(("x", "record: by the reader"),)))
    assert windows.participants == ("p1",)
    assert windows.skipped[module.NO_BEAT] == 1
    assert windows.skipped["record: recording shorter than 4 s"] == 1
    assert windows.skipped["record: sampling rate below 90 Hz"] == 1
    assert windows.skipped["record: by the reader"] == 1
    assert ("x", "record: by the reader", 1) in [(s.record, s.reason, s.count) for s in windows.skips]
    assert {s.record for s in windows.skips if s.reason == module.NO_BEAT} == {"zero"}


def test_every_peak_is_kept_and_every_skip_is_named_once_per_reason(make_recording: Make) -> None:
    """The cap and the gate thin out windows, never the rhythm."""
    recordings = [make_recording(record=r, seconds=60.0, seed=k) for k, r in enumerate("ab")]
    windows = build_windows(source(*recordings), max_per_record=20)
    for index in range(2):
        peaks = windows.rpeak_B[windows.rpeak_record_B == index]
        times = np.round(np.arange(0.5, 59.8, 0.8) * 250)
        assert peaks.size == times.size
        assert np.abs(peaks - times).max() <= 2
        assert np.isin(windows.r_sample_N[windows.record_N == index], peaks).all()
    over = [skip for skip in windows.skips if skip.reason == module.OVER_CAP]
    assert [skip.record for skip in over] == ["a", "b"]
    assert windows.skipped[module.OVER_CAP] == sum(skip.count for skip in over) > 2


def test_beats_are_kept_or_counted(make_recording: Make) -> None:
    recording = make_recording(seconds=60.0, labels=True, ventricular=tuple(range(3, 70, 5)))
    windows = build_windows(source(recording), max_per_record=20)
    counted = sum(
        windows.skipped.get(r, 0) for r in (module.EDGE, module.FLAT, module.UNLIKE, module.OVER_CAP)
    )
    assert recording.labels.beat_sample_B is not None
    assert len(windows) + counted == recording.labels.beat_sample_B.size
    assert len(windows) == 20
    assert (windows.beat_N == BEATS.index("V")).sum() == 10


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, UNKNOWN]), max_size=200), st.integers(1, 60))
def test_the_cap_keeps_rare_beats_first_and_spreads(codes: list[int], cap: int) -> None:
    beat_B = np.array(codes, dtype=np.uint8)
    kept = module._spread(beat_B, cap)
    assert kept.size == min(cap, beat_B.size)
    assert (np.diff(kept) > 0).all()
    rare = int(np.isin(beat_B, [1, 2]).sum())
    kept_rare = int(np.isin(beat_B[kept], [1, 2]).sum())
    assert kept_rare >= min(rare, cap // 2) if beat_B.size > cap else kept_rare == rare


def test_nothing_usable_is_a_named_error() -> None:
    with pytest.raises(UserError, match=r"site 'site': no usable record: nothing to read"):
        build_windows(source())
    with pytest.raises(UserError, match="record: broken"):
        build_windows(source(skipped=(("a", "record: broken"),)))
