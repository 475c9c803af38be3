"""Inversion of updates in the audit, and the study: planted people are named, silence where nothing is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from transecg_core.config import parse
from transecg_core.model.heads import new_site_model, shared_state
from transecg_core.risk.attacks.client_inversion import CLIENT_INVERSION
from transecg_core.risk.attacks.update_inversion import UPDATE_INVERSION
from transecg_core.risk.audit import EVALUATORS
from transecg_core.risk.cases import build_case
from transecg_core.risk.context import AuditContext
from transecg_core.risk.estimate import wilson
from transecg_core.risk.evidence import gather
from transecg_core.risk.findings import Findings
from transecg_core.risk.inversion import POSITIONS, PROJECTION
from transecg_core.risk.inversion_findings import RANK1
from transecg_core.risk.inversion_lab import Laboratory, Setting, first_weights
from transecg_core.risk.inversion_rows import NAMED, arms
from transecg_core.risk.inversion_study import Decay, grid, named_ceiling, run_sigma, small, study
from transecg_core.risk.observed import Observed, RoundSeen

CFG = parse({"cohort": "synthetic", "tasks": "sex", "profile": "quick", "num-server-rounds": 6, "patch": 10})


def run(attack, ctx: AuditContext) -> Findings:
    return EVALUATORS[attack.measure](attack, gather(ctx, build_case(ctx), (attack,)))


def rounds_that_show(ctx: AuditContext, shown, rounds: int = 6) -> Observed:
    """Return rounds whose update of each site is, by the closed form, the mean window of `shown(site, round)`."""
    state = shared_state(new_site_model(CFG.patch, CFG.task_names, 0))
    seen = []
    for number in range(1, rounds + 1):
        sent = {}
        for site in ctx.sites:
            person = shown(site, number)
            own = site.split.gallery_N & (site.windows.participant_N == person)
            x_TP = torch.from_numpy(site.windows.x_NL[own].mean(axis=0).reshape(-1, CFG.patch))
            delta_TD = torch.from_numpy(np.random.default_rng([number]).normal(size=(len(x_TP), 64))).float()
            positions = state[POSITIONS].clone()
            positions[0, 1:] += 1e-2 * delta_TD
            sent[site.name] = {
                **state,
                POSITIONS: positions,
                PROJECTION: state[PROJECTION] + 1e-2 * delta_TD.T @ x_TP,
            }
        seen.append(RoundSeen(number, state, state, sent))
    return Observed(CFG, tuple(seen))


@pytest.fixture(scope="module")
def people(fakes) -> AuditContext:
    ctx = fakes.build(fakes.recipe(sites=3, people=16, windows=4, identity=3.0, noise=0.3))
    return replace(ctx, observed=Observed(CFG, ()))


def nth_member(site, number: int) -> int:
    members = np.flatnonzero(site.member_P)
    return int(members[number % len(members)])


def test_updates_that_show_members_name_members(people) -> None:
    found = run(UPDATE_INVERSION, replace(people, observed=rounds_that_show(people, nth_member)))
    row = next(r for r in found.rows if r.metric == NAMED)
    assert (row.main, row.n_participants) == (1.0, 18)  # six members of each of three sites
    assert row.ci95 == pytest.approx(wilson(18, 18))
    assert row.baseline == pytest.approx(0.5, abs=0.2)
    assert row.control < 0.8
    assert "18 of 18 updates resemble somebody of their own site most" in row.notes
    auc = next(r for r in found.rows if (r.site, r.metric) == ("pooled", "AUC"))
    assert auc.ci95[0] > 0.5
    assert found.curves[0].x[-1] == 6.0


def test_updates_that_show_anybody_name_nobody_in_particular(people) -> None:
    anybody = rounds_that_show(people, lambda site, number: (5 * number) % 16)
    found = run(UPDATE_INVERSION, replace(people, observed=anybody))
    row = next(r for r in found.rows if r.metric == NAMED)
    assert row.ci95[0] <= row.baseline <= row.ci95[1]
    auc = next(r for r in found.rows if (r.site, r.metric) == ("pooled", "AUC"))
    assert auc.ci95[0] <= 0.5 <= auc.ci95[1]


def test_one_person_named_by_every_update_is_one_person(people) -> None:
    same = rounds_that_show(people, lambda site, number: nth_member(site, 0))
    row = next(r for r in run(UPDATE_INVERSION, replace(people, observed=same)).rows if r.metric == NAMED)
    assert row.main is None
    assert "18 updates name 3 people" in row.notes


def test_a_frozen_projection_is_the_reason(people) -> None:
    state = shared_state(new_site_model(CFG.patch, CFG.task_names, 0))
    moved = {**state, POSITIONS: state[POSITIONS] + 1.0}
    one = RoundSeen(1, state, moved, {site.name: moved for site in people.sites})
    rows = run(UPDATE_INVERSION, replace(people, observed=Observed(CFG, (one,)))).rows
    assert {row.metric for row in rows} == {"AUC", "TPR@5%FPR", NAMED}
    assert all("patch projection did not move" in row.notes for row in rows)


def test_arms_leave_the_own_site_out_of_the_control() -> None:
    like_RSG = np.array([[[0.9, 0.1], [0.2, 0.4]]])
    own_GR, other_GR = arms(np.repeat(like_RSG, 2, axis=2), np.array([0, 0, 1, 1]), np.arange(4))
    assert own_GR[:, 0] == pytest.approx([np.nan, np.nan, np.nan, np.nan], nan_ok=True)  # alike: no scale
    like_RSG = np.array([[[0.9, 0.1, 0.3, 0.5], [0.2, 0.4, 0.6, 0.8]]])
    own_GR, other_GR = arms(like_RSG, np.array([0, 0, 1, 1]), np.arange(4))
    assert own_GR[:, 0] == pytest.approx([0.9 / 0.4, 0.1 / 0.4, 0.6 / 0.1, 0.8 / 0.1])
    assert other_GR[:, 0] == pytest.approx([0.2 / 0.1, 0.4 / 0.1, 0.3 / 0.1, 0.5 / 0.1])


@pytest.fixture(scope="module")
def lab(people) -> Laboratory:
    state = shared_state(new_site_model(CFG.patch, CFG.task_names, 0))
    seen = RoundSeen(1, state, state, {site.name: state for site in people.sites})
    return Laboratory(Observed(CFG, (seen,)), build_case(people), 0)


def test_the_study_names_people_from_one_beat_and_one_small_step(lab) -> None:
    beat, step, adam = study(lab, [Setting(steps=0), Setting("SGD", 1), Setting("AdamW", 5)], 12, 200, 0)
    assert beat.likeness.value > 0.999
    assert beat.likeness.value > beat.prior + 0.2
    assert beat.rank1.value == beat.true_rank1 > 0.8
    assert beat.control < 0.2
    assert beat.chance == pytest.approx(1 / 48)
    assert beat.ceiling is None
    assert step.likeness.value > adam.likeness.value
    assert adam.rank1.value < 0.5
    pairs = [people for _, people in lab.clients(Setting(people=5), 99)]
    assert len(pairs) == 9
    flat = np.concatenate([one for split in pairs for one in split])
    assert len(set(flat.tolist())) == 45  # nobody in two clients


def test_too_few_clients_and_frozen_weights_are_reasons(lab) -> None:
    few, frozen = study(lab, [Setting(people=20), Setting(trainable="bitfit")], 16, 200, 0)
    assert few == "2 clients of 20 people, and 5 are needed"
    assert "patch projection did not move" in frozen
    assert study(lab, [Setting(people=99)], 16, 200, 0)[0].startswith(
        "48 people with another recording are too few"
    )


@pytest.mark.audit
def test_a_ceiling_holds_only_under_noise_and_falls_with_it(lab) -> None:
    assert named_ceiling(lab, Setting(sigma=0.0)) is None
    values = [named_ceiling(lab, Setting(sigma=sigma)) for sigma in (0.5, 2.0, 20.0)]
    assert values == sorted(values, reverse=True)
    assert 1 / 48 <= values[-1] < 1.2 / 48
    assert named_ceiling(lab, Setting(people=5, sigma=2.0)) > 5 / 48
    assert named_ceiling(lab, Setting(steps=20, sigma=2.0)) > named_ceiling(lab, Setting(sigma=2.0))


def test_every_setting_is_declared_once_and_the_audits_are_among_them() -> None:
    settings = list(grid(3.0))
    labels = [setting.label for setting in settings]
    assert len(set(labels)) == len(labels) == len(set(settings))
    assert set(small("full", 3.0)) <= set(settings)
    assert set(small("quick", None)) <= set(small("default", None)) <= set(small("full", None))
    assert Setting("SGD", 5, 20).label == "SGD, 5 steps, 20 people, batch 4, trained weights"


def test_the_first_weights_are_called_what_they_are(lab, people) -> None:
    """A run from pretrained weights has no untrained ones; asked for, they are a reason, never a label."""
    assert first_weights(CFG) == "untrained"
    pretrained = CFG.model_copy(update={"start": "synthetic"})
    assert first_weights(pretrained) == "pretrained"
    labels = [setting.label for setting in grid(3.0, first_weights(pretrained))]
    assert labels[0] == "gradient of one beat, pretrained weights"
    assert not any("untrained" in label for label in labels)
    state = shared_state(new_site_model(CFG.patch, CFG.task_names, 0))
    other = Laboratory(Observed(pretrained, (RoundSeen(1, state, state, {}),)), build_case(people), 0)
    (why,) = study(other, [Setting(steps=0, weights="untrained")], 5, 50, 0)
    assert why == "this run has no untrained weights: it started from pretrained ones"
    (found,) = study(other, [Setting(steps=0, weights="pretrained")], 5, 50, 0)
    assert isinstance(found, Decay)


def test_pictures_show_the_first_client_and_the_runs_own_update(people) -> None:
    ctx = replace(people, observed=rounds_that_show(people, nth_member))
    found = run(CLIENT_INVERSION, ctx)
    assert found.rebuilt[0].setting == "gradient of one beat, trained weights"
    assert found.rebuilt[0].correlation > 0.999
    assert found.rebuilt[-1].setting.startswith("the run's own update: s0, round 1, 20 steps of AdamW")
    assert {row.site for row in found.rows} == {"laboratory"}
    assert all(len(pair.true_L) == len(pair.rebuilt_L) == 200 for pair in found.rebuilt)


def test_without_other_recordings_or_rounds_there_is_no_study(people) -> None:
    rows = run(CLIENT_INVERSION, replace(people, observed=None)).rows
    assert {row.metric for row in rows} == {RANK1, "likeness of the rebuilt beat"}
    assert all("nobody kept" in row.notes for row in rows)
    seen = rounds_that_show(people, nth_member, rounds=1)
    gone = tuple(replace(site, split=replace(site.split, probes={})) for site in people.sites)
    rows = run(CLIENT_INVERSION, replace(people, sites=gone, observed=seen)).rows
    assert all("fewer than two people have another recording" in row.notes for row in rows)


@pytest.mark.audit
def test_noise_of_a_run_at_epsilon_8_silences_the_study_and_clipping_alone_does_not(lab) -> None:
    """24 clients of one person: likeness falls to nothing, rank-1 stays under its ceiling."""
    sigma = run_sigma(CFG, 28)
    clipped, noisy = study(lab, [Setting(sigma=0.0), Setting(sigma=sigma)], 24, 200, 0)
    assert isinstance(clipped, Decay)
    assert isinstance(noisy, Decay)
    assert clipped.likeness.ci95[0] > noisy.likeness.ci95[1]
    assert noisy.rank1.ci95[0] <= noisy.ceiling
