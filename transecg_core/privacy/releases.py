"""Everything data-dependent that leaves a site, in one table.

What is not in the table may not be sent: every name of a reply passes `allowed` or `refuse`, which
also hold what a site's own policy takes away. A refusal is a release too: `REFUSALS` are all the
words that an institution's server may hear.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
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
    (
        "error",
        "a refusal: the name of a rule, or 'site: not able', which alone can depend on data; no value, path or record",
        "outside",
        "outside",
    ),
    ("engine", "which engine the node belongs to", "public", "public"),
    ("partition-id", "the node's place among simulated nodes", "public", "public"),
    ("num-partitions", "number of simulated nodes", "public", "public"),
    ("participants", "people with data; under a pilot's guarantee the roster's size", "roster", "outside"),
    ("trained_on", "people who train; under a pilot's guarantee the roster's size", "roster", "outside"),
    ("loss", "training loss", "measure", "outside"),
    ("windows", "number of windows", "measure", "outside"),
    ("records", "number of records", "measure", "outside"),
    ("sessions", "number of sessions", "measure", "outside"),
    ("duplicates", "pairs of records that hold one waveform", "measure", "outside"),
    ("skipped", "why records and windows were left out, counted", "measure", "outside"),
    (
        "attribution",
        "which components of the beat each head uses, and its accuracy: means over ten people at least, once per run",
        "measure",
        "outside",
    ),
    ("participant_head", "the head that tells the site's people apart", "withheld", "withheld"),
    ("draws", "who was drawn in a step, and how many", "withheld", "withheld"),
    ("embeddings", "embeddings of the site's windows", "withheld", "withheld"),
    ("signals", "waveforms", "withheld", "withheld"),
)

NEEDED = frozenset({"site", "name", "round", "tasks", "people", "weights", "q", "sigma", "steps"})
"""Without these no reply is complete: a policy that leaves one out refuses every run."""

UNABLE = "site: not able"
"""The one refusal that can follow from data: a table to be mended, no usable record. It says no more than that."""

REFUSALS = {
    "attribution: told": "the site has explained this run's model, and so trains no more in this run",
    "budget: guarantee": "a round without a guarantee, at a site with a lifetime budget",
    "budget: lifetime": "the run would cost a person more than the site's lifetime budget",
    "budget: run": "the charge would cost more than the run's own target-epsilon",
    "ledger: not usable": "the site's ledger can't be opened, read or written, or is not this site's",
    "policy: allowed-releases": "the site's policy keeps back what a run can't do without",
    "policy: allowed-tasks": "the run asks for a task that the site's policy doesn't allow",
    "policy: max-rounds": "the run has more rounds than the site's policy allows",
    "policy: min-cohort": "the site's declared roster is smaller than its policy allows",
    "policy: min-sigma": "the run's noise multiplier is below the least that the site's policy allows",
    "policy: not readable": "the site's policy file can't be read or is wrong",
    "policy: units": "the run's unit of privacy is not one that the site's policy allows",
    UNABLE: "its data, its machine or its configuration; the only one that can depend on data",
}
"""Name of a rule by which a site refuses -> what it means. None depends on anybody's data, except that of `UNABLE`."""


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


def refuse(
    name: str, privacy_unit: str, simulation: bool, site_allows: Collection[str] | None = None
) -> None:
    """Raise unless `name` is declared and may leave the site.

    Parameters
    ----------
    site_allows
        Names that the site's own policy allows; None: all that the table does.

    Raises
    ------
    UserError
        For a name that is not in the table, or that this setting or the site's policy withholds.
    """
    status = {release.name: release.status for release in releases_for(privacy_unit, simulation)}.get(name)
    if status is None:
        raise UserError(f"release '{name}' is not declared; add it to the release table or don't send it")
    if status == "withheld":
        raise UserError(f"release '{name}' is withheld with privacy={privacy_unit}; don't send it")
    if site_allows is not None and name not in site_allows:
        raise UserError(f"release '{name}' is not in the site's allowed-releases; don't send it")


def allowed(
    names: Iterable[str], privacy_unit: str, simulation: bool, site_allows: Collection[str] | None = None
) -> tuple[str, ...]:
    """Return the declared names that may leave, in the given order; an undeclared one is refused.

    `site_allows` as for `refuse`.
    """
    table = {release.name: release.status for release in releases_for(privacy_unit, simulation)}
    kept = []
    for name in names:
        if name not in table:
            refuse(name, privacy_unit, simulation)
        elif table[name] != "withheld" and (site_allows is None or name in site_allows):
            kept.append(name)
    return tuple(kept)


def releasable_names() -> tuple[str, ...]:
    """Return the names that may leave in some setting: what a site's policy can allow."""
    settings = [
        (unit, simulation) for unit in ("none", "window", "participant") for simulation in (True, False)
    ]
    held = [{r.name for r in releases_for(*setting) if r.status == "withheld"} for setting in settings]
    return tuple(name for name, *_ in _TABLE if not all(name in names for names in held))


def weights_only(releases: Iterable[Release]) -> bool:
    """Return whether the claim covers weights only: some release besides a refusal is outside the guarantee.

    A refusal can tell that a site can't take part; the claim itself leaves that out by name.
    """
    return any(r.status == "outside the guarantee" and r.name != "error" for r in releases)
