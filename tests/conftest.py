"""Shared fixtures, and the tiers: plain ``pytest`` runs the default tier and skips the others by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# No deadline: a busy machine is no failure. In CI the examples are the same every time; elsewhere they roam.
settings.register_profile("house", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("house")

# One thread: the same bytes everywhere, and no spinning threads on small machines.
torch.set_num_threads(1)

TIERS = ("real", "ray", "deployment", "browser", "audit", "wheel")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without ``-m``, skip every slow tier with the command that runs it."""
    if config.option.markexpr:
        return
    for item in items:
        for tier in TIERS:
            if item.get_closest_marker(tier):
                item.add_marker(pytest.mark.skip(reason=f"tier '{tier}': run pytest -m {tier}"))
                break


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real datasets; tests that need it are skipped by name without it."""
    root = os.environ.get("TRANSECG_DATA_ROOT")
    if not root:
        pytest.skip("TRANSECG_DATA_ROOT is not set")
    return Path(root).resolve()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests' window cache out of the user's, unless one is named for them."""
    os.environ.setdefault("TRANSECG_CACHE", str(tmp_path_factory.mktemp("cache")))
