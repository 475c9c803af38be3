"""Recomputing a claim from the ledger, by other code than made it, and from what an observer saw.

The claim may not be below `least_epsilon`, which rounds every loss down: right books stay above it at any
setting. Three accountants then compose the ledger's charges: dp-accounting's `PLDAccountant` (which calibration
and ledger don't use: they build their own distributions), and Opacus' PRV and RDP. PRV must agree with PLD
within 2 % or its stated error. RDP is an upper bound and may be far above; below the lower bound it is a
contradiction. Then the observer: more or fewer noisy steps than the ledger has, or noise smaller than it says,
contradict it whatever it adds up to.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import dp_accounting
from dp_accounting import NeighboringRelation
from dp_accounting.dp_event import MixtureOfGaussiansDpEvent
from dp_accounting.pld import PLDAccountant

from transecg_core.privacy.accounting import Mechanism, Unit
from transecg_core.privacy.audit.least import Charges, least_epsilon, shifts
from transecg_core.privacy.audit.observe import Seen
from transecg_core.privacy.audit.results import Claim

AGREEMENT = 1e-3
"""Part by which two discretised PLDs of the same charges may differ."""
PRV_BAND, PRV_ERROR = 0.02, 0.011
"""Opacus' PRV adds its stated error of .01 to its estimate."""
LOOSE = 1.25
"""RDP above this many times PLD is noted; it contradicts nothing."""
_WIDTH, _MIXTURE_WIDTH = 1e-3, 1e-2
"""Grids of the loss, as parts of epsilon or at most as they stand; ten times finer takes minutes."""
_FINEST = 1e-6


@dataclass(frozen=True)
class Book:
    """A claim and what it rests on.

    Attributes
    ----------
    charges
        The ledger's, in order.
    claimed
        Epsilon claimed for one `unit` at `delta`.
    seen
        What an observer saw, round by round; None where nobody watched (a finished run).
    problems
        Contradictions already known, for instance between report and ledger.
    notes
        What a reader should know and contradicts nothing.
    """

    setting: str
    charges: Charges
    claimed: float
    delta: float
    unit: Unit = "participant"
    seen: tuple[Seen, ...] | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def recount(book: Book) -> Claim:
    """Return what the charges, and the steps and noise that were seen, cost at least.

    The lower bound is what the recorded (or observed) steps cost a worst-case person, every loss rounded down,
    so nothing below it may be claimed and nothing right is below it.
    """
    charges = _merged(book.charges)
    disagreements, notes = _others(charges, book.delta)
    found, bounds = [*book.problems, *disagreements], [least_epsilon(charges, book.delta, book.unit)]
    if book.seen is not None:
        found += _unlike(book.charges, book.seen)
        bounds.append(least_epsilon(_merged(_as_seen(book.charges, book.seen)), book.delta, book.unit))
    return Claim(
        "recount", book.setting, book.claimed, max(bounds), None, tuple(found), (*book.notes, *notes)
    )


@lru_cache(maxsize=64)
def pld_epsilon(charges: Charges, delta: float, unit: Unit) -> float:
    """Return epsilon by dp-accounting's own accountant, for a window or a person; infinite without noise."""
    least = least_epsilon(charges, delta, unit)
    if math.isinf(least):
        return math.inf
    mixture = any(m.unit != unit and m.max_windows > 1 for m, _ in charges)
    width = (_MIXTURE_WIDTH if mixture else _WIDTH) * min(1.0, max(least, _FINEST))
    accountant = PLDAccountant(NeighboringRelation.REPLACE_SPECIAL, width)  # zero-out adjacency
    for mechanism, steps in charges:
        if steps:
            accountant.compose(_event(mechanism, unit), steps)
    return float(accountant.get_epsilon(delta))


def _event(mechanism: Mechanism, unit: Unit) -> dp_accounting.DpEvent:
    if mechanism.unit == unit or mechanism.max_windows == 1:
        return dp_accounting.PoissonSampledDpEvent(
            mechanism.q, dp_accounting.GaussianDpEvent(mechanism.sigma)
        )
    shift_J, chance_J = shifts(mechanism, unit)
    return MixtureOfGaussiansDpEvent(mechanism.sigma, shift_J.tolist(), chance_J.tolist())


@lru_cache(maxsize=64)
def _others(charges: Charges, delta: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return where Opacus' accountants contradict PLD, and where RDP is loose, by mechanism and its own unit."""
    from transecg_core.training.private import opacus_epsilon  # Opacus takes seconds to import

    problems, notes = [], []
    for mechanism, steps in charges:
        if mechanism.sigma == 0 or steps == 0:
            continue
        one = ((mechanism, steps),)
        least, pld = least_epsilon(one, delta, mechanism.unit), pld_epsilon(one, delta, mechanism.unit)
        with warnings.catch_warnings():  # where RDP is loose is said below, with the numbers
            warnings.filterwarnings("ignore", message="Optimal order is the", category=UserWarning)
            prv = opacus_epsilon(mechanism, steps, delta, "prv")
            rdp = opacus_epsilon(mechanism, steps, delta, "rdp")
        if abs(prv - pld) > max(PRV_BAND * pld, PRV_ERROR):
            problems.append(f"PRV says {prv:.4g}, PLD {pld:.4g}: more than 2 % apart")
        if rdp < least * (1 - AGREEMENT):
            problems.append(f"RDP, an upper bound, says {rdp:.4g}; the steps cost at least {least:.4g}")
        elif rdp > LOOSE * pld:
            notes.append(f"RDP says {rdp:.4g}, PLD {pld:.4g}: a looser upper bound, no contradiction")
    return tuple(problems), tuple(notes)


def _unlike(charges: Charges, seen: Sequence[Seen]) -> list[str]:
    """Return where the observer saw something else than the ledger has."""
    out = []
    charged, taken = sum(steps for _, steps in charges), sum(s.steps for s in seen)
    if taken > charged:
        out.append(f"{taken} noisy steps were taken, {charged} are charged")
    if taken < charged:  # costs nobody more, but some step was released as it was
        out.append(f"{charged} steps are charged, {taken} noisy ones were seen: a step without its noise")
    for (mechanism, _), one in zip(charges, seen, strict=False):
        if one.sigma_high < mechanism.sigma:
            out.append(
                f"the ledger's sigma is {mechanism.sigma:.4g}, the noise seen at most {one.sigma_high:.4g}"
            )
            break
    return out


def _as_seen(charges: Charges, seen: Sequence[Seen]) -> Charges:
    """Return the charges as the observer would write them; sigma is the ledger's where that fits."""
    out = []
    for index, one in enumerate(seen):
        mechanism, _ = charges[min(index, len(charges) - 1)]
        fits = one.sigma_low <= mechanism.sigma <= one.sigma_high
        sigma = mechanism.sigma if fits else one.sigma_high
        out.append((Mechanism(mechanism.unit, mechanism.q, sigma, mechanism.max_windows), one.steps))
    return tuple(out)


def _merged(charges: Charges) -> Charges:
    total: dict[Mechanism, int] = {}
    for mechanism, steps in charges:
        total[mechanism] = total.get(mechanism, 0) + steps
    return tuple(total.items())
