"""The shared encoder: a one-dimensional Vision Transformer over heartbeat windows.

Shape and size follow TransECG (arXiv 2503.13495) at the scale that the federation's
data can carry: d = 64, two blocks, four heads, 75 k parameters.

The class token and the positions live in a small *leaf* module and the patch embedding
is reshape + ``Linear``: raw parameters on the root module would make Opacus compute all
per-sample gradients of the model by functorch, at about 1.5 times the cost.
The parameter names are part of the checkpoint format; a test freezes them.
"""

from __future__ import annotations

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from transecg_core.signals.schema import WINDOW

EMBED_DIM = 64
DEPTH = 2
HEADS = 4
MLP_RATIO = 2.0


class Tokens(nn.Module):
    """Prepend the class token and add the learned positions: (B, T, D) -> (B, T + 1, D)."""

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.cls = nn.Parameter(torch.empty(1, 1, dim))
        self.pos = nn.Parameter(torch.empty(1, tokens + 1, dim))
        nn.init.normal_(self.cls, std=1e-6)
        nn.init.trunc_normal_(self.pos, std=0.02)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the token sequence with the class token first."""
        return torch.cat([self.cls.expand(x_BTD.shape[0], -1, -1), x_BTD], dim=1) + self.pos


class Encoder(nn.Module):
    """Windows (B, L) -> embeddings (B, D): the normed class token of the last block.

    Parameters
    ----------
    patch
        Samples per token at 250 Hz: 5 (20 ms, resolves the heartbeat components) or 10.
    """

    def __init__(self, patch: int = 5) -> None:
        super().__init__()
        if WINDOW % patch:
            raise ValueError(f"patch {patch} does not divide the window of {WINDOW} samples")
        self.patch = patch
        self.embed = nn.Linear(patch, EMBED_DIM)
        self.tokens = Tokens(WINDOW // patch, EMBED_DIM)
        self.blocks = nn.Sequential(
            *(Block(EMBED_DIM, HEADS, mlp_ratio=MLP_RATIO, qkv_bias=True) for _ in range(DEPTH))
        )
        self.norm = nn.LayerNorm(EMBED_DIM)

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return the embeddings (B, D) of windows (B, L)."""
        batch, length = x_BL.shape
        x_BTD = self.embed(x_BL.reshape(batch, length // self.patch, self.patch))
        z_BTD: Tensor = self.norm(self.blocks(self.tokens(x_BTD)))
        return z_BTD[:, 0]


def new_encoder(patch: int, seed: int) -> Encoder:
    """Return a freshly initialised encoder; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(patch)
