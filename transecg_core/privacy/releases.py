"""Everything data-dependent that leaves a site, in one table.

What is not in the table may not be sent: `refuse` is called on every name of a reply.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from transecg_core.errors import UserError

Status = Literal["public", "charged", "withheld", "outside the guarantee"]


@dataclass(frozen=True)
class Release:
    """One thing that a site may be asked for.

    Attributes
    ----------
    name
        Its name on the wire.
    what
        In plain words.
    observer
        Who sees it first.
    status
        ``public``: holds nothing about the site's people, or is declared a public constant.
        ``charged``: noised, and its cost is in the ledger. ``withheld``: never sent.
        ``outside the guarantee``: sent as it is; no claim of the report covers it.
    """

    name: str
    what: str
    observer: str
    status: Status


# name, what, status with a privacy unit, status without one. "measure" is shown in a simulation
# (marked) and withheld from a real server as soon as a guarantee is claimed.
_TABLE: tuple[tuple[str, str, str, str], ...] = (
    ("site", "the site's name", "public", "public"),
    ("name", "the site's name", "public", "public"),
    ("round", "number of the round", "public", "public"),
    ("tasks", "which tasks the site has labels for: a declared constant", "public", "public"),
    ("weights", "the updated shared weights", "charged", "outside"),
    ("steps", "optimizer steps taken (planned, not data-dependent)", "public", "public"),
    ("sigma", "noise multiplier", "public", "public"),
    ("q", "sampling rate, from the declared roster", "public", "public"),
    ("people", "size of the roster: a declared constant, not counted from the data", "public", "public"),
    ("lifetime-epsilon", "what the site's ledger has spent for a person, all runs", "public", "public"),
    ("lifetime-events", "number of charges in the site's ledger", "public", "public"),
    ("participants", "people with data; under a pilot's guarantee the roster's size", "roster", "outside"),
    ("trained_on", "people who train; under a pilot's guarantee the roster's size", "roster", "outside"),
    ("loss", "training loss", "measure", "outside"),
    ("windows", "number of windows", "measure", "outside"),
    ("records", "number of records", "measure", "outside"),
    ("sessions", "number of sessions", "measure", "outside"),
    ("duplicates", "pairs of records that hold one waveform", "measure", "outside"),
    ("skipped", "why records and windows were left out, counted", "measure", "outside"),
    ("participant_head", "the head that tells the site's people apart", "withheld", "withheld"),
    ("draws", "who was drawn in a step, and how many", "withheld", "withheld"),
    ("embeddings", "embeddings of the site's windows", "withheld", "withheld"),
    ("signals", "waveforms", "withheld", "withheld"),
)


def releases_for(privacy_unit: str, simulation: bool) -> tuple[Release, ...]:
    """Return the table for one setting.

    Parameters
    ----------
    privacy_unit
        ``none``, ``window`` or ``participant``.
    simulation
        Whether all sites are simulated by one operator. Then losses and counts are shown, marked
        "outside the guarantee"; a real site under a guarantee withholds them.
    """
    if privacy_unit not in ("none", "window", "participant"):
        raise ValueError(f"privacy unit {privacy_unit!r}: none, window or participant")
    outside: Status = "outside the guarantee"
    meaning: dict[str, Status] = {
        "public": "public",
        "charged": "charged",
        "withheld": "withheld",
        "outside": outside,
        "measure": outside if simulation else "withheld",
        "roster": outside if simulation else "public",  # a real site then says its declared constant
    }
    private = privacy_unit != "none"
    return tuple(
        Release(name, what, "server", meaning[with_dp if private else without])
        for name, what, with_dp, without in _TABLE
    )


def refuse(name: str, privacy_unit: str, simulation: bool) -> None:
    """Raise unless `name` is declared and may leave the site.

    Raises
    ------
    UserError
        For a name that is not in the table, or that this setting withholds.
    """
    status = {release.name: release.status for release in releases_for(privacy_unit, simulation)}.get(name)
    if status is None:
        raise UserError(f"release '{name}' is not declared; add it to the release table or don't send it")
    if status == "withheld":
        raise UserError(f"release '{name}' is withheld with privacy={privacy_unit}; don't send it")


def allowed(names: Iterable[str], privacy_unit: str, simulation: bool) -> tuple[str, ...]:
    """Return the declared names that may leave, in the given order; an undeclared one is refused."""
    table = {release.name: release.status for release in releases_for(privacy_unit, simulation)}
    kept = []
    for name in names:
        if name not in table:
            refuse(name, privacy_unit, simulation)
        elif table[name] != "withheld":
            kept.append(name)
    return tuple(kept)


def weights_only(releases: Iterable[Release]) -> bool:
    """Return whether the claim covers weights only: some release is outside the guarantee."""
    return any(release.status == "outside the guarantee" for release in releases)
