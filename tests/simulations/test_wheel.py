"""A wheel, installed without the checkout and run from an empty folder, inline and on Ray: the same bytes."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel
ROOT = Path(__file__).resolve().parents[2]
TINY = ["profile=quick", "participants-per-site=6", "num-server-rounds=2", "local-steps=3", "tasks=sex,beat"]


def call(command: list[str | Path], **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    wanted = {"client", "server", "transecg_core", "simulations", "buildtools", "requirements", "pyproject.toml",
              "MANIFEST.in", "README.md", "LICENSE"}  # fmt: skip
    source = _made(folder / "source")
    for name in sorted(wanted):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, source / name)
    done = call([sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-w", folder],
                cwd=source)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """Return the bin folder of a new environment: our wheel, and this environment's third-party packages."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    done = call(
        [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    packages = next(folder.glob("lib/python*/site-packages"))
    # A path file, not site-packages of ours: an editable install's own path file must not come along.
    (packages / "third-party.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    for entry in distribution("flwr").entry_points.select(group="console_scripts"):
        script = folder / "bin" / entry.name
        script.write_text(
            f"#!{python}\nimport sys\nfrom {entry.module} import {entry.attr}\nsys.exit({entry.attr}())\n"
        )
        script.chmod(0o755)
    return folder / "bin"


def test_the_wheel_holds_packages_and_requirements(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "client", "server", "transecg_core", "simulations",
    }  # fmt: skip
    assert "transecg_core/report/schema.json" in names
    assert "Requires-Dist: flwr[simulation]==1.41.0" in metadata
    assert "Requires-Dist: torch==2.14.1" in metadata
    assert 'extra == "test"' in metadata


def test_inline_and_ray_from_an_empty_folder_give_the_same_encoder(environment, tmp_path, left):
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    where = call(
        [environment / "python", "-c", "import transecg_core; print(transecg_core.__file__)"],
        cwd=tmp_path,
        env=env,
    )
    assert str(environment.parent) in where.stdout
    encoders = []
    for engine in ("inline", "ray"):
        empty = _made(tmp_path / engine)
        done = call([environment / "transecg", "run", *TINY, "--engine", engine], cwd=empty, env=env)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        report = Path(done.stdout.strip().split("\n")[-1])
        assert report.is_file()
        assert report.is_relative_to(empty / "runs")
        assert (report.parent / "run.log").is_file()
        encoders.append((report.parent / "encoder.safetensors").read_bytes())
    assert encoders[0] == encoders[1]
    assert left() == []
