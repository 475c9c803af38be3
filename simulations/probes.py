"""Which figure of the audit measures which truth of a planted federation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from transecg_core.cohorts.schema import AGE_BANDS
from transecg_core.risk.inversion_findings import LABORATORY, LIKENESS, RANK1
from transecg_core.risk.inversion_lab import Setting
from transecg_core.risk.open_world import OPERATING
from transecg_core.risk.rows import POOLED

TRUTHS: Mapping[str, str] = MappingProxyType({
    "identity": "a person's recordings at one site have something in common",
    "identity elsewhere": "so have their recordings at two sites",
    "another's name": "a person's recordings have something in common with those of whoever was given their name",
    "noise": "so has what is left of their windows without the beat",
    "heart rate": "so have their RR intervals",
    "amplitude": "so has the height of their beats in mV",
    "memorised": "training kept something of its people that others don't have",
    "tighter": "training pulled its people's windows closer together, or further apart from others', than strangers'",
    "rebuilt": "a site's update gives away the beat of somebody who trained there",
    "one beat": "the gradient of a single beat gives that beat away",
    "sex": "a stranger's sex label can be told from their ECG",
    "age": "a stranger's age can be told from their ECG",
    "site": "a stranger's site can be told from their ECG",
})  # fmt: skip
"""What can be true of a federation."""

NEVER_PLANTED: Mapping[str, str] = MappingProxyType({
    "tighter": "no federation that we tried does it on every seed; found where embeddings are constructed "
    "(tests/transecg_core/risk)",
    "another's name": "names are given at random: there is nothing to find, whatever was planted",
    "rebuilt": "a round of many people's steps gives nobody away; found where one person trains a few steps "
    "(tests/transecg_core/risk)",
})  # fmt: skip
"""Truth -> why it is judged for silence only."""
ALWAYS_TRUE: Mapping[str, str] = MappingProxyType({"one beat": "it follows from the architecture"})
"""Truth -> why it is never judged for silence."""

ANY = ""
"""Every protocol."""


@dataclass(frozen=True)
class Probe:
    """A figure that measures a truth: attack, metric, protocol, and site where it isn't pooled over all.

    Attributes
    ----------
    at_most
        Chance is the most that guessing gives (of rank-k in one gallery of all sites, what it gives whoever
        knows the site), so an interval below it is silent too.
    chance
        What guessing gives, where the row's baseline is something else and the metric doesn't say.
    """

    truth: str
    attack: str
    metric: str
    protocol: str = ANY
    at_most: bool = False
    chance: float | None = None
    site: str = POOLED


PROTOCOLS = ("other-record", "other-session")
_ONE_BEAT = Setting(steps=0).label
SIGNAL = ("raw-correlation", "pca", "pca-lda", "fiducial")


def _linked(truth: str, attack: str, *metrics: str) -> tuple[Probe, ...]:
    return tuple(
        Probe(truth, attack, metric, protocol, at_most=metric == "rank-1")
        for protocol in PROTOCOLS
        for metric in metrics
    )


PROBES: tuple[Probe, ...] = (
    *(
        probe
        for attack in ("raw-correlation", "pca", "pca-lda", "random-init")
        for probe in _linked("identity", attack, "rank-1", "EER")
    ),
    *_linked(
        "identity", "fiducial", "EER"
    ),  # a shape without mean, width or height of its own seldom ranks first
    *_linked("identity", "identification", "EER", "TAR@5%FAR"),
    *_linked("identity", "adaptive identification", "EER"),
    *_linked("identity", "shortcut: harmonised devices", "EER"),
    *_linked("identity", "shortcut: mains notched", "EER"),
    *_linked("identity", "shortcut: wander swapped", "EER"),
    *_linked("another's name", "shortcut: names permuted", "rank-1", "EER"),
    # Guessing among the 14 enrolled at the probe's site names somebody accepted (5 %) rightly one time in 14, and
    # among those of one sex and age band, 14 / 6 on average, at most half the time.
    *(
        Probe("identity", attack, "re-identified", name, at_most=True, chance=chance)
        for attack, chance in (("open-world", OPERATING / 14), ("open-world with attributes", OPERATING / 2))
        for name in PROTOCOLS
    ),
    *(
        Probe("identity elsewhere", f"cross-site {attack}", "EER", "cross-site")
        for attack in (*SIGNAL, "identification", "adaptive identification")
    ),
    *_linked("noise", "shortcut: noise spectrum", "EER"),
    *_linked("noise", "shortcut: noise-only windows", "EER"),
    *_linked("heart rate", "shortcut: heart rate", "EER"),
    *_linked("amplitude", "shortcut: amplitude", "EER"),
    Probe("memorised", "shared-head-loss", "AUC"),
    Probe("memorised", "shared-head-loss", "TPR@5%FPR"),
    *(
        Probe("memorised", attack, "AUC")
        for attack in ("round-gradients", "round-losses", "global-gradients", "global-losses")
    ),
    Probe("tighter", "embedding-consistency", "AUC"),
    *(Probe("tighter", "linkage-gap", "gap in rank-1 (members - controls)", name) for name in PROTOCOLS),
    Probe("rebuilt", "update-inversion", "AUC"),
    Probe("one beat", "client-inversion", LIKENESS, _ONE_BEAT, site=LABORATORY),
    Probe("identity", "client-inversion", RANK1, _ONE_BEAT, at_most=True, site=LABORATORY),
    Probe("sex", "sex inference", "balanced accuracy", chance=1 / 2),
    Probe("age", "age inference", "balanced accuracy", chance=1 / len(AGE_BANDS)),
    Probe("site", "source-site inference", "balanced accuracy", chance=1 / 4),
)
"""Every figure that a planted truth can judge."""

UNJUDGED: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(
        ("shadow-lira", "shadow-lira-consistency", "shadow-rmia"),
        "needs models trained for the audit (profile=full); see tests/transecg_core/risk",
    ),
    "pretrained-start": "these federations start from random weights",
    "shortcut: site alone": "a guess by arithmetic, not an estimator",
    "shortcut: within-site identification": "identification among fewer people; its EER is identification's",
})  # fmt: skip
"""Attack -> why no scenario judges any figure of it."""
