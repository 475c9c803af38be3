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
cancellation, and a norm that is too small is a person clipped too little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from timm.layers.norm import LayerNorm as TimmLayerNorm
from torch import Tensor, nn
from torch.nn import functional as F

from transecg_core.model.encoder import Tokens

LayerGradients = Callable[[Any, Tensor, Tensor, Mapping[nn.Parameter, Tensor]], None]
"""(layer, its input (U, R, I), its output's gradient (U, R, O), where to write each parameter's (U, ...))."""


class UnitGradients:
    """Per-unit gradients of a model; equally many consecutive rows of the batch are one unit.

    Raises
    ------
    TypeError
        For a trainable layer of a type whose per-unit gradient is not known.
    """

    def __init__(self, model: nn.Module) -> None:
        self._units = 1
        self._room: dict[nn.Parameter, Tensor] = {}
        self._found: set[nn.Parameter] = set()
        self._lowest: list[Tensor] = []
        self._noted = False
        watched = [
            (name, module)
            for name, module in model.named_modules()
            if any(p.requires_grad for p in module.parameters(recurse=False))
        ]
        for name, module in watched:
            if type(module) not in LAYERS:
                raise TypeError(f"{name}: no per-unit gradient is known for {type(module).__name__}")
        self._handles = [module.register_forward_hook(self._note) for _, module in watched]

    def _note(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not (self._noted and torch.is_grad_enabled()):
            return
        if not inputs[0].requires_grad:  # nothing trainable lies below: the backward pass ends here
            self._lowest.append(output)
        x = inputs[0].detach()
        output.register_hook(lambda gradient: self._collect(layer, x, gradient))  # type: ignore[no-untyped-call]

    def _collect(self, layer: nn.Module, x: Tensor, gradient: Tensor) -> None:
        own = [p for p in layer.parameters(recurse=False) if p.requires_grad]
        out = {p: torch.empty_like(self._of(p)) if p in self._found else self._of(p) for p in own}
        LAYERS[type(layer)](layer, self._fold(x), self._fold(gradient), out)
        for p in own:  # a layer used twice adds up
            if p in self._found:
                self._of(p).add_(out[p])
            self._found.add(p)

    def _of(self, p: nn.Parameter) -> Tensor:
        """Return this pass's gradients (units, ...) of a parameter, in memory that all passes share.

        Fresh memory would cost more page faults than the products that are written to it.
        """
        if p not in self._room or len(self._room[p]) < self._units:
            self._room[p] = p.new_empty(self._units, *p.shape)
        return self._room[p][: self._units]

    def _fold(self, x: Tensor) -> Tensor:
        """Return (units * group, ..., D) as (units, rows, D), with all rows of a unit side by side."""
        return x.reshape(self._units, -1, x.shape[-1])

    def backward(
        self, loss: Callable[[], Tensor], parameters: Sequence[nn.Parameter], units: int
    ) -> tuple[float, list[Tensor]]:
        """Return the loss and each parameter's gradients (units, ...), good until the next call.

        A parameter that no loss reached (a head without labels) gets zeros; it is noised too.
        """
        self._units, self._noted = units, True
        try:
            total = loss()
            if self._lowest and total.requires_grad:
                # Hooks collect; asking for the lowest outputs makes every layer above them pass by.
                torch.autograd.grad(total, self._lowest, allow_unused=True)
            for p in set(parameters) - self._found:
                self._of(p).zero_()
            return float(total.detach()), [self._of(p) for p in parameters]
        finally:
            self._noted = False
            self._found, self._lowest = set(), []

    def remove(self) -> None:
        """Remove the hooks from the model."""
        for handle in self._handles:
            handle.remove()


def _linear(layer: Any, x_URI: Tensor, g_URO: Tensor, out: Mapping[nn.Parameter, Tensor]) -> None:
    if layer.weight in out:
        torch.bmm(g_URO.mT, x_URI, out=out[layer.weight])
    if layer.bias in out:
        torch.sum(g_URO, dim=1, out=out[layer.bias])


def _layer_norm(layer: Any, x_URI: Tensor, g_URO: Tensor, out: Mapping[nn.Parameter, Tensor]) -> None:
    if layer.weight in out:
        normed_URI = F.layer_norm(x_URI, layer.normalized_shape, eps=layer.eps)
        torch.sum(normed_URI.mul_(g_URO), dim=1, out=out[layer.weight])
    if layer.bias in out:
        torch.sum(g_URO, dim=1, out=out[layer.bias])


def _tokens(layer: Any, x_URI: Tensor, g_URO: Tensor, out: Mapping[nn.Parameter, Tensor]) -> None:
    g_UTD = g_URO.reshape(g_URO.shape[0], -1, *layer.pos.shape[1:]).sum(dim=1)
    if layer.pos in out:
        out[layer.pos].copy_(g_UTD[:, None])
    if layer.cls in out:
        out[layer.cls].copy_(g_UTD[:, None, :1])


LAYERS: Mapping[type[nn.Module], LayerGradients] = {
    nn.Linear: _linear,
    nn.LayerNorm: _layer_norm,
    TimmLayerNorm: _layer_norm,
    Tokens: _tokens,
}
"""By exact type: a subclass may compute something else."""
