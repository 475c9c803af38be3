"""The arrows of the house: who may import whom."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "transecg_core": {"flwr", "ray", "client", "server", "simulations"},
    "client": {"server", "simulations"},
    "server": {"client", "simulations"},
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_arrows_never_point_back(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    assert {
        str(f.relative_to(ROOT)): imports(f) & FORBIDDEN[package]
        for f in files
        if imports(f) & FORBIDDEN[package]
    } == {}


def test_one_module_imports_opacus_and_nobody_unpickles() -> None:
    files = [
        f
        for p in ("client", "server", "transecg_core", "simulations", "benchmarks", "buildtools")
        for f in sorted((ROOT / p).rglob("*.py"))
    ]
    assert [str(f.relative_to(ROOT)) for f in files if "opacus" in imports(f)] == [
        "transecg_core/training/private.py"
    ]
    assert [
        str(f.relative_to(ROOT)) for f in files if imports(f) & {"pickle", "cloudpickle", "dill", "joblib"}
    ] == []
    texts = {f: f.read_text(encoding="utf-8") for f in files}
    assert [f for f, text in texts.items() if "torch.load(" in text or "allow_pickle=True" in text] == []


def test_every_tier_that_plain_pytest_skips_is_required_in_ci(request: pytest.FixtureRequest) -> None:
    """A tier that plain pytest skips and that is declared nowhere would never run."""
    skipped = next(p.TIERS for p in request.config.pluginmanager.get_plugins() if hasattr(p, "TIERS"))
    pytest_options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]
    marked = [line.partition(":")[0] for line in pytest_options["ini_options"]["markers"]]
    assert sorted(skipped) == sorted(marked)
    plan = json.loads((ROOT / ".ci" / "tiers.json").read_text(encoding="utf-8"))
    by_name = {tier["name"]: tier for tier in plan["tiers"]}
    assert set(by_name) == {"default", *skipped}
    assert all(tier["required"] for tier in by_name.values())
    assert {name: tier["arguments"] for name, tier in by_name.items()} == {
        "default": [],
        **{name: ["-m", name] for name in skipped},
    }
