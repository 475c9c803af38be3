"""Exact gradients of every privacy unit from one backward pass.

Book-keeping (Bu et al., arXiv 2210.00038): the forward pass notes each trainable layer's input, the
backward pass asks only for the gradients of the layers' *outputs*, and as soon as one of them is
known, input and output gradient give the layer's gradient of every unit, by one batched product.
The ordinary weight gradients, which differential privacy has no use for, are never computed, and
layers below the lowest trainable one are not visited.

The per-unit gradients are kept until the step is over, rather than their norms alone: with 41
tokens and widths of 64 to 192, the product itself costs less than the Gram matrices that give its
norm, and the weighted sum afterwards less than a second product. It also means that the very
numbers whose norm was taken are those that are scaled and added: a Gram matrix may lose a norm to
cancellation, and a norm that is too small is a person clipped too little. Where a unit is a single
row (everything above the last attention, for the embedding is the class token) the
gradient is an outer product: two vectors are kept, and the norm is the product of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers.norm import LayerNorm as TimmLayerNorm
from torch import Tensor, nn

from transecg_core.model.encoder import Tokens

LARGE = 1024
"""Weight matrices of at least so many numbers are kept by themselves; what is smaller shares one array."""

KEPT = 8192
"""Memory for the gradients of parameters of up to so many numbers is kept from pass to pass."""

Outer = tuple[Tensor, Tensor]
"""Gradients (U, O, I) as the outer products of (U, O) and (U, I)."""


@dataclass(frozen=True)
class UnitGradients:
    """Gradients of U units, by parameter, and the joint norms (U,).

    Attributes
    ----------
    small
        Gradients (U, ...) of biases, norms, tokens, small heads: views of ``block``.
    large
        Gradients (U, ...) of large weight matrices.
    outer
        Gradients of large weight matrices where a unit is a single row.
    """

    small: Mapping[nn.Parameter, Tensor]
    large: Mapping[nn.Parameter, Tensor]
    outer: Mapping[nn.Parameter, Outer]
    block: Tensor
    norm_U: Tensor

    def of(self, p: nn.Parameter) -> Tensor:
        """Return one parameter's gradients (U, ...)."""
        if p in self.outer:
            g_UO, x_UI = self.outer[p]
            return g_UO[:, :, None] * x_UI[:, None]
        if p in self.large or p in self.small:
            return self.large[p] if p in self.large else self.small[p]
        return p.new_zeros(len(self.norm_U), *p.shape)

    def weighted_sum(self, weight_U: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
        """Return the units' weighted sum, flat, one parameter after the other; weight 0 means absent.

        An absent unit's rows are zeroed first, for zero times NaN would reach everybody's sum.
        """
        outer = self.outer
        absent_U = weight_U == 0
        if bool(absent_U.any()):
            for rows in (self.block, *self.large.values()):
                rows[absent_U] = 0.0
            gone_U1 = absent_U[:, None]
            outer = {
                p: (g.masked_fill(gone_U1, 0.0), x.masked_fill(gone_U1, 0.0)) for p, (g, x) in outer.items()
            }
        sums = {p: weight_U @ g.flatten(1) for p, g in self.large.items()}
        sums |= {p: ((g * weight_U[:, None]).T @ x).flatten() for p, (g, x) in outer.items()}
        parts = (weight_U @ self.block).split([p.numel() for p in self.small])  # type: ignore[no-untyped-call]
        sums |= dict(zip(self.small, parts, strict=True))
        return torch.cat([sums[p] if p in sums else p.new_zeros(p.numel()) for p in parameters])


class BookKeeper:
    """Watches a model's trainable layers; equally many consecutive rows of the batch are one unit.

    Raises
    ------
    TypeError
        For a trainable layer of a type whose per-unit gradient is not known.
    """

    def __init__(self, model: nn.Module) -> None:
        self._units = 0
        self._room: dict[nn.Parameter | None, Tensor] = {}
        self._large: dict[nn.Parameter, Tensor] = {}
        self._outer: dict[nn.Parameter, Outer] = {}
        self._norms: list[Tensor] = []
        self._noted: set[nn.Module] = set()
        self._seen: set[nn.Parameter] = set()
        self._small: dict[nn.Parameter, Tensor] = {}
        self._lowest: list[Tensor] = []
        self._statistics: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self._trainable: dict[nn.Module, list[nn.Parameter]] = {}
        for name, module in model.named_modules():
            own = [p for p in module.parameters(recurse=False) if p.requires_grad]
            if own and (type(module) not in LAYERS or _spans_dimensions(module)):
                raise TypeError(f"{name}: no per-unit gradient is known for {type(module).__name__}")
            if own:
                self._trainable[module] = own
        self._handles = [module.register_forward_hook(self._note) for module in self._trainable]

    def backward(self, loss: Callable[[], Tensor], units: int) -> tuple[float, UnitGradients]:
        """Return the loss and the units' gradients of it, which are good until the next call."""
        self._units = units
        block, small = self._small_room()
        self._small = small
        try:
            total = loss()
            if self._lowest and total.requires_grad:
                # Hooks collect; asking for the lowest outputs makes every layer above them pass by.
                torch.autograd.grad(total, self._lowest, allow_unused=True)
            for p, rows in small.items():
                if p not in self._seen:
                    rows.zero_()
            self._norms.append(torch.linalg.vector_norm(block, dim=1))
            norm_U = torch.linalg.vector_norm(torch.stack(self._norms), dim=0)
            return float(total.detach()), UnitGradients(small, self._large, self._outer, block, norm_U)
        finally:
            self._units = 0
            self._large, self._outer, self._norms, self._lowest = {}, {}, [], []
            self._noted, self._seen, self._statistics = set(), set(), {}

    def _small_room(self) -> tuple[Tensor, dict[nn.Parameter, Tensor]]:
        """Return one array (U, all small parameters), and each one's columns as (U, ...).

        Side by side, because two dozen tiny tensors would cost more in calls than in arithmetic.
        """
        small = [p for own in self._trainable.values() for p in own if not _is_large(p)]
        sizes = [p.numel() for p in small]
        block = self._room_for(None, (sum(sizes),))
        parts = zip(small, block.split(sizes, dim=1), strict=True)  # type: ignore[no-untyped-call]
        return block, {p: part.unflatten(1, p.shape) for p, part in parts}

    def _room_for(self, p: nn.Parameter | None, shape: Sequence[int]) -> Tensor:
        """Return memory (U, ...) to write to; all but the largest arrays are kept for the next pass.

        Fresh memory costs page faults, kept memory adds to the peak, which lies before the backward pass.
        """
        if p is not None and p.numel() > KEPT:
            return torch.empty(self._units, *shape)
        if p not in self._room or len(self._room[p]) < self._units:
            self._room[p] = torch.empty(self._units, *shape)
        return self._room[p][: self._units]

    def remove(self) -> None:
        """Remove the hooks from the model."""
        for handle in self._handles:
            handle.remove()

    def _note(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not (self._units and torch.is_grad_enabled()):
            return
        if layer in self._noted:
            raise TypeError(f"{type(layer).__name__} is used twice in one pass")
        self._noted.add(layer)
        if not inputs[0].requires_grad:  # nothing trainable lies below: the backward pass ends here
            self._lowest.append(output)
        held = [inputs[0].detach()]  # given up when used: the graph keeps its hooks to the end of the pass
        if isinstance(layer, nn.LayerNorm):  # the very mean and 1/std (B, T, 1) of the forward pass
            self._statistics[layer] = output.grad_fn._saved_result1, output.grad_fn._saved_result2  # type: ignore[union-attr]
        output.register_hook(lambda gradient: self._collect(layer, held.pop(), gradient))  # type: ignore[no-untyped-call]

    def _collect(self, layer: nn.Module, x: Tensor, gradient: Tensor) -> None:
        if not isinstance(layer, Tokens) and _only_first_token(gradient):
            x, gradient = x[:, :1].clone(), gradient[:, :1].clone()  # a view would keep all of it
        if layer in self._statistics:
            mean, scale = (t[:, : x.shape[1]] if x.ndim == 3 else t for t in self._statistics[layer])
            x = (x - mean).mul_(scale)
        x_URI = x.reshape(self._units, -1, x.shape[-1])
        g_URO = gradient.reshape(self._units, -1, gradient.shape[-1])
        for p in self._trainable[layer]:
            self._seen.add(p)
            if not _is_large(p):
                LAYERS[type(layer)](layer, p, x_URI, g_URO, self._small[p])
            elif g_URO.shape[1] == 1:
                self._keep_outer(p, g_URO[:, 0], x_URI[:, 0])
            else:
                self._keep_product(layer, p, x_URI, g_URO)

    def _keep_outer(self, p: nn.Parameter, g_UO: Tensor, x_UI: Tensor) -> None:
        self._outer[p] = g_UO, x_UI
        # In float64: a tiny factor's square must not vanish beside a huge other factor.
        g_U, x_U = (torch.linalg.vector_norm(t, dim=1, dtype=torch.float64) for t in (g_UO, x_UI))
        self._norms.append((g_U * x_U).float())

    def _keep_product(self, layer: nn.Module, p: nn.Parameter, x_URI: Tensor, g_URO: Tensor) -> None:
        self._large[p] = out = self._room_for(p, p.shape)
        LAYERS[type(layer)](layer, p, x_URI, g_URO, out)
        self._norms.append(torch.linalg.vector_norm(out.flatten(1), dim=1))


def _spans_dimensions(module: nn.Module) -> bool:
    """Return whether this is a LayerNorm over more than the last dimension, which folding would break."""
    return isinstance(module, nn.LayerNorm) and len(module.normalized_shape) != 1


def _is_large(p: nn.Parameter) -> bool:
    return p.ndim == 2 and p.numel() >= LARGE


def _only_first_token(g_BTD: Tensor) -> bool:
    """Return whether all rows but each window's first are exactly zero; one window settles most layers."""
    if g_BTD.ndim != 3 or g_BTD.shape[1] == 1:
        return False
    rest = g_BTD.numpy()[:, 1:]
    return not rest[0].any() and not rest.any()


def _linear(layer: Any, p: nn.Parameter, x_URI: Tensor, g_URO: Tensor, out: Tensor) -> None:
    if p is layer.weight and out.is_contiguous():
        torch.bmm(g_URO.mT, x_URI, out=out)
    elif p is layer.weight:
        out.copy_(torch.bmm(g_URO.mT, x_URI))
    else:
        torch.sum(g_URO, dim=1, out=out)


def _layer_norm(layer: Any, p: nn.Parameter, normed_URI: Tensor, g_URO: Tensor, out: Tensor) -> None:
    if p is layer.weight:
        torch.sum(normed_URI * g_URO, dim=1, out=out)
    else:
        torch.sum(g_URO, dim=1, out=out)


def _tokens(layer: Any, p: nn.Parameter, x_URI: Tensor, g_URO: Tensor, out: Tensor) -> None:
    g_UGTD = g_URO.reshape(len(g_URO), -1, *layer.pos.shape[1:])[:, :, : p.shape[1]]
    torch.sum(g_UGTD, dim=1, keepdim=True, out=out)


LAYERS: Mapping[type[nn.Module], Callable[[Any, nn.Parameter, Tensor, Tensor, Tensor], None]] = {
    nn.Linear: _linear,
    nn.LayerNorm: _layer_norm,
    TimmLayerNorm: _layer_norm,
    Tokens: _tokens,
}
"""(layer, parameter, input (U, R, I), which is normed for LayerNorm, output's gradient (U, R, O), where to
write (U, ...)), by exact type: a subclass may compute something else."""
