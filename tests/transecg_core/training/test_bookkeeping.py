"""Per-unit gradients against two independent ways of computing them: vmap and Opacus' hooks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from opacus import GradSampleModule
from opacus.grad_sample import register_grad_sampler
from opacus.grad_sample.layer_norm import compute_layer_norm_grad_sample
from timm.layers.norm import LayerNorm as TimmLayerNorm
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from transecg_core.model.encoder import Tokens
from transecg_core.model.heads import SiteModel, new_site_model, set_trainable
from transecg_core.training.bookkeeping import BookKeeper, UnitGradients
from transecg_core.training.local import window_losses

UNITS, GROUP = 6, 3


def site_model(trainable: str = "full", patch: int = 5) -> SiteModel:
    model = new_site_model(patch, ("sex", "beat"), seed=3)
    with torch.no_grad():  # fresh norms and class tokens are ones and zeros: move them, so that they matter
        for n, p in model.named_parameters():
            if ".norm" in n or n.endswith((".bias", ".cls")):
                p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(len(n))), alpha=0.3)
    set_trainable(model, trainable)
    return model


def batch(rows: int, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    g = torch.Generator().manual_seed(seed)
    targets = {
        "sex": torch.randint(0, 2, (rows,), generator=g),
        "beat": torch.randint(0, 3, (rows,), generator=g),
    }
    return torch.randn(rows, 200, generator=g), targets


def loss_of(model: nn.Module, x: Tensor, targets: dict[str, Tensor]) -> Callable[[], Tensor]:
    return lambda: window_losses(model, x, targets).sum()  # type: ignore[arg-type]


def named(name: str) -> Callable[[str], str]:
    return lambda text: f"{name}: {text}"


@contextmanager
def keeper(model: nn.Module) -> Iterator[BookKeeper]:
    k = BookKeeper(model)
    yield k
    k.remove()


def trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    return {n: p for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("trainable", ["full", "bitfit", "head"])
@pytest.mark.parametrize("group", [1, GROUP])
def test_gradients_equal_vmap_s(group: int, trainable: str) -> None:
    model = site_model(trainable)
    x, targets = batch(UNITS * group)
    own = trainable_parameters(model)
    frozen = {n: p.detach() for n, p in model.named_parameters() if n not in own}

    def unit_loss(params: dict[str, Tensor], x: Tensor, sex: Tensor, beat: Tensor) -> Tensor:
        logits = functional_call(model, {**frozen, **params}, (x,))
        weight = torch.tensor([1.0, 3.0, 3.0])
        return 0.3 * nn.functional.cross_entropy(logits["sex"], sex, reduction="sum") + 0.5 * (
            nn.functional.cross_entropy(logits["beat"], beat, weight=weight, reduction="none").sum()
        )

    params = {n: p.detach() for n, p in own.items()}
    inputs = (x.view(UNITS, group, -1), *(targets[t].view(UNITS, group) for t in ("sex", "beat")))
    for block in model.encoder.blocks:  # fused attention has no batching rule: the oracle goes without
        block.attn.fused_attn = False  # type: ignore[union-attr]
    wanted = vmap(grad(unit_loss), in_dims=(None, 0, 0, 0), chunk_size=4)(params, *inputs)
    for block in model.encoder.blocks:
        block.attn.fused_attn = True  # type: ignore[union-attr]
    with keeper(model) as k:
        _, found = k.backward(loss_of(model, x, targets), UNITS)
    for n, p in own.items():
        assert float(wanted[n].abs().max()) > 1e-4, n
        torch.testing.assert_close(found.of(p), wanted[n], rtol=1e-4, atol=3e-6, msg=named(n))


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
def test_gradients_equal_those_of_opacus_hooks() -> None:
    register_grad_sampler(TimmLayerNorm)(compute_layer_norm_grad_sample)

    @register_grad_sampler(Tokens)  # type: ignore[untyped-decorator]
    def _tokens(layer: Tokens, activations: list[Tensor], backprops: Tensor) -> dict[nn.Parameter, Tensor]:
        return {layer.pos: backprops[:, None], layer.cls: backprops[:, None, :1]}

    model = site_model()
    x, targets = batch(UNITS)
    with keeper(model) as k:
        _, found = k.backward(loss_of(model, x, targets), UNITS)
    # torch warns that the first layer has no input to differentiate by; Opacus wants it so.
    hooked = GradSampleModule(site_model(), loss_reduction="sum")
    loss_of(hooked, x, targets)().backward()  # type: ignore[no-untyped-call]
    for (n, p), q in zip(model.named_parameters(), hooked.parameters(), strict=True):
        torch.testing.assert_close(found.of(p), q.grad_sample, rtol=1e-4, atol=3e-6, msg=named(n))


def test_rows_above_the_last_attention_are_kept_as_factors_and_only_there() -> None:
    model = site_model()
    x, targets = batch(UNITS)
    with keeper(model) as k:
        _, found = k.backward(loss_of(model, x, targets), UNITS)
    names = {n for n, p in model.named_parameters() if p in found.outer}
    last = {f"encoder.blocks.1.{n}.weight" for n in ("attn.proj", "mlp.fc1", "mlp.fc2")}
    assert names == last


def test_another_pooling_than_the_class_token_needs_no_change() -> None:
    """That rows are zero is seen, not assumed: the mean over tokens gives every token a gradient."""
    model = site_model()
    norm = model.encoder.norm
    model.encoder.norm = nn.Sequential(norm, _MeanPool())  # type: ignore[assignment]
    x, targets = batch(UNITS)
    with keeper(model) as k:
        _, found = k.backward(loss_of(model, x, targets), UNITS)
    one = trainable_parameters(model)["encoder.blocks.1.mlp.fc2.weight"]
    assert one in found.large
    for unit in range(UNITS):
        part = {t: v[unit : unit + 1] for t, v in targets.items()}
        (wanted,) = torch.autograd.grad(loss_of(model, x[unit : unit + 1], part)(), [one])
        torch.testing.assert_close(found.of(one)[unit], wanted, rtol=1e-4, atol=2e-6)


class _MeanPool(nn.Module):
    def forward(self, x_BTD: Tensor) -> Tensor:
        return x_BTD.mean(dim=1, keepdim=True)


@pytest.mark.parametrize("group", [1, GROUP])
def test_norms_and_sums_are_those_of_the_gradients(group: int) -> None:
    model = site_model()
    x, targets = batch(UNITS * group)
    weight_U = torch.linspace(0.1, 1.0, UNITS)
    params = list(model.parameters())
    with keeper(model) as k:
        _, found = k.backward(loss_of(model, x, targets), UNITS)
        flat = torch.cat([found.of(p).flatten(1).double() for p in params], dim=1)
        torch.testing.assert_close(found.norm_U.double(), flat.norm(dim=1), rtol=2e-6, atol=0.0)
        total = found.weighted_sum(weight_U, params)
    torch.testing.assert_close(total.double(), weight_U.double() @ flat, rtol=1e-5, atol=1e-6)


def test_absent_units_leave_nothing_even_where_they_are_not_finite() -> None:
    model = site_model()
    x, targets = batch(UNITS)
    x[2, 5], x[4] = math.nan, math.inf
    keep = [0, 1, 3, 5]
    params = list(model.parameters())
    with keeper(model) as k:
        _, found = k.backward(loss_of(model, x, targets), UNITS)
        assert [u for u in range(UNITS) if not math.isfinite(found.norm_U[u])] == [2, 4]
        weight_U = torch.isfinite(found.norm_U).float()
        total = found.weighted_sum(weight_U, params)
        _, others = k.backward(loss_of(model, x[keep], {t: v[keep] for t, v in targets.items()}), len(keep))
        wanted = others.weighted_sum(torch.ones(len(keep)), params)
    torch.testing.assert_close(total, wanted, rtol=1e-5, atol=1e-6)


class _Scaled(nn.Module):
    """A head whose input is huge and whose logit gradient is tiny."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 32, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x * 1e25) * 1e-24
        return out


def test_a_norm_survives_where_a_factor_s_square_would_vanish() -> None:
    """A server that picks such weights must not get a gradient of length 80 counted as one of length 0."""
    model = _Scaled()
    x = torch.zeros(2, 32)
    x[:, :2] = torch.tensor([[1.0, 1.0], [0.5, 0.0]])
    with keeper(model) as k:
        _, found = k.backward(lambda: model(x).sum(), 2)
    torch.testing.assert_close(found.norm_U, torch.tensor([math.sqrt(200.0), 5.0]) * math.sqrt(32))
    assert list(found.outer) == [model.layer.weight]


def test_layers_below_the_lowest_trainable_one_cost_nothing() -> None:
    model = site_model("head")
    with keeper(model) as k:
        _, found = k.backward(loss_of(model, *batch(UNITS)), UNITS)
    assert set(found.small) == set(trainable_parameters(model).values())
    assert not found.large
    assert not found.outer
    assert not any(module._forward_hooks for module in model.encoder.modules())


class _Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(self.layer(x))
        return out


class _Subclass(nn.Linear):
    """May compute anything."""


def test_what_is_not_known_to_be_exact_is_refused() -> None:
    twice = _Twice()
    with keeper(twice) as k, pytest.raises(TypeError, match="Linear is used twice"):
        k.backward(lambda: twice(torch.ones(2, 4)).sum(), 2)
    with pytest.raises(TypeError, match="0: no per-unit gradient is known for _Subclass"):
        BookKeeper(nn.Sequential(_Subclass(4, 4)))
    with pytest.raises(TypeError, match="0: no per-unit gradient is known for LayerNorm"):
        BookKeeper(nn.Sequential(nn.LayerNorm((4, 4))))


def test_a_loss_that_reaches_nothing_gives_zeros() -> None:
    model = site_model("bitfit")
    x, _ = batch(UNITS)
    with keeper(model) as k:
        k.backward(loss_of(model, *batch(UNITS)), UNITS)  # leaves numbers in the shared memory
        loss, found = k.backward(loss_of(model, x, {}), UNITS)
    assert loss == 0.0
    assert isinstance(found, UnitGradients)
    assert torch.equal(found.norm_U, torch.zeros(UNITS))
    assert (
        float(found.weighted_sum(torch.ones(UNITS), list(trainable_parameters(model).values())).norm()) == 0
    )
