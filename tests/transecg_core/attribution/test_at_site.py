"""What a site computes on its own probes: the planted truth, groups of ten, and no figure without its reason."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from transecg_core.attribution import at_site
from transecg_core.attribution.at_site import explain_at_site
from transecg_core.attribution.embedding import embed
from transecg_core.attribution.site_rows import (
    AT_SITE,
    METHODS_AT_SITE,
    NEAR_CHANCE,
    NO_HEAD,
    NO_LABELS,
    NO_RELEVANCE,
    REASONS,
    TOO_FEW,
    Row,
    questions,
    rows_without,
)
from transecg_core.cohorts.schema import COMPONENTS
from transecg_core.config import RunConfig, parse
from transecg_core.model.heads import SiteModel, new_site_model, shared_state
from transecg_core.risk.context import AuditContext
from transecg_core.sites import Site, head_classes

TASKS = ("participant", "sex", "age")
PEOPLE = 14


def config(**changes: object) -> RunConfig:
    options = {"profile": "quick", "tasks": "participant,sex,age", "audit-split": "none", "seed": 3}
    return parse(options | {key.replace("_", "-"): value for key, value in changes.items()})


def site_of(toy: AuditContext, tasks: tuple[str, ...] = ("sex", "age"), **changes: Any) -> Site:
    return Site(replace(toy.sites[0], **changes), PEOPLE, tasks)


def own_head(model: SiteModel, cfg: RunConfig, site: Site) -> dict[str, torch.Tensor]:
    """A participant head without training: each person's mean embedding, as a nearest-centroid classifier."""
    windows, class_P = site.data.windows, head_classes(cfg, site)
    z_ND = embed(model.encoder, np.asarray(windows.x_NL))
    class_N = torch.from_numpy(class_P[windows.participant_N])
    gallery_N = torch.from_numpy(site.data.split.gallery_N)
    centre_CD = torch.stack(
        [z_ND[(class_N == c) & gallery_N].mean(dim=0) for c in range(int(class_P.max()) + 1)]
    )
    return {
        "heads.participant.weight": 2 * centre_CD,
        "heads.participant.bias": -(centre_CD**2).sum(dim=1),
    }


def explained(toy: AuditContext, cfg: RunConfig | None = None, **changes: Any) -> list[Row]:
    cfg, site = cfg or config(), site_of(toy, **changes)
    return explain_at_site(cfg, site, shared_state(toy.model), own_head(toy.model, cfg, site))


def rows_of(rows: list[Row], task: str) -> list[Row]:
    found = [row for row in rows if row["task"] == task]
    assert [row["method"] for row in found] == list(METHODS_AT_SITE)
    return found


@pytest.fixture(scope="module")
def rows(toy: AuditContext) -> list[Row]:
    return explained(toy)


def test_sex_and_identity_planted_in_the_qrs_are_found_there(rows: list[Row]) -> None:
    for row in (*rows_of(rows, "sex"), *rows_of(rows, "participant")):
        assert row["reason"] is None, row
        assert row["n_participants"] == PEOPLE
        assert row["accuracy"] > (0.8 if row["task"] == "sex" else 4 / PEOPLE)
        known = {name: one for name, one in row["components"].items() if one["enrichment"] is not None}
        assert max(known, key=lambda name: known[name]["enrichment"]) == "QRS"
        assert known["QRS"]["ci95"][0] > 1


def test_only_the_declared_sums_leave_and_they_are_rounded(rows: list[Row]) -> None:
    assert [(row["task"], row["head"], row["method"]) for row in rows] == list(questions(TASKS))
    for row in rows:
        assert set(row) == {
            "task", "head", "method", "n_participants", "components", "reason", "accuracy",
        }  # fmt: skip
        for one in (row["components"] or {}).values():
            assert set(one) == {"share", "duration", "enrichment", "ci95"}
            numbers = [one["share"], one["duration"], one["enrichment"], *(one["ci95"] or ())]
            assert all(number is None or round(number, 3) == number for number in numbers)
        if row["components"] is not None:
            assert set(row["components"]) == set(COMPONENTS)
            for what in ("share", "duration"):
                assert sum(one[what] for one in row["components"].values()) == pytest.approx(1, abs=0.004)


def test_the_same_question_gets_the_same_bytes_and_another_seed_others(
    toy: AuditContext, rows: list[Row]
) -> None:
    assert json.dumps(explained(toy)) == json.dumps(rows)
    assert json.dumps(explained(toy, config(seed=4))) != json.dumps(rows)


def probed(toy: AuditContext, people: int) -> dict[str, Any]:
    """The site with probes of the first `people` people alone."""
    split = toy.sites[0].split
    some_N = toy.sites[0].windows.participant_N < people
    return {"split": replace(split, probes={name: probe & some_N for name, probe in split.probes.items()})}


def test_nine_people_give_no_figure_and_ten_do(toy: AuditContext) -> None:
    for row in explained(toy, **probed(toy, 9)):
        assert (row["components"], row["reason"]) == (None, TOO_FEW)
        assert row["n_participants"] is row["accuracy"] is None
    for row in rows_of(explained(toy, **probed(toy, 10)), "participant"):
        assert (row["n_participants"], row["reason"]) == (10, None)


def test_two_ids_of_one_person_are_one_person(toy: AuditContext) -> None:
    names = toy.sites[0].person_P
    twins = (*names[:9], names[0], *names[10:])  # the tenth person is the first again
    for row in explained(toy, person_P=twins, **probed(toy, 10)):
        assert row["reason"] == TOO_FEW


def test_heads_are_explained_on_people_they_did_not_train_on_and_the_own_one_on_its_own(
    toy: AuditContext,
) -> None:
    member_P = np.arange(PEOPLE) < 10
    found = explained(toy, config(audit_split="halves"), member_P=member_P)
    assert {row["n_participants"] for row in rows_of(found, "participant")} == {10}
    assert {row["reason"] for row in rows_of(found, "sex")} == {TOO_FEW}  # four people are left
    found = explained(toy, config(audit_split="halves"), member_P=~member_P)
    assert {row["reason"] for row in rows_of(found, "participant")} == {TOO_FEW}
    assert {row["n_participants"] for row in rows_of(found, "sex")} == {10}


def test_a_site_without_head_or_labels_says_so_and_asks_nobody(
    toy: AuditContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_site, "drawn", lambda *_: pytest.fail("windows were drawn"))
    found = explain_at_site(config(), site_of(toy, tasks=()), shared_state(toy.model), {})
    assert {(row["head"], row["reason"]) for row in found} == {("own", NO_HEAD), ("shared", NO_LABELS)}


def test_heads_that_learned_nothing_get_no_map(toy: AuditContext) -> None:
    model = new_site_model(5, TASKS, seed=8, participants=PEOPLE)
    state, local = shared_state(model), {k: v for k, v in model.state_dict().items() if "participant" in k}
    found = explain_at_site(config(), site_of(toy), state, local)
    assert {row["reason"] for row in rows_of(found, "sex")} == {NEAR_CHANCE}
    for row in found:
        assert row["components"] is None
        assert row["reason"] != TOO_FEW
        assert 0 <= row["accuracy"] <= 1


def test_weights_that_leave_a_map_to_a_few_people_get_no_figure(
    toy: AuditContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise whoever chooses the weights could single people out by making everybody else's map empty."""
    honest = at_site.relevances

    def chosen(model: Any, x_BL: np.ndarray, targets: Any, method: str, **more: Any) -> dict[str, np.ndarray]:
        maps = honest(model, x_BL, targets, method, **more)
        return {
            task: np.where(np.arange(len(x_BL))[:, None] < 9, map_BL, np.nan) for task, map_BL in maps.items()
        }

    monkeypatch.setattr(at_site, "relevances", chosen)
    found = explained(toy)
    assert {row["reason"] for row in found if row["task"] in ("participant", "sex")} == {NO_RELEVANCE}
    assert all(row["components"] is None for row in found)


def test_a_head_of_other_people_is_refused(toy: AuditContext) -> None:
    cfg, site = config(), site_of(toy)
    local = {name: value[:-1] for name, value in own_head(toy.model, cfg, site).items()}
    with pytest.raises(ValueError, match="of other people than the site has now"):
        explain_at_site(cfg, site, shared_state(toy.model), local)


def test_reasons_are_a_closed_list() -> None:
    assert AT_SITE < set(REASONS)
    for reason in REASONS:
        assert {row["reason"] for row in rows_without(TASKS, reason)} == {reason}
    assert [row["head"] for row in rows_without(("participant", "beat"), TOO_FEW)] == ["shared"] * 2 + [
        "own"
    ] * 2
