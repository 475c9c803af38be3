"""The bundle: exactly our three packages, nothing lost silently, nothing to install."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from flwr.cli.build import build_fab_from_disk

from simulations.appfolder import assemble
from simulations.launcher import installed_app
from transecg_core.config import defaults

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("client", "server", "transecg_core")
LARGEST = 2_000_000
"""Bytes; code only. Data or results that crept in would be more; Flower itself takes 10 MB."""


def package_files(parent: Path) -> set[str]:
    """Return every file of the three packages, whatever its suffix."""
    return {
        path.relative_to(parent).as_posix()
        for package in PACKAGES
        for path in (parent / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def names(bundle: bytes) -> set[str]:
    with zipfile.ZipFile(BytesIO(bundle)) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def checkout_bundle() -> bytes:
    return build_fab_from_disk(ROOT)


def test_the_checkouts_bundle_holds_our_packages_and_no_more(checkout_bundle):
    extra = {"pyproject.toml", "LICENSE", "buildtools/transecg_build.py", ".info/CONTENT"}
    assert names(checkout_bundle) == package_files(ROOT) | extra
    assert len(checkout_bundle) < LARGEST


def test_the_assembled_apps_bundle_holds_the_same_packages(tmp_path):
    bundle = build_fab_from_disk(assemble(installed_app(), tmp_path))
    assert names(bundle) == package_files(ROOT) | {"pyproject.toml", ".info/CONTENT"}
    assert len(bundle) < LARGEST


def test_a_file_that_flower_would_drop_is_noticed(tmp_path):
    folder = assemble(installed_app(), tmp_path)
    (folder / "transecg_core" / "test_me.py").write_text("")
    lost = package_files(folder) - names(build_fab_from_disk(folder))
    assert lost == {"transecg_core/test_me.py"}


def test_the_assembled_apps_defaults_are_ours(tmp_path):
    import tomllib

    project = tomllib.loads((assemble(installed_app(), tmp_path) / "pyproject.toml").read_text())
    assert project["tool"]["flwr"]["app"]["config"] == defaults()
    assert project["project"]["dependencies"] == []


def sync(folder: Path, environment: Path) -> subprocess.CompletedProcess[str]:
    """Do what Flower's SuperLink does before a run, without a network."""
    command = [sys.executable, "-m", "uv", "sync", "--python", sys.executable,
               "--no-install-project", "--no-install-package", "flwr", "--inexact"]  # fmt: skip
    env = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(environment), "UV_OFFLINE": "1",
           "UV_CACHE_DIR": str(environment.parent / "cache")}  # fmt: skip
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_flowers_run_time_installation_finds_nothing_to_install(checkout_bundle, tmp_path):
    with zipfile.ZipFile(BytesIO(checkout_bundle)) as archive:
        archive.extractall(tmp_path / "app")
    done = sync(tmp_path / "app", tmp_path / "env")
    assert done.returncode == 0, done.stderr
    assert "Resolved 1 package" in done.stderr
    assert "+ " not in done.stderr
    installed = [path.name for path in (tmp_path / "env").glob("lib/python*/site-packages/*.dist-info")]
    assert installed == []


def test_with_a_dependency_list_it_would_have(checkout_bundle, tmp_path):
    with zipfile.ZipFile(BytesIO(checkout_bundle)) as archive:
        archive.extractall(tmp_path / "app")
    project = tmp_path / "app" / "pyproject.toml"
    text = project.read_text()
    dynamic = 'dynamic = [\n    "dependencies",\n    "optional-dependencies",\n]'
    assert dynamic in text
    project.write_text(text.replace(dynamic, 'dependencies = ["torch"]'))
    assert sync(tmp_path / "app", tmp_path / "env").returncode != 0
