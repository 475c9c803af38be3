"""What a site computes on its own probes: the planted truth, groups of ten, and no figure without its reason."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ConfigRecord, RecordDict

from server.attribution import read_rows
from transecg_core.attribution import at_site
from transecg_core.attribution.at_site import explain_at_site
from transecg_core.attribution.embedding import embed
from transecg_core.attribution.intervals import person_means
from transecg_core.attribution.site_people import profiles
from transecg_core.attribution.site_rows import (
    AT_SITE,
    COARSE,
    METHODS_AT_SITE,
    NEAR_CHANCE,
    NO_HEAD,
    NO_LABELS,
    NO_RELEVANCE,
    NOBODY_HELD_OUT,
    NOT_MEASURABLE,
    REASONS,
    TOO_FEW,
    Row,
    questions,
    rows_without,
)
from transecg_core.cohorts.schema import COMPONENT_CODE, COMPONENTS, UNKNOWN
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


def judged(toy: AuditContext, **changes: Any) -> list[Row]:
    """The rows of the shared heads where the site's people are all held out, so that nobody has an own head."""
    site = site_of(toy, member_P=np.zeros(PEOPLE, dtype=bool), **changes)
    return explain_at_site(config(audit_split="halves"), site, shared_state(toy.model), {})


@pytest.fixture(scope="module")
def rows(toy: AuditContext) -> list[Row]:
    return explained(toy)


def test_sex_and_identity_planted_in_the_qrs_are_found_there(toy: AuditContext, rows: list[Row]) -> None:
    for row in (*rows_of(judged(toy), "sex"), *rows_of(rows, "participant")):
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
    few = rows_of(explained(toy, **probed(toy, 9)), "participant")
    for row in (*few, *rows_of(judged(toy, **probed(toy, 9)), "sex")):
        assert (row["components"], row["reason"]) == (None, TOO_FEW)
        assert row["n_participants"] is row["accuracy"] is None
    for row in rows_of(explained(toy, **probed(toy, 10)), "participant"):
        assert (row["n_participants"], row["reason"]) == (10, None)


def test_two_ids_of_one_person_are_one_person(toy: AuditContext) -> None:
    names = toy.sites[0].person_P
    twins = (*names[:9], names[0], *names[10:])  # the tenth person is the first again
    for row in rows_of(explained(toy, person_P=twins, **probed(toy, 10)), "participant"):
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


def test_a_head_that_trained_on_everybody_says_nothing_about_their_sex(
    toy: AuditContext, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sex dealt at random is learned by heart, and the map of that is of who they are."""
    for task in ("sex", "age"):
        assert {row["reason"] for row in rows_of(rows, task)} == {NOBODY_HELD_OUT}
    monkeypatch.setattr(at_site, "drawn", lambda *_: pytest.fail("windows were drawn"))
    assert all(row["reason"] for row in explain_at_site(config(), site_of(toy), shared_state(toy.model), {}))


def test_wide_patches_get_no_components(toy: AuditContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_site, "drawn", lambda *_: pytest.fail("windows were drawn"))
    wide = shared_state(new_site_model(10, TASKS, seed=8, participants=PEOPLE))
    for split in ("none", "halves"):
        found = explain_at_site(config(patch=10, audit_split=split), site_of(toy), wide, {})
        assert {row["reason"] for row in found} == {COARSE}


def recoded(toy: AuditContext, people: tuple[int, ...], code_L: np.ndarray) -> dict[str, Any]:
    """The site with other components in the windows of some people."""
    windows = toy.sites[0].windows
    component_NL = windows.component_NL.copy()
    component_NL[np.isin(windows.participant_N, people)] = code_L
    return {"windows": replace(windows, component_NL=component_NL)}


def test_people_whose_delineation_failed_show_as_undefined_under_every_method(toy: AuditContext) -> None:
    changes = recoded(toy, (1, 4, 8, 11), np.uint8(COMPONENT_CODE["undefined"]))
    told = [*rows_of(explained(toy, **changes), "participant"), *rows_of(judged(toy, **changes), "sex")]
    for row in told:
        assert row["n_participants"] == PEOPLE
        assert row["components"]["undefined"]["duration"] == row["components"]["undefined"]["share"] == 0.286


def test_the_time_is_that_of_all_windows_also_where_a_map_is_empty(
    toy: AuditContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of every person's windows have no QRS, and a map that is empty just there."""
    windows = toy.sites[0].windows
    flat_N = np.arange(len(windows)) % 12 >= 6
    component_NL = windows.component_NL.copy()
    component_NL[flat_N[:, None] & (component_NL == COMPONENT_CODE["QRS"])] = COMPONENT_CODE["TP"]
    honest = at_site.relevances

    def empty(*given: Any, component_BL: np.ndarray, **more: Any) -> dict[str, np.ndarray]:
        maps = honest(*given, component_BL=component_BL, **more)
        has_B = (component_BL == COMPONENT_CODE["QRS"]).any(axis=1)
        return {task: map_BL * has_B[:, None] for task, map_BL in maps.items()}

    monkeypatch.setattr(at_site, "relevances", empty)
    for row in rows_of(explained(toy, windows=replace(windows, component_NL=component_NL)), "participant"):
        assert row["components"]["QRS"]["duration"] < 0.11  # 0.125 of the windows that have one


def relabelled(toy: AuditContext, **label: Any) -> dict[str, Any]:
    """The site with people of another age or sex: what each key's function says of a person's number."""
    windows = toy.sites[0].windows
    records = tuple(
        replace(record, **{key: of(int(record.participant[1:])) for key, of in label.items()})
        for record in windows.records
    )
    return {"windows": replace(windows, records=records)}


def test_two_rows_of_an_answer_do_not_differ_by_one_person(toy: AuditContext) -> None:
    """The server makes the head of age that of sex; one person, of an unusual ECG, has no age."""
    odd_L = toy.sites[0].windows.component_NL[0].copy()
    odd_L[:100] = COMPONENT_CODE["QRS"]
    site = site_of(toy, **recoded(toy, (5,), odd_L), member_P=np.zeros(PEOPLE, dtype=bool))
    aged = relabelled(toy, age=lambda p: None if p == 5 else (30.0, 70.0)[p % 2])
    records = aged["windows"].records
    site = replace(site, data=replace(site.data, windows=replace(site.data.windows, records=records)))
    state = {name: value.clone() for name, value in shared_state(toy.model).items()}
    for part in ("weight", "bias"):
        age, sex = state[f"heads.age.{part}"], state[f"heads.sex.{part}"]
        age.fill_(0.0 if part == "weight" else -1e3)
        age[0], age[2] = sex[0], sex[1]
    found = explain_at_site(config(audit_split="halves"), site, state, {})
    told = [row for row in found if row["components"]]
    assert {row["task"] for row in told} == {"age", "sex"}, [(r["task"], r["reason"]) for r in found]
    assert {row["n_participants"] for row in told} == {13}
    sums = {tuple(part["duration"] for part in row["components"].values()) for row in told}
    assert len(sums) == 1  # nothing is left of whoever is in one row alone
    assert {row["components"]["QRS"]["duration"] for row in told} == {0.125}


def test_a_wave_of_a_few_people_leaves_no_figure_and_an_answer_that_the_server_reads(
    toy: AuditContext,
) -> None:
    """P waves in 5 of 14 people, as where most have atrial fibrillation."""
    no_p_L = toy.sites[0].windows.component_NL[0].copy()
    no_p_L[no_p_L == COMPONENT_CODE["P"]] = COMPONENT_CODE["TP"]
    found = explained(toy, **recoded(toy, tuple(range(5, PEOPLE)), no_p_L))
    for row in rows_of(found, "participant"):
        assert set(row["components"]["P"].values()) == {None}
    content = ConfigRecord({"site": "toy-a", "round": config().rounds, "attribution": json.dumps(found)})
    assert read_rows(RecordDict({"reply": content}), "toy-a", config()) == found


def test_no_row_is_one_person_however_the_others_cancel(
    toy: AuditContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that a server chose: T for and ST against for every second person, the reverse for the others; one has QRS."""
    person_B, cohort_of = np.zeros(0), at_site._cohort

    def seen(*args: Any) -> Any:
        nonlocal person_B
        cohort = cohort_of(*args)
        person_B = cohort.person_B
        return cohort

    def cancelling(model: Any, x_BL: Any, targets: Any, method: str, *, component_BL: Any, **_: Any) -> Any:
        sign_B1 = np.where(person_B % 2, 1.0, -1.0)[:, None]
        per_K = {
            name: 1.0 / max((component_BL[0] == COMPONENT_CODE[name]).sum(), 1) for name in ("T", "ST", "QRS")
        }
        part = {name: (component_BL == COMPONENT_CODE[name]) * per_K[name] for name in per_K}
        map_BL = np.where((person_B == 0)[:, None], part["QRS"], sign_B1 * (part["T"] - part["ST"]))
        return dict.fromkeys(targets, map_BL)

    monkeypatch.setattr(at_site, "_cohort", seen)
    monkeypatch.setattr(at_site, "relevances", cancelling)
    for row in rows_of(explained(toy), "participant"):
        assert row["n_participants"] == PEOPLE
        assert row["components"]["QRS"]["share"] == pytest.approx(1 / PEOPLE, abs=1e-3)


def test_everybody_is_the_same_part_of_a_row_whatever_cancels() -> None:
    """Nine people cancel over the components, as chosen weights could make them; the tenth must not be the row."""
    share_NK = np.zeros((20, len(COMPONENTS)))
    share_NK[:18:2, 0], share_NK[1:18:2, 0] = 0.6, -0.4
    share_NK[:18:2, 1], share_NK[1:18:2, 1] = -0.5, 0.5
    share_NK[18:, 2] = 1.0
    row_K = person_means(profiles(share_NK, np.arange(20) // 2), np.arange(20) // 2).mean(axis=0)
    assert row_K == pytest.approx([0.9, 0, 0.1, 0, 0, 0, 0])


def test_who_has_nothing_in_favour_has_no_profile() -> None:
    share_NK = np.full((4, len(COMPONENTS)), -0.1)
    share_NK[:2, 2] = 0.8
    share_NK[1] = np.nan
    found_NK = profiles(share_NK, np.array([0, 0, 1, 1]))
    assert found_NK[:2] == pytest.approx(np.eye(len(COMPONENTS))[[2, 2]])
    assert np.isnan(found_NK[2:]).all()


def test_rows_over_other_windows_do_not_differ_by_a_few_people_either(toy: AuditContext) -> None:
    """Beats are labelled for 11 of the 14 people whom the own head tells apart."""
    windows = toy.sites[0].windows
    beat_N = np.where(windows.participant_N < 11, np.arange(len(windows)) % 2 * 2, UNKNOWN).astype(np.uint8)
    site = site_of(toy, ("beat",), windows=replace(windows, beat_N=beat_N))
    cfg = config(tasks="participant,beat")
    asked: list[dict[Any, frozenset[int]]] = []
    honest = at_site.settled

    def keep(people: Any) -> Any:
        asked.append(people)
        return honest(people)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(at_site, "settled", keep)
        patch.setattr(at_site, "_unlearned", lambda *_: None)
        model = new_site_model(5, ("participant", "beat"), seed=8, participants=PEOPLE)
        found = explain_at_site(cfg, site, shared_state(model), own_head(model, cfg, site))
    assert {11, PEOPLE} <= {len(people) for people in asked[0].values()}
    assert {row["n_participants"] for row in found if row["components"]} in ({10}, {11})


def test_a_site_without_head_or_labels_says_so_and_asks_nobody(
    toy: AuditContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_site, "drawn", lambda *_: pytest.fail("windows were drawn"))
    cfg = config(audit_split="halves")
    found = explain_at_site(cfg, site_of(toy, tasks=()), shared_state(toy.model), {})
    assert {(row["head"], row["reason"]) for row in found} == {("own", NO_HEAD), ("shared", NO_LABELS)}
    for row in found:
        assert row["n_participants"] is row["accuracy"] is None


def test_heads_that_learned_nothing_get_no_figure_at_all(toy: AuditContext) -> None:
    model = new_site_model(5, TASKS, seed=8, participants=PEOPLE)
    local = {k: v for k, v in model.state_dict().items() if "participant" in k}
    cfg, nobody = config(audit_split="halves"), np.zeros(PEOPLE, dtype=bool)
    shared = explain_at_site(cfg, site_of(toy, member_P=nobody), shared_state(model), {})
    own = explain_at_site(config(), site_of(toy), shared_state(model), local)
    for row in (*rows_of(shared, "sex"), *rows_of(own, "participant")):
        assert row["reason"] == NEAR_CHANCE
        assert row["components"] is row["n_participants"] is row["accuracy"] is None


def test_a_head_that_always_says_one_class_does_not_count_the_other(toy: AuditContext) -> None:
    """Its accuracy is the share of that class: one person here."""
    for row in rows_of(judged(toy, **relabelled(toy, sex=lambda p: "M" if p == 5 else "F")), "sex"):
        assert row["reason"] == NOT_MEASURABLE
        assert row["components"] is row["n_participants"] is row["accuracy"] is None


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
    found = [*rows_of(explained(toy), "participant"), *rows_of(judged(toy), "sex")]
    assert {row["reason"] for row in found} == {NO_RELEVANCE}
    assert all(row["components"] is row["accuracy"] is None for row in found)


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
