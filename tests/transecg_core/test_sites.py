"""What a site trains on: under privacy nothing of one person decides over another's targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.cohorts import open_site
from transecg_core.config import RunConfig, parse
from transecg_core.model.heads import new_site_model
from transecg_core.sites import (
    Site,
    head_classes,
    participant_slots,
    prepare,
    site_training_set,
    slot_of,
    trained_rows,
)
from transecg_core.training.local import MISSING, TrainingSet
from transecg_core.training.private import PrivateTrainer
from transecg_core.training.sampling import PrivateSpec

CLIP = 0.5


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, Site]:
    cfg = parse(
        {"privacy": "participant", "tasks": "participant,sex", "profile": "quick", "participants-per-site": 8,
         "output-dir": str(tmp_path_factory.mktemp("out"))}
    )  # fmt: skip
    return cfg, prepare(cfg, open_site(cfg, "synth-a"))


def without(site: Site, person: int) -> Site:
    """The same site without one of the people who train."""
    windows = site.data.windows
    gone = np.unique(windows.participant_N[trained_rows(site.data)])[person]
    split = site.data.split
    kept = replace(split, gallery_N=split.gallery_N & (windows.participant_N != gone))
    return replace(site, data=replace(site.data, split=kept))


def classes(data: TrainingSet) -> dict[bytes, int]:
    return {x.numpy().tobytes(): int(c) for x, c in zip(data.x_NL, data.targets["participant"], strict=True)}


def test_classes_are_public_and_a_person_s_own(private: tuple[RunConfig, Site]) -> None:
    cfg, site = private
    everybody = site_training_set(cfg, site)
    slots = participant_slots(cfg, site.people)
    assert slots == 4 * site.people
    assert int(everybody.targets["participant"].max()) < slots
    one_each = [
        len(everybody.targets["participant"][everybody.participant_N == p].unique())
        for p in range(everybody.participants)
    ]
    assert one_each == [1] * everybody.participants
    fewer = site_training_set(cfg, without(site, 0))
    assert fewer.participants == everybody.participants - 1
    assert classes(fewer).items() < classes(everybody).items()


@pytest.mark.parametrize("unit", ["none", "participant"])
def test_the_head_s_classes_are_those_that_training_numbers(
    private: tuple[RunConfig, Site], unit: str
) -> None:
    cfg, site = private
    cfg = parse(cfg.model_dump(by_alias=True) | {"privacy": unit})
    windows, data = site.data.windows, site_training_set(cfg, site)
    class_P = head_classes(cfg, site)
    assert set(np.flatnonzero(class_P == MISSING)) == set(np.flatnonzero(~site.data.member_P))
    class_of = {windows.x_NL[n].tobytes(): class_P[windows.participant_N[n]] for n in range(len(windows))}
    assert classes(data).items() <= class_of.items()
    names = site.data.person_P
    twins = replace(site, data=replace(site.data, person_P=(names[1], *names[1:])))  # the first is the second
    assert len(set(head_classes(cfg, twins)[:2])) == 1


@settings(max_examples=4, deadline=None)
@given(person=st.integers(0, 2), seed=st.integers(0, 99))
def test_one_person_moves_the_sum_by_the_clip_norm_at_most_with_the_participant_head_too(
    private: tuple[RunConfig, Site], person: int, seed: int
) -> None:
    cfg, site = private
    moved = [summed(cfg, some, seed) for some in (site, without(site, person))]
    assert float((moved[0] - moved[1]).norm()) <= CLIP * (1 + 1e-4)


def test_a_cap_of_one_window_leaves_nobody_out_and_shifts_no_class(
    private: tuple[RunConfig, Site],
) -> None:
    """Somebody whose beats are all ectopic once lost their only window, and everybody after them their class."""
    cfg, site = private
    cfg, windows = cfg.model_copy(update={"max_windows_per_participant": 1}), site.data.windows
    first = np.unique(windows.participant_N[trained_rows(site.data)])[0]
    odd = replace(
        windows, beat_N=np.where(windows.participant_N == first, 2, windows.beat_N).astype(np.uint8)
    )
    site = replace(site, data=replace(site.data, windows=odd))
    everybody, fewer = site_training_set(cfg, site), site_training_set(cfg, without(site, 0))
    assert len(everybody) == everybody.participants == fewer.participants + 1
    assert classes(fewer).items() < classes(everybody).items()
    moved = [summed(cfg, some, 3) for some in (site, without(site, 0))]
    assert float((moved[0] - moved[1]).norm()) <= CLIP * (1 + 1e-4)


def test_classes_by_order_would_be_caught(private: tuple[RunConfig, Site]) -> None:
    """The negative control: numbering whoever is there couples people, and the sum moves by more than one person's."""
    cfg, site = private

    def numbered(some: Site) -> TrainingSet:
        data = site_training_set(cfg, some)
        return replace(data, targets={**data.targets, "participant": data.participant_N})

    moved = [summed(cfg, some, 1, numbered(some)) for some in (site, without(site, 0))]
    assert float((moved[0] - moved[1]).norm()) > CLIP * (1 + 1e-4)


def summed(cfg: RunConfig, site: Site, seed: int, data: TrainingSet | None = None) -> torch.Tensor:
    """Everybody's clipped gradient, summed, for all parameters: one step of SGD at rate 1 without noise."""
    data = site_training_set(cfg, site) if data is None else data
    model = new_site_model(cfg.patch, cfg.task_names, seed, participant_slots(cfg, site.people))
    before = torch.cat([p.detach().flatten().double() for p in model.parameters()])
    cap = cfg.max_windows_per_participant
    # Every window of everybody: which ones a person contributes must not differ between the worlds.
    spec = PrivateSpec("participant", 0.0, CLIP, 1.0, 1.0, cap, cap)
    sgd = {"make_optimizer": lambda m: torch.optim.SGD(m.parameters(), lr=1.0), "augmentation": False}
    with PrivateTrainer(model, spec, seed=0, **sgd) as trainer:
        trainer.step(data)
    return torch.cat([p.detach().flatten().double() for p in model.parameters()]) - before


def test_slot_depends_on_the_id_alone() -> None:
    assert slot_of("synth-a/1", 100) == slot_of("synth-a/1", 100)
    assert len({slot_of(f"p{i}", 4000) for i in range(1000)}) > 850


def test_more_slots_on_request(private: tuple[RunConfig, Site], tmp_path: Path) -> None:
    cfg, _ = private
    options = {**cfg.model_dump(by_alias=True), "participant-slots": 33, "output-dir": str(tmp_path)}
    assert participant_slots(parse(options), 8) == 33
