"""A model trained elsewhere: what is measured, what is refused, and that it agrees with the run that made it."""

from __future__ import annotations

import csv
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from transecg_core import external
from transecg_core.cohorts import open_site
from transecg_core.config import RunConfig, parse, parse_text
from transecg_core.errors import UserError
from transecg_core.evaluation import audit_context, audit_sources
from transecg_core.model.heads import new_site_model, shared_state
from transecg_core.report import complete
from transecg_core.report.listing import write_listing, write_people
from transecg_core.report.page import report_page
from transecg_core.risk.audit import audit
from transecg_core.run_record import RunRecord, SiteAccount
from transecg_core.sites import prepare

SMALL = {"profile": "quick", "sites": "synth-a,synth-b", "participants-per-site": "12"}


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return shared_state(new_site_model(10, ("sex", "age", "beat"), seed=5))


@pytest.fixture
def encoder(weights: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    save_file(weights, tmp_path / "encoder.safetensors")
    return tmp_path / "encoder.safetensors"


def config(weights: dict[str, torch.Tensor], **options: str) -> RunConfig:
    return parse_text(external.audit_options({**SMALL, **options}, weights))


def test_shape_and_tasks_come_from_the_weights(weights: dict[str, torch.Tensor]) -> None:
    cfg = config(weights)
    assert (cfg.patch, cfg.task_names, cfg.audit_split) == (10, ("participant", "sex", "age", "beat"), "none")


@pytest.mark.parametrize("key", ["learning-rate", "privacy", "audit-split", "patch", "tasks", "local-steps"])
def test_options_of_training_are_refused(weights: dict[str, torch.Tensor], key: str) -> None:
    with pytest.raises(UserError, match=f"{key} has no effect: the model is already trained"):
        external.audit_options({key: "1"}, weights)


def test_every_option_that_is_let_through_exists() -> None:
    from transecg_core.config import option_names

    assert set(external.OPTIONS) <= set(option_names())


def test_without_members_a_and_b_are_measured_and_c_says_why_not(
    weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    report = complete(
        external.audit_model(
            weights, config(weights), None, "transecg audit-model", print,
            lambda ctx, body: [write_listing(ctx, tmp_path), write_people(ctx, body["people_at_risk"], tmp_path)],
        )
    )  # fmt: skip
    with (tmp_path / "people.csv").open(encoding="utf-8", newline="") as file:
        named = {row["code"]: row["participant"] for row in csv.DictReader(file)}
    assert set(named) == {one["participant"] for one in report["people_at_risk"]}
    assert len(set(named.values())) > 5
    assert (tmp_path / "duplicates.csv").exists()
    kinds = {kind: [row for row in report["risks"] if row["kind"] == kind] for kind in "ABC"}
    assert any(row["main"] is not None for row in kinds["A"])
    assert any(row["main"] is not None for row in kinds["B"])
    assert all(row["control"] is None for row in kinds["B"])
    assert {row["main"] for row in kinds["C"]} == {None}
    assert all("nobody says whom the model was trained on" in row["notes"] for row in kinds["C"])
    assert report["data"]["audited_on"] == "people of unknown membership"
    assert {row["trained_on"] for row in report["data"]["sites"]} == {None}
    assert report["privacy"]["unit"] == "unknown"
    assert report["releases"] == []
    said = " ".join([*report["verdict"], *report["limits"]])
    assert "may or may not have trained on" in said
    assert "trained elsewhere" in said
    assert "never trained" not in said  # that would be a claim nobody can make
    assert "No differential privacy" not in said
    assert "learning-rate" not in report["manifest"]["config"]
    page = report_page(report)
    assert "MODEL TRAINED ELSEWHERE" in page
    assert "0 rounds" not in page


def test_declared_members_give_the_same_figures_as_the_run_that_knew_them(
    weights: dict[str, torch.Tensor],
) -> None:
    """The audit of a run and the audit of its encoder, told the same members, are one computation."""
    run = parse({"profile": "quick", "sites": "synth-a,synth-b", "participants-per-site": 12, "patch": 10,
                 "tasks": "participant,sex,age,beat"})  # fmt: skip
    account = {name: SiteAccount(accepted=1) for name in run.site_names}
    record = RunRecord(run, "inline", [], account, {}, run.task_names)
    ctx = audit_context(record, weights, audit_sources(run))
    members = {
        site.name: frozenset(np.array(site.windows.participants)[site.member_P].tolist())
        for site in ctx.sites
    }
    report = external.audit_model(weights, config(weights), members, "transecg audit-model", print)
    expected = [row.as_dict() for row in audit(ctx).rows]
    assert any(row["kind"] == "C" and row["main"] is not None for row in expected)
    for got, row in zip(report["risks"], expected, strict=True):
        # ... and so is every figure; whence it is known who trained is told apart.
        told = {key for key in row if got[key] != row[key]}
        assert told <= ({"protocol", "notes"} if row["kind"] == "C" else set())
        if row["protocol"] == "independent-coins":
            assert got["protocol"] == "declared-members"
        if row["kind"] == "C" and row["main"] is not None:
            assert "members declared, not drawn by a coin" in got["notes"]
            assert "declared" not in row["notes"]
    assert "declared, not drawn by a coin" in " ".join(report["limits"])


def test_whoever_trained_at_one_site_is_no_control_at_another(weights: dict[str, torch.Tensor]) -> None:
    cfg = config(weights)
    a, b = (open_site(cfg, name) for name in cfg.site_names)
    twin = next(local for local in a.aliases if a.aliases[local] in set(b.aliases.values()))
    trained = external._canonical({"synth-a": frozenset({twin})}, (a, b))
    at_b = external._site(cfg, b, trained).data
    assert [at_b.person_P[i] for i in np.flatnonzero(at_b.member_P)] == [a.aliases[twin]]


@pytest.mark.parametrize(
    ("members", "part"),
    [
        ({"synth-z": frozenset({"x"})}, "no site 'synth-z'"),
        ({"synth-a": frozenset({"nobody"})}, "1 of 1 declared people have no usable record"),
    ],
)
def test_members_that_are_not_there_are_refused(
    weights: dict[str, torch.Tensor], members: external.Members, part: str
) -> None:
    with pytest.raises(UserError, match=part):
        external.audit_model(weights, config(weights), members, "", print)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "names nobody"),
        ("site,participant\n", "names nobody"),
        ("person\nA\n", "line 2 lacks site or participant"),
        ("site,participant\nsynth-a,\n", "line 2 lacks site or participant"),
    ],
)
def test_a_members_file_that_says_nothing_is_refused(tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "members.csv").write_text(text)
    with pytest.raises(UserError, match=part):
        external.read_members(tmp_path / "members.csv")


def test_members_are_read_by_site(tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_text("\ufeffsite,participant,note\r\nb,1,x\r\na,2,\r\nb,3,\r\n", encoding="utf-8")
    assert external.read_members(path) == {"a": {"2"}, "b": {"1", "3"}}


def test_ids_are_composed_as_the_table_s_are(tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_text(f"site,participant\na,{unicodedata.normalize('NFD', 'Jürgen')}\n", encoding="utf-8")
    assert external.read_members(path) == {"a": {"J\u00fcrgen"}}


def test_the_line_that_is_wrong_is_named_whatever_is_blank(tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_text("site,participant\n\na,1\n\n,2\n")
    with pytest.raises(UserError, match="line 5 lacks"):
        external.read_members(path)


def test_weights_are_read(encoder: Path, weights: dict[str, torch.Tensor]) -> None:
    read = external.read_weights(encoder)
    assert sorted(read) == sorted(weights)


def hostile(weights: dict[str, torch.Tensor], what: str) -> dict[str, torch.Tensor]:
    name = "encoder.norm.weight"
    if what == "missing":
        return {key: value for key, value in weights.items() if key != name}
    if what == "nan":
        return {**weights, name: torch.full_like(weights[name], float("nan"))}
    if what == "huge":
        return {key: value * 1e30 for key, value in weights.items()}
    if what == "shape":
        return {**weights, name: torch.ones(3)}
    if what == "patch":
        return {**weights, "encoder.embed.weight": torch.ones(64, 7)}
    if what == "roster":
        return {**weights, "heads.participant.weight": torch.ones(9, 64)}
    return {"something.else": torch.ones(2)}


@pytest.mark.parametrize("what", ["missing", "nan", "huge", "shape", "patch", "roster", "else"])
def test_weights_that_are_not_this_encoder_are_refused_in_one_line(
    weights: dict[str, torch.Tensor], tmp_path: Path, what: str
) -> None:
    path = tmp_path / "encoder.safetensors"
    save_file(hostile(weights, what), path)

    def attempt() -> None:
        read = external.read_weights(path)
        external.audit_model(read, config(read), None, "", print)

    with pytest.raises(UserError) as caught:
        attempt()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\xff" * 64, b"{}"])
def test_no_safetensors_no_audit(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "e.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="not a safetensors file"):
        external.read_weights(tmp_path / "e.safetensors")


def test_a_file_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "MAX_BYTES", 10)
    (tmp_path / "e.safetensors").write_bytes(b"x" * 11)
    with pytest.raises(UserError, match="no encoder of this shape"):
        external.read_weights(tmp_path / "e.safetensors")


def test_a_directory_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give a safetensors file"):
        external.read_weights(tmp_path)


def test_preparing_for_an_audit_holds_nobody_out(weights: dict[str, torch.Tensor]) -> None:
    cfg = config(weights)
    assert prepare(cfg, open_site(cfg, "synth-a")).data.member_P.all()
