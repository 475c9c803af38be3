"""Assembles a Flower app folder from the installed packages, so that no checkout is needed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from simulations.engines.base import App

SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info")


def assemble(app: App, parent: Path) -> Path:
    """Write ``<parent>/<name>/`` holding the app's packages and a ``pyproject.toml`` without dependencies.

    Returns
    -------
    Path
        The app folder, ready for ``flwr run`` or ``flwr build``.
    """
    folder = parent / app.name
    folder.mkdir(parents=True)
    for package in app.packages:
        shutil.copytree(package, folder / package.name, ignore=SKIPPED)
    (folder / "pyproject.toml").write_text(_pyproject(app), encoding="utf-8")
    return folder


def _pyproject(app: App) -> str:
    include = [f"{package.name}/**/*{suffix}" for package in app.packages for suffix in _suffixes(package)]
    lines = [
        "[project]",
        f'name = "{app.name}"',
        f'version = "{app.version}"',
        'license = "Apache-2.0"',
        'description = "Assembled from the installed packages"',
        "dependencies = []",
        "",
        "[tool.flwr.app]",
        'publisher = "transecg"',
        f"fab-include = {json.dumps(include)}",
        "",
        "[tool.flwr.app.components]",
        f'serverapp = "{app.serverapp}"',
        f'clientapp = "{app.clientapp}"',
        "",
        "[tool.flwr.app.config]",
        *toml_lines(app.defaults),
    ]
    return "\n".join(lines) + "\n"


def _suffixes(package: Path) -> list[str]:
    """Return the suffixes to bundle; a pattern that matches nothing is an error to Flower."""
    return [suffix for suffix in (".py", ".json") if any(package.rglob(f"*{suffix}"))]


def toml_lines(options: object) -> list[str]:
    """Return ``key = value`` lines; JSON's strings and numbers are TOML's."""
    return [f"{key} = {json.dumps(value)}" for key, value in dict(options).items()]  # type: ignore[call-overload]
