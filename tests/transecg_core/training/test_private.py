"""Private training: exact gradients, bounded influence of one person, honest noise, closed failures."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_site import CLIP, PEOPLE, cohort, flat, loop_gradients, model, spec, sum_of_clipped, trainer
from torch import nn

import transecg_core
from transecg_core.training import private, sampling
from transecg_core.training.local import TrainingSet
from transecg_core.training.private import PrivateTrainer, train_private


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


def test_a_step_that_was_broken_off_leaves_nothing_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_WINDOWS_PER_PASS", 6)
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
    once = sum_of_clipped(cohort(), spec(q=1.0), 0, PrivateTrainer)
    monkeypatch.setattr(sampling, "MAX_WINDOWS_PER_PASS", 6)
    torch.testing.assert_close(
        sum_of_clipped(cohort(), spec(q=1.0), 0, PrivateTrainer), once, rtol=1e-5, atol=1e-6
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


@pytest.mark.parametrize("bad", [101.0, math.nan, math.inf])
def test_weights_that_no_training_leads_to_are_refused(bad: float) -> None:
    m = model()
    with torch.no_grad():
        m.heads["sex"].weight[0, 0] = bad
    with pytest.raises(ValueError, match=r"heads\.sex\.weight"):
        train_private(m, cohort(), spec(), steps=1, lr_schedule=[1e-3], seed=0)
