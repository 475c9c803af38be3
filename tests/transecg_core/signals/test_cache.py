import ast
import dataclasses
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from counted import Counted

import transecg_core
from transecg_core.cohorts.schema import Recording
from transecg_core.errors import UserError
from transecg_core.signals import cache
from transecg_core.signals.cache import cached_windows
from transecg_core.signals.windows import build_windows

Make = Callable[..., Recording]


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


def test_every_module_that_windows_come_from_is_in_the_key() -> None:
    """All that `windows` imports is hashed, and what a synthetic source imports is hashed here or by itself."""
    package = Path(transecg_core.__file__).parent
    hashed = {path.relative_to(package).as_posix() for path in cache._modules(package)}
    # These only say what went wrong.
    said = {"errors.py"}
    assert _imported(package, "signals/windows.py") - said <= hashed
    own = {path.relative_to(package).as_posix() for path in (package / "cohorts").glob("synthetic*.py")}
    assert _imported(package, "cohorts/synthetic.py") - own - said <= hashed
    assert {"cohorts/schema.py", "signals/rpeaks.py", "seeds.py"} <= hashed
    assert _imported(package, "signals/windows.py") >= {"cohorts/schema.py", "signals/waves.py"}


def _imported(package: Path, module: str) -> set[str]:
    """Return the modules of the package that one imports, directly or not."""
    found, todo = {module}, [module]
    while todo:
        for node in ast.walk(ast.parse((package / todo.pop()).read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("transecg_core"):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                files = {f"{'/'.join(str(name).split('.')[1:])}.py" for name in names}
                new = {file for file in files if (package / file).is_file()} - found
                found |= new
                todo += new
    return found


def test_a_module_that_changes_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "transecg_core"
    shutil.copytree(
        Path(transecg_core.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(cache, "__file__", str(package / "signals" / "cache.py"))
    version = cache.preprocessing_version.__wrapped__
    seen = {cache.preprocessing_version(), version()}
    assert len(seen) == 1
    for module in ("cohorts/schema.py", "seeds.py", "signals/waves.py"):
        with (package / module).open("a") as file:
            file.write("\n# changed\n")
        assert version() not in seen
        seen.add(version())


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
