"""What attacks may hold, and the hand that gives each one only what it declared."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch.nn import functional as F

from transecg_core.model.heads import LOCAL_TASKS, SiteModel
from transecg_core.training.local import MISSING

if TYPE_CHECKING:
    from transecg_core.risk.attributes import Attributes
    from transecg_core.risk.crossfit import Folds
    from transecg_core.risk.observed import State
    from transecg_core.risk.references import References
    from transecg_core.risk.rounds import GlobalRounds, SiteUpdates

Artefact = Literal[
    "gallery", "probes", "delineation", "recordings", "known-labels", "attributes", "public", "targets",
    "released-model", "architecture", "start", "site-updates", "global-rounds", "client-update",
    "audit-models", "folds",
]  # fmt: skip
ARTEFACTS: tuple[str, ...] = get_args(Artefact)
_BATCH = 256


class UndeclaredArtefact(RuntimeError):
    """An attack reached for something it did not declare."""


@dataclass(frozen=True)
class Gallery:
    """Identified windows of enrolled people, of every site.

    Attributes
    ----------
    x_NL
        Windows.
    entry_N, record_N, site_N
        Enrolled person, record and site of each window, as dense indices.
    site_G
        Site of each enrolled person.
    """

    x_NL: np.ndarray
    entry_N: np.ndarray
    record_N: np.ndarray
    site_N: np.ndarray
    site_G: np.ndarray


@dataclass(frozen=True)
class Probes:
    """Unidentified windows, grouped into queries (one record of somebody)."""

    x_NL: np.ndarray
    query_N: np.ndarray
    site_Q: np.ndarray


@dataclass(frozen=True)
class Delineation:
    """Component code per sample of the gallery's and the probes' windows (N, L).

    Whoever holds a recording can delineate it: this is the project's own delineator's result.
    """

    gallery_NL: np.ndarray
    probes_NL: np.ndarray


@dataclass(frozen=True)
class Recordings:
    """What recordings tell beside the shape of their beats, per gallery record (R) and query (Q).

    Attributes
    ----------
    scale_R, scale_Q
        Median standard deviation of the windows before they were z-normed, in mV.
    rr_R, rr_Q
        RR intervals (s) between the first and the last of the windows.
    """

    scale_R: np.ndarray
    scale_Q: np.ndarray
    rr_R: tuple[np.ndarray, ...]
    rr_Q: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class KnownLabels:
    """What the attacker knows about some of the enrolled people.

    ``code_G`` is each enrolled person's class (of ``classes``), `MISSING` where the attacker doesn't
    know it: of everybody of the fold that is being judged, and outside the site, where one is judged.
    """

    code_G: np.ndarray
    classes: int


@dataclass(frozen=True)
class Public:
    """Windows of public people who are in no federation: synthetic, drawn apart.

    ``person_N`` and ``recorder_N`` number the person and the recorder of each window.
    """

    x_NL: np.ndarray
    person_N: np.ndarray
    recorder_N: np.ndarray


@dataclass(frozen=True)
class Targets:
    """Windows of the people whose membership is asked, with the labels declared.

    ``labels`` maps a task to codes per window, `MISSING` where not known.
    """

    x_NL: np.ndarray
    target_N: np.ndarray
    site_T: np.ndarray
    labels: Mapping[str, np.ndarray]


class ModelAccess:
    """White-box access to an encoder and its shared heads; forward passes are remembered."""

    def __init__(self, model: SiteModel) -> None:
        self._model = model
        self._memo: dict[bytes, np.ndarray] = {}
        self._rows: dict[bytes, np.ndarray] = {}

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with a shared head."""
        return tuple(task for task in self._model.heads if task not in LOCAL_TASKS)

    def embed(self, x_NL: np.ndarray) -> np.ndarray:
        """Return the embeddings (N, D) of windows (N, L)."""
        key = _digest(x_NL)
        if key not in self._memo:
            rows = [_digest(x_L) for x_L in x_NL]  # some may have been seen in another selection
            new = {row: n for n, row in enumerate(rows) if row not in self._rows}
            self._rows.update(zip(new, self._forward(x_NL[list(new.values())]), strict=True))
            self._memo[key] = np.stack([self._rows[row] for row in rows]) if rows else self._forward(x_NL)
        return self._memo[key]

    def losses(self, task: str, z_ND: np.ndarray, code_N: np.ndarray) -> np.ndarray:
        """Return each window's cross-entropy (N,) under a shared head; NaN where the label is missing."""
        with torch.no_grad():
            logits = self._model.heads[task](torch.from_numpy(z_ND))
            loss = F.cross_entropy(
                logits, torch.from_numpy(code_N), ignore_index=MISSING, reduction="none"
            ).numpy()
        return np.where(code_N == MISSING, np.nan, loss.astype(np.float64))

    def _forward(self, x_NL: np.ndarray) -> np.ndarray:
        was_training = self._model.training
        self._model.eval()
        with torch.no_grad():
            parts = [
                self._model.encoder(
                    torch.from_numpy(np.array(x_NL[start : start + _BATCH], dtype=np.float32))
                )
                for start in range(0, len(x_NL), _BATCH)
            ]
        self._model.train(was_training)
        return torch.cat(parts).numpy() if parts else np.empty((0, 1), dtype=np.float32)


def _digest(x: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(x).tobytes(), digest_size=16).digest()


class Given:
    """The declared artefacts of one attack; reaching for another one is an error.

    Raises
    ------
    UndeclaredArtefact
        From every property whose artefact was not declared.
    """

    def __init__(self, declared: Collection[str], held: Mapping[str, Any]) -> None:
        unknown = sorted(set(declared) - set(ARTEFACTS))
        if unknown:
            raise ValueError(f"no artefact named {', '.join(unknown)}")
        self._held = {name: held[name] for name in declared}

    def _take(self, name: str) -> Any:
        if name not in self._held:
            raise UndeclaredArtefact(f"this attack did not declare the artefact '{name}'")
        return self._held[name]

    @property
    def gallery(self) -> Gallery:
        """Identified windows."""
        taken: Gallery = self._take("gallery")
        return taken

    @property
    def probes(self) -> Probes:
        """Unidentified windows."""
        taken: Probes = self._take("probes")
        return taken

    @property
    def folds(self) -> Folds:
        """Whom to leave out of a fit."""
        taken: Folds = self._take("folds")
        return taken

    @property
    def delineation(self) -> Delineation:
        """Component codes of identified and unidentified windows."""
        taken: Delineation = self._take("delineation")
        return taken

    @property
    def recordings(self) -> Recordings:
        """Amplitude and rhythm of identified and unidentified records."""
        taken: Recordings = self._take("recordings")
        return taken

    @property
    def known_labels(self) -> KnownLabels:
        """Classes of some enrolled people."""
        taken: KnownLabels = self._take("known-labels")
        return taken

    @property
    def attributes(self) -> Attributes:
        """Sex and age band of enrolled people and probes."""
        taken: Attributes = self._take("attributes")
        return taken

    @property
    def public(self) -> Public:
        """Public people."""
        taken: Public = self._take("public")
        return taken

    @property
    def targets(self) -> Targets:
        """People whose membership is asked."""
        taken: Targets = self._take("targets")
        return taken

    @property
    def released_model(self) -> ModelAccess:
        """The trained encoder and shared heads."""
        taken: ModelAccess = self._take("released-model")
        return taken

    @property
    def architecture(self) -> ModelAccess:
        """The public architecture with weights drawn at random: no training behind it."""
        taken: ModelAccess = self._take("architecture")
        return taken

    @property
    def start(self) -> ModelAccess:
        """The weights that training started from, pretrained on synthetic people."""
        taken: ModelAccess = self._take("start")
        return taken

    @property
    def site_updates(self) -> SiteUpdates:
        """Every site's update of every round."""
        taken: SiteUpdates = self._take("site-updates")
        return taken

    @property
    def client_update(self) -> tuple[State, State]:
        """Weights before and after one client's training."""
        taken: tuple[State, State] = self._take("client-update")
        return taken

    @property
    def audit_models(self) -> References:
        """Models of the same recipe, and who trained each."""
        taken: References = self._take("audit-models")
        return taken

    @property
    def global_rounds(self) -> GlobalRounds:
        """The global weights before and after every round."""
        taken: GlobalRounds = self._take("global-rounds")
        return taken
