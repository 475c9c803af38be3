"""Private training: exact gradients, bounded influence of one person, honest noise, closed failures."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import transecg_core
from transecg_core.model.heads import SiteModel, new_site_model, set_trainable
from transecg_core.training import private
from transecg_core.training.local import MISSING, TrainingSet, window_losses
from transecg_core.training.private import PrivateTrainer, train_private
from transecg_core.training.sampling import PrivateSpec, draw_units

TASKS = ("sex", "age", "beat", "diagnosis")
PEOPLE = 5
CLIP = 0.7


def cohort(people: int = PEOPLE, seed: int = 0, without: int | None = None) -> TrainingSet:
    """People with 1, 2, 3, ... windows; `without` zeroes one of them out."""
    g = torch.Generator().manual_seed(seed)
    participant_N = torch.cat([torch.full((p + 1,), p) for p in range(people)])
    n = len(participant_N)
    x_NL = torch.randn(n, 200, generator=g)
    targets = {"sex": torch.randint(0, 2, (n,), generator=g), "beat": torch.randint(0, 3, (n,), generator=g)}
    targets["sex"][::3] = MISSING
    keep = participant_N != (-1 if without is None else without)
    return TrainingSet(x_NL[keep], participant_N[keep], {t: v[keep] for t, v in targets.items()})


def model(trainable: str = "full", tasks: Sequence[str] = TASKS) -> SiteModel:
    out = new_site_model(5, tasks, seed=3, participants=PEOPLE)
    with torch.no_grad():  # a fresh class token is nearly zero: move it, so that its gradient matters
        out.encoder.tokens.cls.normal_(std=0.5, generator=torch.Generator().manual_seed(1))
    set_trainable(out, trainable)
    return out


def spec(unit: Any = "participant", **changes: Any) -> PrivateSpec:
    options = {"sigma": 0.0, "clip_norm": CLIP, "q": 0.6, "expected": 2.0, "max_windows": 50}
    options["windows_per_draw"] = 3 if unit == "participant" else 1
    return PrivateSpec(unit=unit, **{**options, **changes})


def sgd(m: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for p in m.parameters() if p.requires_grad], lr=1.0)


def trainer(m: SiteModel, s: PrivateSpec, seed: int | None = 0) -> PrivateTrainer:
    return PrivateTrainer(m, s, seed=seed, make_optimizer=sgd, augmentation=False)


def flat(m: SiteModel) -> torch.Tensor:
    return torch.cat([p.detach().flatten().double() for p in m.parameters() if p.requires_grad])


def loop_gradients(
    m: SiteModel, data: TrainingSet, groups: Sequence[np.ndarray]
) -> list[dict[str, torch.Tensor]]:
    """Each unit's mean gradient by an ordinary backward pass over that unit alone."""
    out = []
    for rows in groups:
        m.zero_grad()
        loss = window_losses(m, data.x_NL[rows], {t: v[rows] for t, v in data.targets.items()}).mean()
        named = [(n, p) for n, p in m.named_parameters() if p.requires_grad]
        grads = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
        out.append(
            {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(named, grads, strict=True)}
        )
    return out


@pytest.mark.parametrize("trainable", ["full", "bitfit", "head"])
@pytest.mark.parametrize("unit", ["participant", "window"])
def test_unit_gradients_equal_a_loop_for_every_trainable_parameter(unit: str, trainable: str) -> None:
    data, m = cohort(), model(trainable)
    with trainer(m, spec(unit, q=1.0)) as t:
        groups = t.draw(data)
        assert len(groups) == (PEOPLE if unit == "participant" else len(data))
        t._backward(data, groups, 0)
        units = t._optimizer.unit_gradients
        found = {n: units.of(p).clone() for n, p in m.named_parameters() if p.requires_grad}
        norms = units.norm_U.double()
    expected = loop_gradients(m, data, groups)
    assert {"heads.beat.weight", "heads.age.bias"} <= set(found)
    if trainable != "head":
        assert {
            "encoder.tokens.cls",
            "encoder.tokens.pos",
            "encoder.norm.weight",
            "encoder.embed.bias",
        } <= set(found)
    assert ("encoder.blocks.0.attn.qkv.weight" in found) == (trainable == "full")
    assert not any(
        bool(g[len(groups) :].any()) for g in found.values()
    )  # what fills a small draw up adds nothing
    found, norms = {n: g[: len(groups)] for n, g in found.items()}, norms[: len(groups)]
    joint = torch.stack([g.flatten(1).double().norm(dim=1) for g in found.values()]).norm(dim=0)
    torch.testing.assert_close(norms, joint, rtol=2e-6, atol=0.0)
    for name, samples in found.items():
        wanted = torch.stack([e[name] for e in expected])
        torch.testing.assert_close(
            samples, wanted, rtol=1e-4, atol=2e-6, msg=lambda text, n=name: f"{n}: {text}"
        )
        if "age" not in name and "diagnosis" not in name:
            assert float(wanted.abs().max()) > 1e-4, f"{name}: the comparison is empty"


def test_the_participant_head_is_exact_under_the_window_unit() -> None:
    data, m = cohort(), model(tasks=("participant", "beat"))
    data = TrainingSet(data.x_NL, data.participant_N, {**data.targets, "participant": data.participant_N})
    data = TrainingSet(data.x_NL, data.participant_N, {t: data.targets[t] for t in ("participant", "beat")})
    with trainer(m, spec("window", q=1.0)) as t:
        groups = t.draw(data)
        t._backward(data, groups, 0)
        found = t._optimizer.unit_gradients.of(m.heads["participant"].weight)[: len(groups)]
    wanted = torch.stack([g["heads.participant.weight"] for g in loop_gradients(m, data, groups)])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("unit", ["participant", "window"])
def test_a_step_is_the_sum_of_jointly_clipped_gradients_over_the_fixed_count(unit: str) -> None:
    data, m = cohort(), model()
    with trainer(m, spec(unit)) as t:
        groups = t.draw(data)
        gradients = loop_gradients(model(), data, groups)
        total, clipped = torch.zeros_like(flat(m)), 0
        for g in gradients:
            v = torch.cat([g[n].flatten().double() for n, p in m.named_parameters() if p.requires_grad])
            total += v * min(1.0, CLIP * (1 - private.ROUNDING) / float(v.norm()))
            clipped += float(v.norm()) > CLIP
        assert clipped > 0
        before = flat(m)
        t.step(data)
        torch.testing.assert_close(before - flat(m), total / 2.0, rtol=1e-4, atol=1e-6)


def _sum_of_clipped(data: TrainingSet, s: PrivateSpec, seed: int, kind: type[PrivateTrainer]) -> torch.Tensor:
    m = model()
    before = flat(m)
    with kind(m, s, seed=seed, make_optimizer=sgd, augmentation=False) as t:
        t.step(data)
    return (before - flat(m)) * s.expected


@settings(max_examples=6, deadline=None)
@given(person=st.integers(0, PEOPLE - 1), seed=st.integers(0, 1000))
def test_one_person_moves_the_sum_by_the_clip_norm_at_most(person: int, seed: int) -> None:
    with_person = _sum_of_clipped(cohort(), spec(), seed, PrivateTrainer)
    zeroed = _sum_of_clipped(cohort(without=person), spec(), seed, PrivateTrainer)
    assert float((with_person - zeroed).norm()) <= CLIP


def test_a_drawn_person_does_move_the_sum() -> None:
    s = spec(q=1.0)
    moved = float((_sum_of_clipped(cohort(), s, 0, PrivateTrainer) -
                   _sum_of_clipped(cohort(without=4), s, 0, PrivateTrainer)).norm())  # fmt: skip
    assert 0.9 * CLIP < moved <= CLIP


def test_rounding_stays_far_below_what_is_set_aside_for_it() -> None:
    """Many units pull the same way, and a missing one changes the shape of everybody's batch."""
    many = 250
    data = TrainingSet(torch.randn(many, 200, generator=torch.Generator().manual_seed(2)) * 0.05 + 1.0,
                       torch.zeros(many, dtype=torch.int64), {"sex": torch.ones(many, dtype=torch.int64)})  # fmt: skip
    sums = []
    for left_out in (None, 0, 100, many - 1):
        m = model()
        with trainer(m, spec("window", clip_norm=0.01, max_windows=many)) as t:
            t._backward(data, [np.array([row]) for row in range(many) if row != left_out], 0)
            t._optimizer.clip_and_accumulate()
            sums.append(torch.cat([p.summed_grad.flatten() for p in t._optimizer.params]))
    assert float(sums[0].norm()) > 0.5 * many * 0.01
    for less in sums[1:]:
        influence = float((sums[0] - less).norm()) / 0.01
        assert 1 - 1.5 * private.ROUNDING < influence < 1 - 0.5 * private.ROUNDING


def test_a_step_that_was_broken_off_leaves_nothing_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "MAX_WINDOWS_PER_PASS", 6)
    data, m, twin = cohort(), model(), model()
    with trainer(m, spec(q=1.0)) as t:
        honest = t._backward

        def failing(data: TrainingSet, groups: Sequence[np.ndarray], index: int) -> float:
            if index == 1:
                raise MemoryError
            return honest(data, groups, index)

        monkeypatch.setattr(t, "_backward", failing)
        with pytest.raises(MemoryError):
            t.step(data)
        monkeypatch.setattr(t, "_backward", honest)
        t.step(data)
        assert t.steps_taken == 1
    with trainer(twin, spec(q=1.0)) as t:
        t.step(data)
    assert torch.equal(flat(m), flat(twin))


class _WindowClips(PrivateTrainer):
    """Wrong: clips each of a person's windows instead of the person."""

    def __init__(self, m: SiteModel, s: PrivateSpec, **options: Any) -> None:
        self._sold = s
        super().__init__(m, replace(s, windows_per_draw=1), **options)

    def draw(self, data: TrainingSet) -> list[np.ndarray]:
        drawn = draw_units(data, self._sold, self._source, self.steps_taken)
        return [np.array([row]) for rows in drawn for row in rows]


class _BatchNormalised(PrivateTrainer):
    """Wrong: centres the windows on the batch, so one person changes everybody's gradient."""

    def _backward(self, data: TrainingSet, groups: Sequence[np.ndarray], index: int) -> float:
        rows = np.concatenate(groups)
        moved = data.x_NL * 1.0
        moved[rows] -= 5 * data.x_NL[rows].mean(dim=0)
        return super()._backward(TrainingSet(moved, data.participant_N, data.targets), groups, index)


@pytest.mark.parametrize("kind", [PrivateTrainer, _WindowClips, _BatchNormalised])
def test_the_neighbour_test_catches_wrong_clipping_and_coupled_people(kind: type[PrivateTrainer]) -> None:
    s = spec(q=1.0, clip_norm=0.05)
    data = cohort()
    last = data.participant_N == PEOPLE - 1
    # The worst case: all windows of one person pull the same way.
    data.x_NL[last] = data.x_NL[last][0].clone()
    for values in data.targets.values():
        values[last] = 1
    less = TrainingSet(
        data.x_NL[~last], data.participant_N[~last], {t: v[~last] for t, v in data.targets.items()}
    )
    moved = float((_sum_of_clipped(data, s, 0, kind) - _sum_of_clipped(less, s, 0, kind)).norm())
    assert (moved <= s.clip_norm) == (kind is PrivateTrainer)
    assert kind is PrivateTrainer or moved > 1.05 * s.clip_norm


@pytest.mark.parametrize("unit", ["participant", "window"])
def test_empty_draws_are_noised_counted_and_move_the_weights(unit: str) -> None:
    data, m = cohort(), model("bitfit")
    with trainer(m, spec(unit, q=1e-9, sigma=1.5)) as t:
        for step in range(5):
            before = flat(m)
            assert t.step(data) is None
            assert t.steps_taken == step + 1
            assert float((flat(m) - before).norm()) > 0


@pytest.mark.parametrize("seed", [4, None])
def test_noise_has_the_claimed_scale_and_is_white(seed: int | None) -> None:
    m, s = model(), spec(q=1e-9, sigma=1.5, expected=3.0)
    noise = []
    with trainer(m, s, seed) as t:
        for _ in range(4):
            before = flat(m)
            t.step(cohort())
            noise.append((flat(m) - before).numpy() * s.expected / (s.sigma * CLIP))
    for draw in noise:
        n = len(draw)
        assert n > 70_000
        assert abs(draw.mean()) < 4.5 / math.sqrt(n)
        assert abs(draw.std() - 1) < 4.5 / math.sqrt(2 * n)
        assert abs((draw**4).mean() - 3) < 0.25
        assert abs(np.corrcoef(draw[1:], draw[:-1])[0, 1]) < 4.5 / math.sqrt(n)
    assert abs(np.corrcoef(noise[0], noise[1])[0, 1]) < 4.5 / math.sqrt(len(noise[0]))


def test_large_draws_in_several_passes_are_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    once = _sum_of_clipped(cohort(), spec(q=1.0), 0, PrivateTrainer)
    monkeypatch.setattr(private, "MAX_WINDOWS_PER_PASS", 6)
    torch.testing.assert_close(
        _sum_of_clipped(cohort(), spec(q=1.0), 0, PrivateTrainer), once, rtol=1e-5, atol=1e-6
    )


def test_a_seed_repeats_and_no_seed_does_not() -> None:
    def run(seed: int | None) -> torch.Tensor:
        m = model("bitfit")
        train_private(m, cohort(), spec(sigma=1.0), steps=3, lr_schedule=[1e-3] * 3, seed=seed)
        return flat(m)

    assert torch.equal(run(5), run(5))
    assert not torch.equal(run(5), run(6))
    assert not torch.equal(run(None), run(None))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_person_with_a_non_finite_gradient_counts_as_absent(bad: float) -> None:
    """Whether somebody's data overflow must not be answered by stopping, nor reach anybody else."""
    data, m, twin = cohort(), model(), model()
    person = int(data.participant_N[3])
    without = TrainingSet(data.x_NL.clone(), data.participant_N, dict(data.targets))
    data.x_NL[3, 7] = bad
    settings = spec(q=1.0, sigma=1.0, windows_per_draw=50)
    with trainer(m, settings) as t:
        t.step(data)
        assert t.steps_taken == 1
    # The same draw and noise where that person's windows were never drawn: the same weights.
    with trainer(twin, settings) as t:
        honest = t.draw
        t.draw = lambda d: [g for g in honest(d) if int(d.participant_N[g[0]]) != person]  # type: ignore[method-assign]
        t.step(without)
    assert bool(torch.isfinite(flat(m)).all())
    torch.testing.assert_close(flat(m), flat(twin))


def test_training_leaves_an_ordinary_model_behind() -> None:
    m = model()
    keys = list(m.state_dict())
    for _ in range(2):
        log = train_private(m, cohort(), spec(sigma=0.5), steps=2, lr_schedule=lambda step: 1e-3, seed=1)
        assert all(math.isfinite(loss) for loss in log.losses)
    assert list(m.state_dict()) == keys
    assert not any(hasattr(p, "grad_sample") or hasattr(p, "summed_grad") for p in m.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in m.modules())
    assert not any(getattr(module, "activations", None) for module in m.modules())


def test_frozen_parameters_stay_and_unlabelled_heads_are_noised() -> None:
    m = model("bitfit")
    before = {n: p.detach().clone() for n, p in m.named_parameters()}
    train_private(m, cohort(), spec(sigma=0.5), steps=2, lr_schedule=[1e-2] * 2, seed=1)
    for name, p in m.named_parameters():
        assert torch.equal(p, before[name]) != p.requires_grad, name
    assert m.heads["age"].weight.requires_grad


def test_private_training_learns_when_there_is_something_to_learn() -> None:
    data, m = cohort(12), model("full", ("sex",))
    label = (data.participant_N % 2).long()
    x_NL = data.x_NL + 2.0 * (2 * label - 1)[:, None]
    data = TrainingSet(x_NL, data.participant_N, {"sex": label})
    log = train_private(
        m, data, spec(q=0.7, expected=8.0, sigma=0.3), steps=25, lr_schedule=lambda s: 2e-3, seed=0
    )
    assert np.mean(log.losses[-5:]) < 0.5 * log.losses[0]


def test_a_site_without_any_label_still_releases_noise_alone() -> None:
    data, m = cohort(), model("bitfit")
    before = flat(m)
    with trainer(m, spec(q=1.0, sigma=1.0)) as t:
        assert t.step(TrainingSet(data.x_NL, data.participant_N, {})) == 0.0
    assert float((flat(m) - before).norm()) > 0


def test_a_layer_without_a_known_gradient_is_refused() -> None:
    m = model()
    m.encoder.norm = nn.BatchNorm1d(41)
    with pytest.raises(TypeError, match=r"encoder\.norm: no per-unit gradient"):
        trainer(m, spec())
    assert not any(module._forward_hooks for module in m.modules())


def test_only_this_module_imports_opacus() -> None:
    root = Path(transecg_core.__file__).parent
    importers = set()
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "opacus" for name in names):
                importers.add(path.relative_to(root).as_posix())
    assert importers == {"training/private.py"}


@pytest.mark.parametrize("trainable", ["head", "bitfit", "full"])
@pytest.mark.parametrize("gone", range(PEOPLE))
def test_weights_made_to_amplify_rounding_move_nobody_else(trainable: str, gone: int) -> None:
    """A head row of one large number: the embedding sums to zero, so the logit is rounding error, and nothing else.

    Kernels that round by the number of rows let one person's absence turn everybody else's gradient.
    """
    sums = []
    for data in (cohort(), cohort(without=gone)):
        m = model(trainable)
        with torch.no_grad():
            for head in m.heads.values():
                head.weight.zero_()
                head.weight[0] = 1e7
                head.bias.zero_()
        before = flat(m)
        with trainer(m, spec(q=1.0, expected=1.0, windows_per_draw=1)) as t:
            t.step(data)
        sums.append(flat(m) - before)
    assert float((sums[0] - sums[1]).norm()) <= CLIP * (1 + 1e-3)


@pytest.mark.parametrize("bad", [101.0, math.nan, math.inf])
def test_weights_that_no_training_leads_to_are_refused(bad: float) -> None:
    m = model()
    with torch.no_grad():
        m.heads["sex"].weight[0, 0] = bad
    with pytest.raises(ValueError, match=r"heads\.sex\.weight"):
        train_private(m, cohort(), spec(), steps=1, lr_schedule=[1e-3], seed=0)
