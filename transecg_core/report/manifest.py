"""What a run was made of: options, seeds, code, packages, data."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from transecg_core.config import RunConfig

PACKAGES: tuple[str, ...] = (
    "dp-accounting", "edfio", "flwr", "matplotlib", "neurokit2", "numpy", "opacus", "pydantic", "ray", "safetensors",
    "scipy", "sleepecg", "timm", "torch", "transecg-fl", "wfdb",
)  # fmt: skip
"""Distributions whose versions can change a figure."""
CODE: tuple[str, ...] = ("client", "server", "transecg_core")
"""The packages that an app bundle holds; their code is the code of a run."""


@cache
def code_hash() -> str:
    """Return the SHA-256 of the names and contents of every ``.py`` file of `CODE`.

    It is the same for a checkout, an installed wheel and an unpacked app bundle.
    """
    return hash_code(Path(__file__).resolve().parents[2])


def hash_code(root: Path) -> str:
    """Return `code_hash` of the packages below `root`."""
    digest = hashlib.sha256()
    for package in CODE:
        for path in sorted((root / package).rglob("*.py"), key=lambda p: p.relative_to(root).as_posix()):
            data = path.read_bytes()
            digest.update(f"{path.relative_to(root).as_posix()}\x1f{len(data)}\x1f".encode())
            digest.update(data)
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def manifest(cfg: RunConfig, engine: str, command: str, data_hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return the report's ``manifest``.

    Parameters
    ----------
    engine
        ``inline``, ``ray`` or ``deployment``.
    command
        What was typed, or the equivalent ``flwr run`` line.
    data_hashes
        Site -> SHA-256 over its input (`SiteSource.fingerprint`).
    """
    return {
        "config": cfg.model_dump(by_alias=True, mode="json"),
        "seeds": {"run": cfg.seed},
        "code_hash": code_hash(),
        "versions": {package: _version(package) for package in PACKAGES},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "data_hashes": {site: data_hashes[site] for site in sorted(data_hashes)},
        "engine": engine,
        "command": command,
    }
