"""What may happen to the cache: other writers, kills, a folder that is read-only or emptied."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from counted import Counted

from transecg_core.cohorts.schema import Recording, SkipLog
from transecg_core.errors import UserError
from transecg_core.signals import cache
from transecg_core.signals.cache import cached_windows

Make = Callable[..., Recording]


def in_child(function: Callable[..., None], *args: object) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=function, args=args)
    process.start()
    return process


def _build_together(root: Path, recording: Recording, barrier: object, answers: object) -> None:
    counted = Counted(recording)
    read = counted.read

    def both(skips: SkipLog) -> Iterator[Recording]:
        barrier.wait(30)  # both have missed the entry, and build it
        yield from read(skips)

    source = dataclasses.replace(counted.source(), read=both)
    save = np.save

    def slowly(*args: object, **kwargs: object) -> None:
        save(*args, **kwargs)
        barrier.wait(30)  # both write file by file, side by side

    cache.np.save = slowly  # type: ignore[assignment]
    windows = cached_windows(source, root)
    answers.put((len(windows), float(windows.x_NL.sum()), isinstance(windows.x_NL, np.memmap)))


def test_two_processes_that_build_the_same_entry_at_once(tmp_path: Path, make_recording: Make) -> None:
    recording = make_recording()
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(2), context.Queue()
    both = [in_child(_build_together, tmp_path, recording, barrier, answers) for _ in range(2)]
    first, second = answers.get(timeout=60), answers.get(timeout=60)
    for process in both:
        process.join()
        assert process.exitcode == 0
    assert first == second
    assert first[2]
    (entry,) = tmp_path.iterdir()
    assert cache.load(entry) is not None


def _hang_while_writing(root: Path, recording: Recording, written: object) -> None:
    save = np.save

    def half(path: Path, *args: object, **kwargs: object) -> None:
        save(path, *args, **kwargs)
        if path.name == f"{cache.ARRAYS[3]}.npy":
            os.truncate(path, path.stat().st_size // 2)
            written.set()
            time.sleep(60)

    cache.np.save = half  # type: ignore[assignment]
    cached_windows(Counted(recording).source(), root)


def test_a_writer_killed_in_the_middle_leaves_what_is_swept(
    tmp_path: Path, make_recording: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = make_recording()
    written = multiprocessing.get_context("fork").Event()
    process = in_child(_hang_while_writing, tmp_path, recording, written)
    assert written.wait(60)
    (scratch,) = tmp_path.glob(".writing-*")
    monkeypatch.setattr(cache, "GRACE_S", -1.0)
    assert cache.sweep(tmp_path) == 0  # its writer lives
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not list(tmp_path.glob("windows-*"))
    monkeypatch.setattr(cache, "GRACE_S", 60.0)
    assert len(cached_windows(Counted(recording).source(), tmp_path)) > 10  # ignored, not read
    assert scratch.is_dir()  # too young to tell from one whose writer has only begun
    monkeypatch.setattr(cache, "GRACE_S", -1.0)
    assert cache.sweep(tmp_path) == 1
    assert [path.name[:8] for path in tmp_path.iterdir()] == ["windows-"]


@pytest.fixture
def entry_made(tmp_path: Path, make_recording: Make) -> Path:
    cached_windows(Counted(make_recording()).source(), tmp_path)
    return tmp_path


def test_the_last_use_is_kept(entry_made: Path, make_recording: Make) -> None:
    (entry,) = entry_made.iterdir()
    os.utime(entry, (1e9, 1e9))
    cached_windows(Counted(make_recording()).source(), entry_made)
    assert time.time() - entry.stat().st_mtime < 60


def _use_read_only(root: Path, recording: Recording, answers: object) -> None:
    if os.geteuid() == 0:  # root writes everywhere
        os.setuid(65534)
    for fingerprint in ("one", "two"):
        try:
            answers.put(len(cached_windows(Counted(recording).source(fingerprint), root)))
        except UserError as error:
            answers.put(str(error))


def test_a_read_only_cache_is_read_and_says_so_when_it_must_be_written(make_recording: Make) -> None:
    """In a process that may not write: what is there is used, what isn't is a typed error."""
    root, recording = Path(tempfile.mkdtemp()), make_recording()
    try:
        count = len(cached_windows(Counted(recording).source(), root))
        for path in root.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        root.chmod(0o555)
        answers = multiprocessing.get_context("fork").Queue()
        process = in_child(_use_read_only, root, recording, answers)
        assert answers.get(timeout=60) == count
        assert f"cache: can't write {root} (Permission denied); set TRANSECG_CACHE" in answers.get(timeout=60)
        process.join()
    finally:
        root.chmod(0o755)
        for path in root.glob("*"):
            path.chmod(0o755)
        shutil.rmtree(root)


def test_an_entry_that_is_removed_while_open_stays_readable(entry_made: Path, make_recording: Make) -> None:
    counted = Counted(make_recording())
    windows = cached_windows(counted.source(), entry_made)
    before = windows.x_NL.sum()
    (entry,) = entry_made.iterdir()
    shutil.rmtree(entry)
    assert windows.x_NL.sum() == before
    assert len(cached_windows(counted.source(), entry_made)) == len(windows)
    assert counted.reads == 1


def test_a_cache_emptied_between_writing_and_reading_costs_nothing(
    tmp_path: Path, make_recording: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "load", lambda _entry: None)
    counted = Counted(make_recording())
    assert len(cached_windows(counted.source(), tmp_path)) > 10
    assert counted.reads == 1
