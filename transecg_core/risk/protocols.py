"""Which protocol stands for a run, where several were measured."""

from __future__ import annotations

from collections.abc import Mapping

LEAKY = "random-window"
HARDEST_FIRST: tuple[str, ...] = ("other-session", "other-record", "later-in-record")
ENOUGH_PARTICIPANTS = 20
"""A harder protocol is preferred only if it was measured on at least this many people."""


def judged_by(people: Mapping[str, int]) -> str | None:
    """Return the hardest protocol with enough people, else the one with most; the leaky one last.

    Parameters
    ----------
    people
        Protocol -> people it was measured on.
    """
    honest = [protocol for protocol in HARDEST_FIRST if protocol in people]
    for protocol in honest:
        if people[protocol] >= ENOUGH_PARTICIPANTS:
            return protocol
    if honest:
        return max(honest, key=lambda protocol: people[protocol])
    return min(people, key=lambda protocol: (protocol == LEAKY, protocol)) if people else None
