"""Build backend: setuptools in a checkout, an empty dependency list in the app bundle.

Flower 1.41's local SuperLink runs ``uv sync`` on the bundle's ``pyproject.toml`` before
every run. That would fetch gigabytes into a second environment and put it ahead of the one
the user installed; without a network it would fail the run. So the requirements live in
``requirements/*.txt``, which a bundle can't hold (Flower drops the suffix), and this backend
answers for the bundle with no requirement at all, needing nothing but Python itself.
In a checkout or a source archive every call goes to setuptools, which reads those files.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SETUPTOOLS = ["setuptools>=77"]


def in_bundle() -> bool:
    """Tell whether this is an unpacked app bundle."""
    return not (ROOT / "requirements" / "run.txt").is_file()


def _setuptools() -> Any:
    if in_bundle():
        raise SystemExit("this folder is a Flower app bundle; install TransECG-FL from its checkout or wheel")
    from setuptools import build_meta

    return build_meta


def _needs(config_settings: Any = None) -> list[str]:
    return [] if in_bundle() else list(SETUPTOOLS)


get_requires_for_build_wheel = _needs
get_requires_for_build_editable = _needs
get_requires_for_build_sdist = _needs


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Any = None) -> str:
    """Write the metadata; in a bundle only name and version."""
    if not in_bundle():
        return str(_setuptools().prepare_metadata_for_build_wheel(metadata_directory, config_settings))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folder = f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    (Path(metadata_directory) / folder).mkdir(parents=True, exist_ok=True)
    text = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (Path(metadata_directory) / folder / "METADATA").write_text(text, encoding="utf-8")
    return folder


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Any = None) -> str:
    """As for a wheel."""
    if not in_bundle():
        return str(_setuptools().prepare_metadata_for_build_editable(metadata_directory, config_settings))
    return prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    """Build a wheel with setuptools."""
    return str(_setuptools().build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    """Build an editable wheel with setuptools."""
    return str(_setuptools().build_editable(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    """Build a source archive with setuptools."""
    return str(_setuptools().build_sdist(sdist_directory, config_settings))
