"""Constructed audits: windows that carry a known embedding, and encoders that read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from transecg_core.cohorts.schema import AGE_BANDS, BEATS
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.seeds import seed_for
from transecg_core.signals.schema import WINDOW, RecordInfo, Windows
from transecg_core.splits.membership import members
from transecg_core.splits.protocols import split

TRAIT = slice(0, 16)
"""Samples that carry who the person is; the rest is noise."""
MARK = 20
"""Sample that tells, on request, whether the person was trained on."""
COMPONENT_L = np.repeat(np.arange(6, dtype=np.uint8), (30, 32, 24, 18, 46, 50))
"""Every beat's delineation: P, PQ, QRS with the R peak inside, ST, T, TP."""
CLASSES = {"sex": 2, "age": len(AGE_BANDS), "beat": len(BEATS), "diagnosis": 2}


class Reader(nn.Module):
    """An encoder that reads the constructed part of a window; NaN on request."""

    def __init__(self, broken: bool = False, constant: bool = False) -> None:
        super().__init__()
        self.broken, self.constant = broken, constant

    def forward(self, x_BL: Tensor) -> Tensor:
        z_BD = x_BL[:, : MARK + 1]
        if self.constant:
            return torch.full_like(z_BD, 3.0)
        return z_BD / 0 * torch.zeros(1) if self.broken else z_BD


class Blind(nn.Module):
    """An encoder that sees the noise only: it can't know a person."""

    def forward(self, x_BL: Tensor) -> Tensor:
        return x_BL[:, 100 : 100 + MARK + 1]


class FakeModel(nn.Module):
    """Has what the audit needs of a site model: an encoder and linear shared heads."""

    def __init__(self, encoder: nn.Module, weight: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict({task: nn.Linear(MARK + 1, n) for task, n in CLASSES.items()})
        for head in self.heads.values():
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        # The sex head is sure of "F" (everybody's label) where the mark is set.
        self.heads["sex"].weight.data[0, MARK] = weight


@dataclass(frozen=True)
class Recipe:
    """How a constructed federation is made."""

    sites: int = 3
    people: int = 16
    records: int = 2
    windows: int = 8
    identity: float = 1.0
    noise: float = 0.05
    twins: int = 0
    protocol: str = "auto"
    audit_split: str = "halves"
    mark: bool = False
    seed: int = 0
    bootstrap: int = 200


def trait(person: str) -> np.ndarray:
    """Return the person's trait vector; it depends on the canonical person alone."""
    return np.random.default_rng(seed_for(0, "trait", person)).normal(size=16)


def build_site(recipe: Recipe, index: int) -> AuditSite:
    """Return one constructed site; the first `twins` people are also at every other site."""
    name = f"s{index}"
    names = tuple(f"p{p}" for p in range(recipe.people))
    persons = tuple(f"twin/{n}" if p < recipe.twins else f"{name}/{n}" for p, n in enumerate(names))
    trained = members(lambda n: persons[names.index(n)], names, recipe.audit_split, recipe.seed)
    count = recipe.people * recipe.records * recipe.windows
    participant_N = np.repeat(np.arange(recipe.people), recipe.records * recipe.windows).astype(np.int32)
    record_N = np.repeat(np.arange(recipe.people * recipe.records), recipe.windows).astype(np.int32)
    rng = np.random.default_rng([recipe.seed, index])
    x_NL = rng.normal(size=(count, WINDOW)).astype(np.float32) * recipe.noise
    x_NL[:, TRAIT] += recipe.identity * np.stack([trait(persons[p]) for p in participant_N]).astype(
        np.float32
    )
    if recipe.mark:
        x_NL[:, MARK] += trained[participant_N]
    infos = tuple(
        RecordInfo(names[r // recipe.records], 1, f"r{r}", "I", 10.0, 40.0, "F", None)
        for r in range(recipe.people * recipe.records)
    )
    windows = Windows(
        x_NL=x_NL,
        participant_N=participant_N,
        session_N=np.ones(count, dtype=np.int16),
        record_N=record_N,
        beat_N=np.zeros(count, dtype=np.uint8),
        component_NL=np.tile(COMPONENT_L, (count, 1)),
        r_sample_N=(r_N := np.tile(np.arange(recipe.windows) * 250 + 75, recipe.people * recipe.records)),
        scale_N=np.ones(count, dtype=np.float32),
        rpeak_B=r_N,
        rpeak_record_B=record_N,
        participants=names,
        records=infos,
        skips=(),
    )
    return AuditSite(name, windows, split(windows, recipe.protocol, recipe.seed), persons, trained)


def build(recipe: Recipe, **changes: object) -> AuditContext:
    """Return the audit context of a constructed federation."""
    context = AuditContext(
        sites=tuple(build_site(recipe, index) for index in range(recipe.sites)),
        model=FakeModel(Reader(), weight=4.0),  # type: ignore[arg-type]
        random_model=FakeModel(Blind()),  # type: ignore[arg-type]
        tasks=("sex",),
        membership=recipe.audit_split == "halves",
        bootstrap=recipe.bootstrap,
        seed=recipe.seed,
        attribution_windows=0,
        ceilings=None,
    )
    return replace(context, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Fakes:
    """What the tests of this folder build from."""

    build: Callable[..., AuditContext] = build
    recipe: type[Recipe] = Recipe
    model: type[FakeModel] = FakeModel
    reader: type[Reader] = Reader
    blind: type[Blind] = Blind


@pytest.fixture(scope="session")
def fakes() -> Fakes:
    """Constructed federations and encoders."""
    return Fakes()
