"""Damaged entries of the cache: never served, always mended."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from counted import Counted

from transecg_core.cohorts.schema import Recording
from transecg_core.errors import UserError
from transecg_core.signals import cache
from transecg_core.signals.cache import cached_windows

Make = Callable[..., Recording]


@pytest.fixture
def entry_made(tmp_path: Path, make_recording: Make) -> Path:
    cached_windows(Counted(make_recording()).source(), tmp_path)
    return tmp_path


def _truncate(name: str) -> Callable[[Path], None]:
    return lambda entry: os.truncate(entry / name, (entry / name).stat().st_size - 1)


def _rewrite(name: str, text: str) -> Callable[[Path], None]:
    return lambda entry: (entry / name).write_text(text) and None


def _swap_meta(entry: Path) -> None:
    """The same length, another content."""
    meta = entry / "meta.json"
    meta.write_bytes(meta.read_bytes().replace(b'"p1"', b'"p2"'))


def _zero_tail(name: str) -> Callable[[Path], None]:
    """Zeros where the last samples were, as a power cut leaves them; the same length."""

    def damage(entry: Path) -> None:
        raw = (entry / name).read_bytes()
        lost = raw[-64:].replace(b"\0", b"\1") if not any(raw[-64:]) else bytes(64)
        (entry / name).write_bytes(raw[:-64] + lost)

    return damage


def _lie(name: str, value: int) -> Callable[[Path], None]:
    """An index or code that means nothing, under a checksum that fits."""

    def damage(entry: Path) -> None:
        array = np.load(entry / f"{name}.npy")
        array.flat[-1] = value
        np.save(entry / f"{name}.npy", array)
        _seal(entry, f"{name}.npy")

    return damage


def _seal(entry: Path, name: str) -> None:
    manifest = json.loads((entry / "entry.json").read_text())
    raw = (entry / name).read_bytes()
    manifest["files"][name] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    (entry / "entry.json").write_text(json.dumps(manifest))


def _retype(entry: Path) -> None:
    np.save(entry / "beat_N.npy", np.load(entry / "beat_N.npy").astype(np.int64))
    _seal(entry, "beat_N.npy")


def _one_less(entry: Path) -> None:
    np.save(entry / "beat_N.npy", np.load(entry / "beat_N.npy")[1:])
    _seal(entry, "beat_N.npy")


def _recount(entry: Path) -> None:
    text = (entry / "entry.json").read_text()
    (entry / "entry.json").write_text(text.replace('"participants": 1', '"participants": 2'))


DAMAGE: dict[str, Callable[[Path], None]] = {
    **{f"{name} cut": _truncate(f"{name}.npy") for name in cache.ARRAYS},
    **{
        f"{name} missing": (lambda entry, name=name: (entry / f"{name}.npy").unlink())
        for name in cache.ARRAYS
    },
    **{f"{name} overwritten": _zero_tail(f"{name}.npy") for name in cache.ARRAYS},
    **{
        f"{name} of {value}": _lie(name, value)
        for name, value in (
            ("participant_N", 99),
            ("participant_N", -1),
            ("record_N", 1),
            ("rpeak_record_B", 1),
            ("session_N", 0),
            ("session_N", 2),  # not the record's
            ("beat_N", 3),
            ("component_NL", 7),
            ("r_sample_N", -1),
            ("rpeak_B", -1),
            ("scale_N", 0),
            ("scale_N", np.inf),
        )
    },
    "an array of another type": _retype,
    "an array shorter than others": _one_less,
    "manifest of another count": _recount,
    "manifest nested too deep": _rewrite("entry.json", "[" * 100_000),
    "an array empty": _rewrite("x_NL.npy", ""),
    "meta missing": lambda entry: (entry / "meta.json").unlink(),
    "meta changed": _swap_meta,
    "meta cut": _truncate("meta.json"),
    "manifest missing": lambda entry: (entry / "entry.json").unlink(),
    "manifest empty": _rewrite("entry.json", ""),
    "manifest of another shape": _rewrite("entry.json", '["no", "mapping"]'),
    "manifest that names no file": _rewrite("entry.json", '{"files": {}, "windows": 1}'),
    "manifest that isn't text": lambda entry: (entry / "entry.json").write_bytes(b"\xff\xfe\x00"),
    "nothing in it": lambda entry: [path.unlink() for path in entry.iterdir()] and None,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_built_again(entry_made: Path, make_recording: Make, damage: str) -> None:
    root, (entry,) = entry_made, tuple(entry_made.iterdir())
    DAMAGE[damage](entry)
    assert cache.load(entry) is None
    counted = Counted(make_recording())
    windows = cached_windows(counted.source(), root)
    assert counted.reads == 1
    assert windows.participants == ("p1",)
    assert isinstance(windows.x_NL, np.memmap)
    assert [path.name for path in root.iterdir()] == [entry.name]
    cached_windows(counted.source(), root)
    assert counted.reads == 1


@pytest.mark.parametrize("others", [1, 2])
def test_two_runs_that_mend_the_same_entry(
    entry_made: Path,
    make_recording: Make,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    others: int,
) -> None:
    """Another run puts its own, whole or damaged again, where we have just moved the damaged one away."""
    (entry,) = entry_made.iterdir()
    whole = tmp_path_factory.mktemp("whole") / "entry"
    shutil.copytree(entry, whole)
    (entry / "meta.json").write_text("x")
    rename, left = Path.rename, [others]

    def overtaken(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        if self == entry and left[0]:
            left[0] -= 1
            shutil.copytree(whole, entry)
            if left[0]:
                (entry / "meta.json").write_text("y")
        return moved

    monkeypatch.setattr(Path, "rename", overtaken)
    counted = Counted(make_recording())
    assert isinstance(cached_windows(counted.source(), entry_made).x_NL, np.memmap)
    assert (counted.reads, left[0]) == (1, 0)
    assert [path.name for path in entry_made.iterdir()] == [entry.name]
    assert cache.load(entry) is not None


def test_an_entry_that_cant_be_mended_is_named(
    entry_made: Path, make_recording: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = entry_made.iterdir()
    (entry / "meta.json").write_text("x")

    def denied(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(UserError, match=r"can't write .*Permission denied"):
        cached_windows(Counted(make_recording()).source(), entry_made)
