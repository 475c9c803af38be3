"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# One thread: the same bytes everywhere, and no spinning threads on small machines.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real datasets; tests that need it are skipped by name without it."""
    root = os.environ.get("TRANSECG_DATA_ROOT")
    if not root:
        pytest.skip("TRANSECG_DATA_ROOT is not set")
    return Path(root).resolve()
