"""Showing and pruning the cache."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from simulations import cachefolder
from simulations.cachefolder import entries, prune
from simulations.commands.cache import command
from transecg_core.cohorts import synthetic
from transecg_core.errors import UserError
from transecg_core.signals import cache
from transecg_core.signals.cache import cached_windows
from transecg_core.training.pretrain import cache_path

DAY = 86400.0
SITES = ("synth-a", "synth-b", "synth-c")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    for name in SITES:
        cached_windows(synthetic.open_site(name, 1, 0), root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three entries, last used 30, 10 and 0 days ago."""
    folder = tmp_path / "cache"
    shutil.copytree(made, folder)
    for entry in entries(folder):
        when = time.time() - {"synth-a": 30, "synth-b": 10, "synth-c": 0}[entry.site] * DAY
        os.utime(entry.path, (when, when))
    monkeypatch.setenv("TRANSECG_CACHE", str(folder))
    return folder


def sites(root: Path) -> list[str]:
    return [entry.site for entry in entries(root)]


def run(*args: str) -> str:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_entries_are_listed_least_recently_used_first(root: Path) -> None:
    found = entries(root)
    assert [entry.site for entry in found] == list(SITES)
    for entry in found:
        assert (entry.kind, entry.participants, entry.useless) == ("synthetic", 1, None)
        assert entry.records == 3
        assert entry.windows > 50
        assert entry.size == sum(path.stat().st_size for path in entry.path.iterdir())
        assert abs(entry.built - time.time()) < 3600


def test_the_table_names_sites_and_nobody(root: Path) -> None:
    shown = run()
    for name in (*SITES, "participants", "last used", "3 entries", str(root)):
        assert name in shown
    for record in (record.record for site in SITES for record in _windows(site, root).records):
        assert record not in shown


def _windows(site: str, root: Path) -> cache.Windows:
    return cached_windows(synthetic.open_site(site, 1, 0), root)


def test_an_empty_or_absent_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSECG_CACHE", str(tmp_path / "none"))
    assert "0 entries, 0.0 MB" in run()
    assert "removed 0 entries" in run("--prune", "--all")
    assert not (tmp_path / "none").exists()


def test_prune_alone_keeps_what_can_be_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert prune(root).entries == 0
    assert sites(root) == list(SITES)
    damaged = entries(root)[0].path / "x_NL.npy"
    os.truncate(damaged, 100)
    assert [entry.useless for entry in entries(root)] == ["damaged", None, None]
    assert "damaged" in run()
    assert prune(root).entries == 1
    assert sites(root) == ["synth-b", "synth-c"]
    monkeypatch.setattr(cachefolder, "preprocessing_version", lambda: "newer")
    assert {entry.useless for entry in entries(root)} == {"made by other code"}
    assert prune(root).entries == 2
    assert list(root.iterdir()) == []


def test_arrays_that_changed_are_damaged(root: Path) -> None:
    array = entries(root)[1].path / "component_NL.npy"
    array.write_bytes(array.read_bytes()[:-1] + b"\x2a")
    assert [entry.useless for entry in entries(root)] == [None, "damaged", None]


@pytest.mark.parametrize(("days", "left"), [(31, 3), (20, 2), (5, 1), (0, 0)])
def test_older_than(root: Path, days: float, left: int) -> None:
    freed = prune(root, older_than_days=days)
    assert sites(root) == list(SITES[3 - left :])
    assert freed.entries == 3 - left


def test_keep_gb_removes_the_least_recently_used(root: Path) -> None:
    sizes = {entry.site: entry.size for entry in entries(root)}
    assert prune(root, keep_gb=sum(sizes.values()) / 1e9).entries == 0
    freed = prune(root, keep_gb=(sizes["synth-b"] + sizes["synth-c"]) / 1e9)
    assert (freed.size, sites(root)) == (sizes["synth-a"], ["synth-b", "synth-c"])
    prune(root, keep_gb=sizes["synth-c"] / 1e9)
    assert sites(root) == ["synth-c"]
    prune(root, keep_gb=0)
    assert sites(root) == []


def test_what_is_not_ours_is_left_alone(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(entries(root)[0].path, outside)
    name = f"windows-{'0' * 32}"
    (root / name).symlink_to(outside)  # an entry, but elsewhere
    inner = root / f"windows-{'1' * 32}"
    inner.mkdir()
    (inner / "x_NL.npy").symlink_to(outside / "x_NL.npy")
    thesis = root / f"windows-{'2' * 32}"
    thesis.mkdir()
    (thesis / "thesis.docx").write_text("years of work")
    nested = root / f"windows-{'3' * 32}"
    (nested / "meta.json").mkdir(parents=True)
    (root / "windows-backup").mkdir()
    (root / "notes.txt").write_text("mine")
    (root / ".writing-link").symlink_to(outside)
    before = {path.name for path in outside.iterdir()}
    freed = prune(root, everything=True)
    assert freed.entries == 3
    assert {path.name for path in outside.iterdir()} == before
    assert thesis.joinpath("thesis.docx").read_text() == "years of work"
    assert set(freed.strange) == {path.name for path in root.iterdir()} - {".writing-link"}
    assert (root / ".writing-link").is_symlink()
    assert "left alone, not ours: notes.txt, windows-0" in run("--prune", "--all")


def test_left_over_scratch_is_swept_and_counted(root: Path) -> None:
    for name, age in (("old", 3600.0), ("young", 0.0)):
        scratch = root / f".writing-{name}"
        scratch.mkdir()
        (scratch / "x_NL.npy").write_bytes(b"half")
        os.utime(scratch, (time.time() - age,) * 2)
    assert "removed 0 entries and 1 left-over folders" in run("--prune")
    assert [path.name for path in root.glob(".writing-*")] == [".writing-young"]
    assert sites(root) == list(SITES)


def test_a_run_that_has_an_entry_open_keeps_it(root: Path) -> None:
    windows = _windows("synth-a", root)
    before = windows.x_NL.sum()
    freed = prune(root, everything=True)
    assert freed.size > 0
    assert list(root.iterdir()) == []
    assert windows.x_NL.sum() == before


def test_what_cant_be_removed_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(UserError, match=r"cache: can't remove .*windows-.* \(Permission denied\)"):
        prune(root, everything=True)
    assert sites(root) == list(SITES)


def test_options_without_prune_are_refused(root: Path) -> None:
    for option in (("--all",), ("--keep-gb", "1"), ("--older-than", "3")):
        with pytest.raises(UserError, match="give --prune too"):
            run(*option)
    assert sites(root) == list(SITES)


def test_the_command_prunes(root: Path) -> None:
    sized = sum(entry.size for entry in entries(root)) / 1e6
    assert f"removed 3 entries and 0 left-over folders, {sized:.1f} MB freed" in run("--prune", "--all")
    assert list(root.iterdir()) == []


def test_starting_weights_of_other_code_are_pruned_and_current_ones_only_with_all(root: Path) -> None:
    current, other = cache_path(5, cache_dir=root), root / f"pretrained-{0:032x}.safetensors"
    odd = root / "pretrained-mine.safetensors"
    for path in (current, other, odd):
        path.write_bytes(b"x" * 100)
    freed = prune(root)
    assert (freed.entries, freed.size, freed.strange) == (1, 100, (odd.name,))
    assert (current.exists(), other.exists()) == (True, False)
    assert prune(root, everything=True).entries == len(SITES) + 1
    assert sorted(path.name for path in root.iterdir()) == [odd.name]
