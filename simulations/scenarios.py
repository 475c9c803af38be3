"""Federations in which we know what there is to find, because we planted it, and what each estimator must say.

A scenario states which truths hold in it (`simulations.probes.TRUTHS`). A truth that is present must be found by every
figure that measures it, one that is absent must be found by none, and what is left open says why.
An estimator that misses a plant, or sees one where nothing was planted, has no standing on real data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from simulations import planted
from simulations.planted import Sources
from simulations.probes import Probe
from transecg_core.cohorts.synthetic_plants import Plant
from transecg_core.config import RunConfig, parse
from transecg_core.risk.findings import Findings


@dataclass(frozen=True)
class Scenario:
    """One planted federation.

    Attributes
    ----------
    planted
        What was planted, in a sentence.
    make
        Opens its sites.
    present
        Truths that hold, of `simulations.probes.TRUTHS`.
    open
        Truth, attack, or attack and metric, -> why it is not judged here.
    options
        Run options laid over `OPTIONS`.
    trained_elsewhere
        The released model was trained on other people: the coins say who was a member, and nobody was.
    """

    name: str
    planted: str
    make: Callable[[RunConfig], Sources]
    present: frozenset[str]
    open: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    trained_elsewhere: bool = False

    def config(self, seed: int) -> RunConfig:
        """Return the run's config."""
        return parse({**OPTIONS, **self.options, "seed": seed})

    def play(self, seed: int) -> Findings:
        """Make the federation, train it, audit it."""
        cfg = self.config(seed)
        sources = self.make(cfg)
        if not self.trained_elsewhere:
            return planted.audited(planted.train(cfg, sources), sources)
        others = cfg.model_copy(update={"seed": seed + OTHERS})
        trained = planted.train(others, self.make(others))
        return planted.audited(replace(trained, record=replace(trained.record, cfg=cfg)), sources)

    def expected(self, probe: Probe) -> str:
        """Return ``found`` or ``silent``; or, in words, why the figure is not judged here."""
        attack = probe.attack.removeprefix("cross-site ")
        for key in (f"{attack}, {probe.metric}", attack, probe.truth):
            if key in self.open:
                return self.open[key]
        return FOUND if probe.truth in self.present else SILENT


FOUND, SILENT = "found", "silent"
OTHERS = 1_000_000
"""Added to the seed of the people that a model from elsewhere was trained on."""
OPTIONS: Mapping[str, Any] = MappingProxyType({
    "participants-per-site": 28, "num-server-rounds": 10, "local-steps": 20, "patch": 10, "profile": "quick",
})  # fmt: skip
"""Small enough to be played in a quarter of a minute; with more people and steps than the quick profile has."""

_LEARNED = "training may leave such traces; see memorised, trained-elsewhere and none"
_TRACES = {"memorised": _LEARNED, "tighter": _LEARNED, "rebuilt": _LEARNED}
_OF_TRAINING = {**_TRACES, "site": "an encoder that learns people may lose the site; see none"}
_NO_LEAD = "the shapes of a P wave are laid out lead by lead, so that a person's differ between sites"
_ONE_HEART = frozenset({"one beat", "identity", "identity elsewhere"})
_NATURAL = frozenset({"one beat", "identity", "heart rate", "amplitude"})
_OF_PEOPLE = {
    "identity elsewhere": "natural people under different leads; see twins",
    "noise": "how natural beats vary is a person's own too",
    "site": "natural people differ more than leads do; see none",
    "sex": "natural people; see labels-in-t",
    "age": "natural people; see labels-in-t",
}
_IN_T = planted.planted(Plant("T", strength_mv=0.08))


def _wave(name: str, carrier: Any, strength_mv: float, more: Mapping[str, str] = _OF_TRAINING) -> Scenario:
    return Scenario(
        name,
        f"the same heart for everybody, but for the shape of the {carrier} {'complex' if carrier == 'QRS' else 'wave'}",
        planted.planted(Plant(carrier, strength_mv=strength_mv)),
        _ONE_HEART - set(more),
        more,
    )


SCENARIOS: Mapping[str, Scenario] = MappingProxyType({s.name: s for s in (
    _wave("identity-p", "P", 0.08, {**_OF_TRAINING, "identity elsewhere": _NO_LEAD}),
    _wave("identity-qrs", "QRS", 0.12),
    _wave("identity-t", "T", 0.08),
    Scenario(
        "device", "the same heart for everybody; each person's own recorder rings",
        planted.planted(Plant("device")), _ONE_HEART | {"noise"},
        {**_OF_TRAINING, "amplitude": "a ringing recorder changes the height of beats",
         "shortcut: harmonised devices": "the common band keeps some of the ringing",
         "shortcut: noise-only windows": "beats ring, and go out with the beat; an encoder trained on beats need not "
         "read the noise between them, and did not"},
    ),
    Scenario(
        "twins", "identity in the T wave; one person in eight is at two sites",
        _IN_T, _ONE_HEART, _OF_TRAINING, {"participants-per-site": 40},
    ),
    Scenario(
        "false-twins", "as twins, but those declared to be at two sites are different people there",
        planted.false_twins(_IN_T), _ONE_HEART - {"identity elsewhere"}, _OF_TRAINING, {"participants-per-site": 40},
    ),
    Scenario(
        "memorised", "natural people with sex labels drawn by a coin, few of them, trained for long",
        planted.sex_at_random, _NATURAL | {"memorised"},
        {**_OF_PEOPLE, "shared-head-loss, TPR@5%FPR": "a threshold from two dozen controls finds it on some seeds only",
         **dict.fromkeys(("global-gradients", "global-losses"), "the mean of four sites shows it on three seeds of five"),
         "tighter": "a label can be memorised without drawing a person's windows together",
         "rebuilt": _LEARNED, "sex": "members' own labels were memorised"},
        {"tasks": "sex,age", "num-server-rounds": 20, "local-steps": 40},
    ),
    Scenario(
        "trained-elsewhere", "natural people, and a model trained on others: there are no members",
        planted.natural, _NATURAL, _OF_PEOPLE, trained_elsewhere=True,
    ),
    Scenario(
        "labels-in-t", "natural people labelled F and young where their T wave is low, M and old where it is high",
        planted.labels_in_t_wave, _NATURAL | {"sex", "age"},
        {**_TRACES, **{key: why for key, why in _OF_PEOPLE.items() if key not in ("sex", "age")}},
        {"participants-per-site": 40},
    ),
    Scenario(
        "one-device", "natural people at four sites that use one device",
        planted.one_device, _NATURAL,
        {**_TRACES, **{key: why for key, why in _OF_PEOPLE.items() if key != "site"},
         "identity elsewhere": "nobody is at two sites"},
    ),
    Scenario(
        "none", "the same heart for everybody, and nothing else",
        planted.planted(Plant("none")), frozenset({"one beat", "site"}),
        dict.fromkeys(("memorised", "tighter", "rebuilt"), "noise can be memorised"),
    ),
)})  # fmt: skip
"""Every planted federation, in the order of the table."""
