"""Recomputing a claim from the ledger, by other code than made it, and from what an observer saw.

Three accountants compose the ledger's charges: dp-accounting's `PLDAccountant` (which calibration and
ledger don't use: they build their own distributions), and Opacus' PRV and RDP. PRV must agree with PLD
within 2 % or its stated error, RDP within [-1 %, +25 %]. Then the observer: more or fewer noisy
steps than the ledger has, or noise smaller than it says, contradict it whatever it adds up to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import dp_accounting
import numpy as np
from dp_accounting import NeighboringRelation
from dp_accounting.dp_event import MixtureOfGaussiansDpEvent
from dp_accounting.pld import PLDAccountant
from scipy import stats

from transecg_core.privacy.accounting import Mechanism, Unit
from transecg_core.privacy.audit.observe import Seen
from transecg_core.privacy.audit.results import Claim

AGREEMENT = 1e-3
"""Part by which two discretised PLDs of the same charges may differ."""
PRV_BAND, PRV_ERROR = 0.02, 0.011
"""Opacus' PRV adds its stated error of .01 to its estimate."""
_WIDTH, _MIXTURE_WIDTH = 1e-3, 1e-2
"""Grids of the loss: ten times finer moves epsilon by less than a tenth of `AGREEMENT`, and takes minutes."""
RDP_BAND = (0.99, 1.25)
LARGEST_BAND_DELTA = 1e-3
"""RDP is far looser than its band at large deltas; there it is not compared."""

Charges = tuple[tuple[Mechanism, int], ...]


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
    """

    setting: str
    charges: Charges
    claimed: float
    delta: float
    unit: Unit = "participant"
    seen: tuple[Seen, ...] | None = None
    problems: tuple[str, ...] = ()


def recount(book: Book) -> Claim:
    """Return what the charges, and the steps and noise that were seen, cost at least.

    The lower bound is the recomputed epsilon less the accountants' disagreement: what the recorded (or
    observed) steps cost a worst-case person, so nothing below it may be claimed.
    """
    charged = pld_epsilon(_merged(book.charges), book.delta, book.unit)
    found = [*book.problems, *_disagreements(_merged(book.charges), book.delta)]
    bounds = [charged]
    if book.seen is not None:
        found += _unlike(book.charges, book.seen)
        bounds.append(pld_epsilon(_merged(_as_seen(book.charges, book.seen)), book.delta, book.unit))
    return Claim("recount", book.setting, book.claimed, max(bounds) * (1 - AGREEMENT), None, tuple(found))


@lru_cache(maxsize=64)
def pld_epsilon(charges: Charges, delta: float, unit: Unit) -> float:
    """Return epsilon by dp-accounting's own accountant, for a window or a person; infinite without noise."""
    if any(mechanism.sigma == 0 for mechanism, steps in charges if steps):
        return math.inf
    mixture = any(m.unit != unit and m.max_windows > 1 for m, _ in charges)
    width = _MIXTURE_WIDTH if mixture else _WIDTH
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
    count_J = np.arange(mechanism.max_windows + 1)
    chance_J = stats.binom(mechanism.max_windows, mechanism.q).pmf(count_J)
    kept = chance_J > 0
    # A person's windows are drawn one by one: the sum shifts by as many clip norms as were drawn.
    return MixtureOfGaussiansDpEvent(
        mechanism.sigma,
        count_J[kept].astype(float).tolist(),
        (chance_J[kept] / chance_J[kept].sum()).tolist(),
    )


@lru_cache(maxsize=64)
def _disagreements(charges: Charges, delta: float) -> tuple[str, ...]:
    """Return where Opacus' accountants leave their bands, mechanism by mechanism, for its own unit."""
    from transecg_core.training.private import opacus_epsilon  # Opacus takes seconds to import

    out = []
    for mechanism, steps in charges:
        if mechanism.sigma == 0 or steps == 0 or delta > LARGEST_BAND_DELTA:
            continue
        pld = pld_epsilon(((mechanism, steps),), delta, mechanism.unit)
        prv = opacus_epsilon(mechanism, steps, delta, "prv")
        rdp = opacus_epsilon(mechanism, steps, delta, "rdp")
        if abs(prv - pld) > max(PRV_BAND * pld, PRV_ERROR):
            out.append(f"PRV says {prv:.4g}, PLD {pld:.4g}: more than 2 % apart")
        if not RDP_BAND[0] * pld <= rdp <= RDP_BAND[1] * pld:
            out.append(f"RDP says {rdp:.4g}, PLD {pld:.4g}: outside [-1 %, +25 %]")
    return tuple(out)


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
