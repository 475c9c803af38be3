"""Weights as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from safetensors.torch import save
from torch import Tensor


def packed(state: Mapping[str, Tensor]) -> bytes:
    """Return weights as the bytes that are stored and sent."""
    return save({name: value.contiguous() for name, value in state.items()})


def digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of weights."""
    return hashlib.sha256(packed(state)).hexdigest()
