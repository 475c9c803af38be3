"""The closed form: exact on one beat's gradient, silent on noise, and a reason where there is no equation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.model.heads import SiteModel, new_site_model, set_trainable, shared_state
from transecg_core.risk.inversion import POSITIONS, PROJECTION, closed_form, likeness, rebuilt, z_normed
from transecg_core.risk.rows import NotMeasurable
from transecg_core.training.local import window_losses


def beat(seed: int) -> torch.Tensor:
    x_L = np.cumsum(np.random.default_rng(seed).normal(size=200))
    return torch.from_numpy(z_normed(x_L[None])).float()


def gradient(model: SiteModel, x_BL: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    model.zero_grad()
    codes = {
        "sex": torch.ones(len(x_BL), dtype=torch.int64),
        "age": torch.zeros(len(x_BL), dtype=torch.int64),
    }
    window_losses(model, x_BL, codes).mean().backward()
    own = dict(model.named_parameters())
    return own[POSITIONS].grad[0, 1:].numpy(), own[PROJECTION].grad.numpy()


def correlation(a_L: np.ndarray, b_L: np.ndarray) -> float:
    return float(np.corrcoef(a_L, b_L)[0, 1])


@pytest.mark.parametrize("patch", [5, 10])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_one_beats_gradient_gives_the_beat_whatever_the_weights(patch: int, seed: int) -> None:
    model = new_site_model(patch, ("sex", "age"), seed)
    x_BL = beat(seed)
    positions, projection = gradient(model, x_BL)
    assert correlation(closed_form(positions, projection), x_BL[0].numpy()) > 0.999
    # Clipping scales both alike and hides nothing.
    assert correlation(closed_form(1e-3 * positions, 1e-3 * projection), x_BL[0].numpy()) > 0.999


def test_noise_on_the_gradient_destroys_the_beat() -> None:
    """Noise of .5 of the clip norm per coordinate, as a private step of one person adds at sigma .5."""
    model, found = new_site_model(5, ("sex", "age"), 0), []
    for seed in range(12):
        parts = gradient(model, beat(seed))
        norm = float(np.sqrt(sum((part**2).sum() for part in parts)))
        rng = np.random.default_rng(seed)
        noisy = [part / norm + rng.normal(scale=0.5, size=part.shape) for part in parts]
        found.append(correlation(closed_form(*noisy), beat(seed)[0].numpy()))
    assert abs(np.mean(found)) < 0.1
    assert np.max(np.abs(found)) < 0.35


def test_of_many_different_beats_no_one_is_left() -> None:
    model = new_site_model(5, ("sex", "age"), 0)
    x_BL = torch.cat([beat(seed) for seed in range(32)])
    window_L = closed_form(*gradient(model, x_BL))
    assert np.max(likeness(window_L[None], x_BL.numpy())) < 0.9


def test_an_update_is_inverted_from_the_weights_around_it() -> None:
    model = new_site_model(5, ("sex", "age"), 0)
    before, x_BL = shared_state(model), beat(7)
    gradient(model, x_BL)
    with torch.no_grad():
        for p in model.parameters():
            p.sub_(0.05 * p.grad)
    assert correlation(rebuilt(before, shared_state(model)), x_BL[0].numpy()) > 0.999


@pytest.mark.parametrize("trainable", ["bitfit", "head"])
def test_a_frozen_projection_leaves_no_equation(trainable: str) -> None:
    model = new_site_model(5, ("sex", "age"), 0)
    before = shared_state(model)
    set_trainable(model, trainable)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    window_losses(model, beat(0), {"sex": torch.tensor([1])}).mean().backward()
    optimizer.step()
    with pytest.raises(NotMeasurable, match="did not move: the closed form has no equation"):
        rebuilt(before, shared_state(model))


def test_an_update_that_is_not_finite_is_a_reason() -> None:
    state = shared_state(new_site_model(5, ("sex",), 0))
    broken = state | {POSITIONS: torch.full_like(state[POSITIONS], torch.nan)}
    with pytest.raises(NotMeasurable, match="position embedding is not finite"):
        rebuilt(state, broken)


def test_likeness_sees_through_a_shift_and_not_through_noise() -> None:
    x_NL = np.stack([beat(seed)[0].numpy() for seed in range(6)])
    for shift in (-5, 0, 5):
        like = likeness(np.roll(x_NL, shift, axis=1), x_NL)
        assert np.allclose(np.diag(like), 1.0, atol=1e-6)
        assert (like.argmax(axis=1) == np.arange(6)).all()
    assert likeness(np.roll(x_NL, 60, axis=1), x_NL).diagonal().max() < 0.99
    assert (likeness(np.ones((1, 200)), x_NL) == 0).all()  # nothing rebuilt is like nobody
