"""The cache on the five real datasets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from transecg_core.cohorts import READERS, open_reader
from transecg_core.signals import cache


def load_all(data_root: Path, root: Path) -> int:
    sources = [open_reader(name, data_root / name, name) for name in sorted(READERS)]
    return sum(len(cache.cached_windows(source, root).records) for source in sources)


@pytest.mark.real
def test_a_cached_load_of_everything_takes_two_seconds(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening the sources included, which hashes every file; CPU time, as other work may share the machine."""
    records = load_all(data_root, tmp_path)
    assert records > 1000

    def built_again(_source: object) -> None:
        raise AssertionError("not from the cache")

    monkeypatch.setattr(cache, "build_windows", built_again)
    start = time.process_time()
    assert load_all(data_root, tmp_path) == records
    assert time.process_time() - start < 2.0
