"""All instruments on the right code and on every control, with settings fixed here.

The same settings serve right and broken code. The seeds of the controls are apart from those on which
draws (0 to 2) and guesses (200 to 211) were chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from transecg_core.privacy.audit import books, broken, canaries, mechanism, observe
from transecg_core.privacy.audit.books import Bookkeeper, keep_books
from transecg_core.privacy.audit.canaries import Plan, audit_canaries
from transecg_core.privacy.audit.mechanism import audit_mechanism
from transecg_core.privacy.audit.recount import Book, recount
from transecg_core.privacy.audit.results import Claim, Control, FalseAlarms, Findings, Instrument

FALSE_ALARM_SEEDS = 20
FIRST_CONTROL_SEED = 1000
PLAN = Plan()
WITHOUT_POWER = Plan(claimed=8.0)
"""A claim that this audit can't contradict whatever it finds; shown so that nobody takes it for evidence."""

Say = Callable[[str], None]


def run_suite(control_seeds: int, extra: Sequence[Book] = (), say: Say = lambda text: None) -> Findings:
    """Run everything; `extra` are books kept elsewhere, by the client's own ledger for instance."""
    parts = [
        _mechanism(control_seeds, say),
        _crowd(control_seeds, say),
        _recount(control_seeds, extra, say),
        _canaries(control_seeds, say),
    ]
    return Findings(
        tuple(claim for part in parts for claim in part.claims),
        tuple(control for part in parts for control in part.controls),
        tuple(alarms for part in parts for alarms in part.false_alarms),
    )


def _mechanism(control_seeds: int, say: Say) -> Findings:
    say(f"mechanism: right code, {FALSE_ALARM_SEEDS} seeds")
    right = [audit_mechanism(broken.right, seed=seed) for seed in range(FALSE_ALARM_SEEDS)]
    secure = audit_mechanism(broken.secure, seed=0)
    say(f"mechanism: {len(broken.MECHANISM)} negative controls")
    controls = [
        _control("mechanism", name, (audit_mechanism(made, seed=seed) for seed in _seeds(control_seeds)))
        for name, made in broken.MECHANISM.items()
    ]
    return Findings(
        (_named(right[0], "seeded"), _named(secure, "system generator, not repeatable")),
        tuple(controls),
        (_alarms("mechanism", right, 1 - mechanism.CONFIDENCE),),
    )


def _crowd(control_seeds: int, say: Say) -> Findings:
    say(f"crowd: right code, {FALSE_ALARM_SEEDS} seeds, and {len(broken.CROWD)} negative control")
    size = mechanism.CROWD
    right = [audit_mechanism(broken.right, seed=seed, others=size) for seed in range(FALSE_ALARM_SEEDS)]
    controls = [
        _control(
            "crowd", name, (audit_mechanism(made, seed=seed, others=size) for seed in _seeds(control_seeds))
        )
        for name, made in broken.CROWD.items()
    ]
    allowed = 1 - mechanism.CONFIDENCE
    return Findings((_named(right[0], "seeded"),), tuple(controls), (_alarms("crowd", right, allowed),))


def _recount(control_seeds: int, extra: Sequence[Book], say: Say) -> Findings:
    say(f"recount: right books, {FALSE_ALARM_SEEDS} seeds, and {len(broken.RECOUNT)} negative controls")
    right = [recount(keep_books(Bookkeeper(), seed=seed)) for seed in range(FALSE_ALARM_SEEDS)]
    controls = [
        _control("recount", name, (recount(keep_books(keeper, seed=seed)) for seed in _seeds(control_seeds)))
        for name, keeper in broken.RECOUNT.items()
    ]
    allowed = books.ROUNDS * (1 - observe.CONFIDENCE) / 2
    return Findings((right[0], *map(recount, extra)), tuple(controls), (_alarms("recount", right, allowed),))


def _canaries(control_seeds: int, say: Say) -> Findings:
    say(f"canaries: right code, {FALSE_ALARM_SEEDS} seeds, and {len(broken.CANARIES)} negative controls")
    right = [audit_canaries(PLAN, seed=seed) for seed in range(FALSE_ALARM_SEEDS)]
    controls = [
        _control("canaries", name, (audit_canaries(PLAN, alter, seed=seed) for seed in _seeds(control_seeds)))
        for name, alter in broken.CANARIES.items()
    ]
    return Findings(
        (right[0], audit_canaries(WITHOUT_POWER, seed=0)),
        tuple(controls),
        (_alarms("canaries", right, 1 - canaries.CONFIDENCE),),
    )


def _seeds(count: int) -> range:
    return range(FIRST_CONTROL_SEED, FIRST_CONTROL_SEED + count)


def _control(instrument: Instrument, name: str, results: Iterable[Claim]) -> Control:
    caught = [not result.holds for result in results]
    return Control(instrument, name, sum(caught), len(caught))


def _alarms(instrument: Instrument, results: Sequence[Claim], allowed: float) -> FalseAlarms:
    return FalseAlarms(instrument, sum(not result.holds for result in results), len(results), allowed)


def _named(claim: Claim, noise: str) -> Claim:
    return replace(claim, setting=f"{claim.setting}; {noise}")
