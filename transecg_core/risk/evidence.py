"""What an evaluator works with: the truth, what attackers may hold, the questions the data can ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from transecg_core.risk.artefacts import ModelAccess
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.attributes import attributes_of
from transecg_core.risk.cases import Case
from transecg_core.risk.context import AuditContext
from transecg_core.risk.findings import Findings
from transecg_core.risk.linkage import Linkage, Question, run_linkage
from transecg_core.risk.problems import problems
from transecg_core.risk.public import public_people
from transecg_core.risk.recordings import recordings_of
from transecg_core.risk.references import references
from transecg_core.risk.round_tables import RoundTables
from transecg_core.risk.rounds import GlobalRounds, SiteUpdates


class Held(Mapping[str, Any]):
    """Artefact -> what it is, made when an attack that declared it first takes it, and kept."""

    def __init__(self, made: Mapping[str, Callable[[], Any]]) -> None:
        self._made = dict(made)
        self._kept: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._kept:
            self._kept[name] = self._made[name]()
        return self._kept[name]

    def __contains__(self, name: object) -> bool:
        return name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


@dataclass(frozen=True)
class Evidence:
    """One audit: its context, its case, what can be held, and the attacks that will be run.

    Only evaluators see it. An attack sees what `transecg_core.risk.artefacts.Given` hands it.
    """

    ctx: AuditContext
    case: Case
    held: Held
    attacks: tuple[Attack, ...]

    @cached_property
    def linkage(self) -> Linkage:
        """Scores of every attack that compares queries with enrolled people."""
        asked = tuple(a for a in self.attacks if a.measure in ("linkage", "linkage-gap"))
        return run_linkage(asked, self.held)

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """Every protocol and site that the data can ask about, with each attack's results."""
        asked = list(problems(self.case))
        return tuple(
            Question(self.ctx, self.case, problem, self.linkage, self.linkage.outcomes(problem))
            for problem in asked
        )


Evaluator = Callable[[Attack, Evidence], Findings]
"""Runs one attack on its declared artefacts and judges what it returns."""


def gather(ctx: AuditContext, case: Case, attacks: tuple[Attack, ...]) -> Evidence:
    """Return the evidence of one audit; nothing expensive is computed before somebody takes it."""
    made: dict[str, Callable[[], Any]] = {
        "gallery": lambda: case.gallery,
        "probes": lambda: case.probes,
        "folds": lambda: case.folds,
        "delineation": lambda: case.delineation,
        "recordings": lambda: recordings_of(ctx, case),
        "attributes": lambda: attributes_of(ctx, case),
        "public": public_people,
        "targets": lambda: case.targets,
        "released-model": lambda: ctx.released,
        "architecture": lambda: ModelAccess(ctx.random_model),
    }
    start = ctx.start_model
    if start is not None:
        made["start"] = lambda: ModelAccess(start)
    if ctx.observed is not None:
        tables = RoundTables(ctx.observed, ctx.tasks, case.site_names)
        made["site-updates"] = lambda: SiteUpdates(tables)
        made["global-rounds"] = lambda: GlobalRounds(tables)
    train = ctx.audit_models
    if train is not None:
        known = cache(lambda: references(ctx, case, train()))
        made["audit-models"] = lambda: known()[0]
        made["audit-starts"] = lambda: known()[1]  # for evaluators: the same before training
    return Evidence(ctx, case, Held(made), attacks)
