"""When a map may be shown, and which component it puts first: rules on figures alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.attribution.competence import Competence
from transecg_core.attribution.intervals import Estimate
from transecg_core.attribution.methods import BY_COMPONENT, TASK_BLIND

MIN_PEOPLE = 10
"""Fewer people carry no interval worth the name; also the smallest group a report may describe."""


SHOWS_THE_SIGNAL = 0.5
"""Rank correlation with the map of a model that learned nothing, or nonsense, from which a map is not shown.

A map that hardly changes with the model shows the signal (Adebayo et al., Sanity Checks for Saliency Maps, 2018).
Random scores have 0 and a map that never saw the model 1; there is no sharp limit between, and half way is a
convention. Its size counts: the sign of what a model that learned nothing answers is a coin's.
Maps by whole components (`methods.BY_COMPONENT`) aren't held to it: of so few levels, unrelated ones reach it
often.
"""

NULL_MODELS = {
    "randomised_correlation": "a re-initialised model",
    "permuted_correlation": "a model trained on permuted labels",
}
"""Key of the report -> the model whose map a map must differ from."""


def passes(faithful: Estimate, shifted: Estimate) -> bool:
    """Return whether a map gains over random orders and over itself moved in time."""
    return faithful.low > 0 and shifted.low > 0


def judge(
    method: str,
    people: int,
    competence: Competence,
    faithful: Estimate,
    shifted: Estimate,
    control_passes: bool,
    checks: Mapping[str, Any],
    left: float,
) -> tuple[bool, str]:
    """Return whether a map may be shown, and every reason against it, or else the evidence, in plain words.

    Parameters
    ----------
    faithful
        Insertion minus deletion, less that of random orders.
    shifted
        The same, less that of the map itself moved in time.
    control_passes
        Whether random scores pass this test of the same task (`passes`): then it tells nothing, and no map is shown.
    checks
        The report's correlations with `NULL_MODELS`, and ``knockout_agreement``; None where not measured. Height
        alone gains over both orders; it is these that ask what the model makes of it.
    left
        From `components.left_in_favour`: shares are of this, and it is told with them.
    """
    evidence = f"insertion minus deletion, less random: {faithful}; less itself moved in time: {shifted}"
    evidence += f"; {left:.0%} of the relevance left in favour; {people} people"
    if method == "random":
        found = "pass the same test" if control_passes else "fail the test, as they should"
        return False, f"negative control: random scores {found}; {evidence}"
    against = []
    if people < MIN_PEOPLE:
        against.append(f"too few people: {people}, and {MIN_PEOPLE} are needed")
    if not competence.learned:
        against.append(competence.sentence)
    if control_passes:
        against.append("random scores pass the same test")
    if not faithful.low > 0:
        against.append("no better than random")
    if not shifted.low > 0:
        against.append("no better than itself moved in time")
    against += _model_blind(method, checks)
    if against:
        return False, f"{'; '.join(against)}; {evidence}"
    if method in TASK_BLIND:
        evidence += "; the same map for every task, so it carries no claim about this one"
    return True, f"{evidence}; {competence.sentence}"


def _model_blind(method: str, checks: Mapping[str, Any]) -> list[str]:
    """Return why a map shows the signal and not what the model makes of it."""
    alike = [
        f"looks like the map of {whose} (rank correlation {checks[key]:.2f}): it shows the signal, not the model"
        for key, whose in NULL_MODELS.items()
        if method not in BY_COMPONENT and checks[key] is not None and abs(checks[key]) >= SHOWS_THE_SIGNAL
    ]
    found = checks["knockout_agreement"]
    return alike if found is None or found > 0 else [*alike, f"does not agree with knock-out ({found:.2f})"]


def leader(components: Mapping[str, Any]) -> str | None:
    """Return the most enriched component of a report's ``components``; None where none has any relevance.

    ``undefined`` samples are no component and never lead.
    """
    known = {
        name: part["enrichment"]
        for name, part in components.items()
        if name != "undefined" and part["enrichment"]
    }
    return max(sorted(known), key=lambda name: known[name]) if known else None
