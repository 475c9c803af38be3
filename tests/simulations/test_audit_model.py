"""``transecg audit-model``: what stands in its folder, and that a refused audit leaves none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import transecg_core.report
import transecg_core.report.listing as listing
from simulations.commands.audit_model import audit
from transecg_core import external
from transecg_core.errors import UserError

OPTIONS = ["cohort=synthetic", "profile=quick"]


@pytest.fixture
def stubbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return an audit whose measurements are made up; it names what was written, in order."""
    written: list[str] = []
    monkeypatch.setattr(external, "read_weights", lambda path: {})
    monkeypatch.setattr(external, "audit_options", lambda pairs, weights: dict(pairs))
    monkeypatch.setattr(listing, "write_listing", lambda ctx, folder: written.append(f"listing of {ctx.of}"))
    monkeypatch.setattr(
        listing,
        "write_people",
        lambda ctx, people, folder: written.append(f"people {people} in {folder.is_dir()}"),
    )
    monkeypatch.setattr(
        transecg_core.report,
        "write_report",
        lambda body, folder: written.append("report") or folder / "report.html",
    )

    def run(measure: Callable[..., dict[str, Any]]) -> list[str]:
        monkeypatch.setattr(external, "audit_model", measure)
        page = audit(tmp_path / "encoder.safetensors", [*OPTIONS, f"output-dir={tmp_path / 'out'}"], None)
        assert page.parent.parent == tmp_path / "out"
        return written

    return run


def test_names_are_listed_beside_the_report(stubbed: Callable[..., list[str]]) -> None:
    body = {"people_at_risk": ["somebody"]}

    def measure(*arguments: Any) -> dict[str, Any]:
        arguments[-1](SimpleNamespace(of="the audit"), body)
        return body

    assert stubbed(measure) == ["listing of the audit", "people ['somebody'] in True", "report"]


def test_a_refused_audit_leaves_no_folder(stubbed: Callable[..., list[str]], tmp_path: Path) -> None:
    def measure(*arguments: Any) -> dict[str, Any]:
        raise UserError("the model can't be audited")

    with pytest.raises(UserError):
        stubbed(measure)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
