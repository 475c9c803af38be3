"""Who and what was recorded: the contract every reader fulfils."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from transecg_core.text import escaped

Sex = Literal["F", "M"]
Diagnosis = Literal["normal", "abnormal"]

COMPONENTS: tuple[str, ...] = ("P", "PQ", "QRS", "ST", "T", "TP", "undefined")
"""Heartbeat components; a sample's ``uint8`` code is its index here."""
COMPONENT_CODE: Mapping[str, int] = {name: code for code, name in enumerate(COMPONENTS)}

BEATS: tuple[str, ...] = ("N", "V", "S")
"""Beat classes (normal, ventricular, supraventricular ectopic); code = index."""
UNKNOWN = 255
"""Code of "not known" in ``uint8`` label arrays; never used as a value."""

AGE_BANDS: tuple[str, ...] = ("<35", "35-59", ">=60")


def age_band(age: float | None) -> int:
    """Return the index into `AGE_BANDS` of an age in years, or `UNKNOWN`."""
    if age is None:
        return UNKNOWN
    return 0 if age < 35 else 1 if age < 60 else 2


@dataclass(frozen=True)
class Labels:
    """What a cohort says about one recording; ``None`` means not known.

    Attributes
    ----------
    diagnosis
        Whole-record label of the ``diagnosis`` task.
    beat_sample_B, beat_class_B
        Reference beat positions (samples at the recording's own rate) and their
        `BEATS` codes (`UNKNOWN` for annotated beats of no class of ours).
    component_T
        Exact component code per sample (synthetic recordings only).
    """

    diagnosis: Diagnosis | None = None
    beat_sample_B: np.ndarray | None = None
    beat_class_B: np.ndarray | None = None
    component_T: np.ndarray | None = None


@dataclass(frozen=True)
class Recording:
    """One lead of one record of one participant, in millivolts.

    ``participant`` is the cohort's local id. ``session`` is the 1-based rank of
    the recording day (or visit) within the participant.
    """

    site: str
    participant: str
    session: int
    record: str
    fs_hz: float
    lead: str
    signal_mv: np.ndarray
    age: float | None = None
    sex: Sex | None = None
    labels: Labels = field(default_factory=Labels)

    def __post_init__(self) -> None:
        if self.signal_mv.ndim != 1 or self.signal_mv.dtype != np.float32:
            raise ValueError(f"{self.site}/{self.record}: signal must be float32 of shape (T,)")
        if self.session < 1:
            raise ValueError(f"{self.site}/{self.record}: session ranks start at 1, got {self.session}")


class SkipLog:
    """Every record or window that was left out, with the reason.

    The reasons and their counts go into the report; the names stay local.
    """

    def __init__(self) -> None:
        self.items: list[tuple[str, str]] = []

    def add(self, record: str, reason: str, count: int = 1) -> None:
        """Note that `count` things of `record` were skipped for `reason`.

        A name with control characters or bytes of no alphabet is kept as its escapes: it goes to terminals
        and into JSON.
        """
        self.items.extend([(escaped(record), reason)] * count)

    def counts(self) -> dict[str, int]:
        """Return reason -> count, sorted by reason."""
        return dict(sorted(Counter(reason for _, reason in self.items).items()))


@dataclass(frozen=True)
class Origin:
    """Where a public dataset comes from, and on what terms.

    Attributes
    ----------
    slug, version
        PhysioNet's name and the version that the reader was written for.
    megabytes
        Size of what the reader needs of it.
    quirks
        What the reader knows to be odd about it, one sentence each.
    """

    title: str
    slug: str
    version: str
    doi: str
    licence: str
    licence_url: str
    citation: str
    megabytes: float
    quirks: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """PhysioNet's page of that version."""
        return f"https://physionet.org/content/{self.slug}/{self.version}/"


@dataclass(frozen=True)
class SiteSource:
    """Everything needed to read one site's recordings.

    Attributes
    ----------
    read
        Yields the site's recordings in a fixed order and notes what it skips.
    fingerprint
        SHA-256 over all inputs (file contents or generator options); the cache key.
    people
        Persons on the site's roster, whether or not anything of theirs turns out usable: a public
        constant of every privacy claim.
    tasks
        Tasks that the dataset is *published* with labels for: known without looking at anybody.
    aliases
        Local participant id -> canonical person id, for people known to appear
        under several ids or at several sites. Absent: the person is ``site/participant``.
    origin
        Of a public dataset; None for synthetic people and for an institution's own data.
    """

    name: str
    kind: Literal["synthetic", "real"]
    read: Callable[[SkipLog], Iterator[Recording]]
    fingerprint: str
    people: int
    tasks: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None

    def person(self, participant: str) -> str:
        """Return the canonical person behind a local participant id."""
        return self.aliases.get(participant, f"{self.name}/{participant}")
