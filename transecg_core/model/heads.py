"""Task heads: linear layers on the embedding, and which of them may leave a site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from transecg_core.cohorts.schema import AGE_BANDS, BEATS
from transecg_core.model.encoder import EMBED_DIM, Encoder, new_encoder

CLASSES: Mapping[str, tuple[str, ...]] = {
    "sex": ("F", "M"),
    "age": AGE_BANDS,
    "beat": BEATS,
    "diagnosis": ("normal", "abnormal"),
}
"""Classes of the tasks whose heads are shared."""

LOCAL_TASKS = frozenset({"participant"})
"""Tasks whose head stays at the site: a released participant head is a list of participants."""

TASK_WEIGHT: Mapping[str, float] = {"participant": 1.0, "sex": 0.3, "age": 0.3, "beat": 0.5, "diagnosis": 0.3}
"""Public constants. Sharing a trunk costs identification 8-14 points at equal weights."""

CLASS_WEIGHT: Mapping[str, tuple[float, ...]] = {"beat": (1.0, 3.0, 3.0)}
"""Public constants; weights computed from a cohort would be a release."""


class SiteModel(nn.Module):
    """An encoder with one linear head per task.

    Parameters
    ----------
    encoder
        The shared encoder.
    classes
        Task -> number of classes.
    """

    def __init__(self, encoder: Encoder, classes: Mapping[str, int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict({task: nn.Linear(EMBED_DIM, n) for task, n in classes.items()})

    def forward(self, x_BL: Tensor) -> dict[str, Tensor]:
        """Return task -> logits (B, classes)."""
        z_BD = self.encoder(x_BL)
        return {task: head(z_BD) for task, head in self.heads.items()}


def new_site_model(patch: int, tasks: Iterable[str], seed: int, participants: int = 0) -> SiteModel:
    """Return an initialised model; encoder and shared heads depend on `seed` alone.

    `participants` is the number of local participant classes, used only if that task is asked for.
    """
    tasks = tuple(tasks)
    shared = {task: len(CLASSES[task]) for task in CLASSES if task in tasks}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        model = SiteModel(new_encoder(patch, seed), shared)
        if "participant" in tasks:
            model.heads["participant"] = nn.Linear(EMBED_DIM, participants)
    return model


def shared_state(model: SiteModel) -> dict[str, Tensor]:
    """Return the parameters that may leave a site, by name, sorted; never a local head."""
    local = tuple(f"heads.{task}." for task in LOCAL_TASKS)
    state = model.state_dict()
    return {name: state[name].detach().clone() for name in sorted(state) if not name.startswith(local)}


def load_shared(model: SiteModel, state: Mapping[str, Tensor]) -> None:
    """Load `shared_state` from elsewhere; names, shapes and finiteness must match exactly.

    Raises
    ------
    ValueError
        For a missing, unexpected, misshapen or non-finite array.
    """
    own = shared_state(model)
    if set(own) != set(state):
        odd = sorted(set(own) ^ set(state))
        raise ValueError(f"weights do not fit this model: {', '.join(odd[:4])}")
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise ValueError(f"weights do not fit this model: {name} is {tuple(value.shape)}")
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"weights are not finite: {name}")
    model.load_state_dict({**model.state_dict(), **state})


def set_trainable(model: SiteModel, trainable: str) -> None:
    """Freeze what training may not move.

    ``full`` moves everything, ``bitfit`` only biases, norms, class token, positions and
    heads (about 3 k parameters), ``head`` only the heads.
    """
    for name, parameter in model.named_parameters():
        is_head = name.startswith("heads.")
        is_small = name.endswith(".bias") or ".norm" in name or ".tokens." in name
        parameter.requires_grad_(trainable == "full" or is_head or (trainable == "bitfit" and is_small))
