import dataclasses
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from transecg_core.cohorts.schema import Recording, SiteSource, SkipLog
from transecg_core.errors import UserError
from transecg_core.signals import cache
from transecg_core.signals.cache import cached_windows
from transecg_core.signals.windows import build_windows

Make = Callable[..., Recording]


class Counted:
    """A source that counts how often it is read."""

    def __init__(self, recording: Recording) -> None:
        self.recording, self.reads = recording, 0

    def read(self, _skips: SkipLog) -> Iterator[Recording]:
        self.reads += 1
        yield self.recording

    def source(self, fingerprint: str = "one", name: str = "site") -> SiteSource:
        return SiteSource(name, "synthetic", self.read, fingerprint, people=1, tasks=())


def test_second_time_comes_from_disk_unchanged(tmp_path: Path, make_recording: Make) -> None:
    counted = Counted(make_recording(labels=True))
    built = build_windows(counted.source())
    first, second = cached_windows(counted.source(), tmp_path), cached_windows(counted.source(), tmp_path)
    assert counted.reads == 2
    for windows in (first, second):
        for field in dataclasses.fields(built):
            want, got = getattr(built, field.name), getattr(windows, field.name)
            if isinstance(want, np.ndarray):
                np.testing.assert_array_equal(want, got)
                assert want.dtype == got.dtype
            else:
                assert want == got
    assert isinstance(second.x_NL, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        second.x_NL[0, 0] = 1.0


@pytest.mark.parametrize("change", ["fingerprint", "name", "code"])
def test_any_input_that_changes_is_another_entry(
    tmp_path: Path, make_recording: Make, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    counted = Counted(make_recording())
    cached_windows(counted.source(), tmp_path)
    if change == "code":
        monkeypatch.setattr(cache, "preprocessing_version", lambda: "other code")
    cached_windows(counted.source(**({change: "other"} if change != "code" else {})), tmp_path)
    assert counted.reads == 2
    assert len(list(tmp_path.iterdir())) == 2


def _die_while_writing(root: Path, recording: Recording) -> None:
    cache.np.save = lambda *_a, **_k: os._exit(9)  # type: ignore[assignment]
    cached_windows(Counted(recording).source(), root)


def test_a_killed_writer_leaves_nothing_that_is_read(tmp_path: Path, make_recording: Make) -> None:
    recording = make_recording()
    process = multiprocessing.get_context("fork").Process(
        target=_die_while_writing, args=(tmp_path, recording)
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    assert not list(tmp_path.glob("windows-*"))
    assert len(cached_windows(Counted(recording).source(), tmp_path)) > 10


def test_a_failed_write_is_named_and_cleaned(
    tmp_path: Path, make_recording: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.np, "save", full)
    with pytest.raises(UserError, match=r"cache: can't write .*No space left.*TRANSECG_CACHE"):
        cached_windows(Counted(make_recording()).source(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_writers_agree(tmp_path: Path, make_recording: Make) -> None:
    source = Counted(make_recording()).source()
    windows = build_windows(source)
    entry = tmp_path / "windows-x"
    cache._store(source, windows, entry)
    first = entry.stat().st_ino
    cache._store(source, windows, entry)
    assert [path.name for path in tmp_path.iterdir()] == ["windows-x"]
    assert entry.stat().st_ino == first  # the first one stays


def test_the_folder_can_be_chosen(
    tmp_path: Path, make_recording: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSECG_CACHE", str(tmp_path / "here"))
    cached_windows(Counted(make_recording()).source())
    assert list((tmp_path / "here").glob("windows-*"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't write"):
        cached_windows(Counted(make_recording()).source(), tmp_path / "file")
