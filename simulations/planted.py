"""How a planted federation is made: real synthetic recordings, the real windows, splits, training and audit.

SYNTHETIC: nobody in here exists. Nothing is faked either: every recording goes through the signal pipeline,
every site trains as in a run, and the audit is a run's. Only Flower's messages are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from transecg_core.cohorts import synthetic
from transecg_core.cohorts.schema import Recording, Sex, SiteSource, SkipLog
from transecg_core.cohorts.synthetic_people import draw_person
from transecg_core.cohorts.synthetic_plants import Plant
from transecg_core.config import RunConfig
from transecg_core.evaluation import audit_context
from transecg_core.risk.audit import audit
from transecg_core.risk.duplicates import resolve_duplicates
from transecg_core.risk.findings import Findings
from transecg_core.risk.observed import Observed, RoundSeen, kept_rounds
from transecg_core.run_record import RunRecord, SiteAccount
from transecg_core.seeds import seed_for
from transecg_core.sites import Site, prepare
from transecg_core.training.aggregation import mean_of
from transecg_core.training.pretrain import starting_weights
from transecg_core.training.site_round import parted, plain_steps, site_round

Sources = tuple[SiteSource, ...]
T_GAIN = 0.83
"""About the median of people's T-wave gain: half of them are above."""
T_GAINS = (0.68, 0.96)
"""About its thirds."""
YOUNG, MIDDLE, OLD = 25.0, 47.0, 70.0
Labels = tuple[Sex, float | None]
"""Sex and age in years; None leaves the age as it is."""


def natural(cfg: RunConfig) -> Sources:
    """Return the usual synthetic people: identity, sex and age in many waves, one in eight at two sites."""
    return tuple(synthetic.open_site(name, _people(cfg), cfg.seed) for name in cfg.site_names)


def planted(plant: Plant) -> Callable[[RunConfig], Sources]:
    """Return the maker of sites where everybody has the same heart, plus the plant."""

    def make(cfg: RunConfig) -> Sources:
        return tuple(
            synthetic.open_site(name, _people(cfg), cfg.seed, plant=plant) for name in cfg.site_names
        )

    return make


def one_device(cfg: RunConfig) -> Sources:
    """Return four sites of different natural people, all recorded by one device, and nobody at two of them."""
    return tuple(_renamed(cfg, name) for name in cfg.site_names)


def _renamed(cfg: RunConfig, name: str) -> SiteSource:
    # Another seed is another crowd; its visitors come from sites that are not here, so they are nobody's twins.
    source = synthetic.open_site("synth-a", _people(cfg), seed_for(cfg.seed, "one device", name) % 2**31)
    moved = _changed(source, lambda recording: replace(recording, site=name), f"at {name}")
    return replace(moved, name=name, aliases={})


def sex_at_random(cfg: RunConfig) -> Sources:
    """Return natural people whose sex label is a coin of its own: it can be memorised, never understood."""
    return tuple(_labelled(source, _coin(cfg.seed), f"coin {cfg.seed}") for source in natural(cfg))


def labels_in_t_wave(cfg: RunConfig) -> Sources:
    """Return natural people labelled by their T wave: low is F and young, high is M and old."""
    return tuple(_labelled(source, _by_t_wave(cfg.seed), f"T wave {cfg.seed}") for source in natural(cfg))


def _coin(seed: int) -> Callable[[str], Labels]:
    return lambda person: ("F" if seed_for(seed, "sex at random", person) % 2 else "M", None)


def _by_t_wave(seed: int) -> Callable[[str], Labels]:
    def label(person: str) -> Labels:
        home = synthetic.SITES[person.split("/")[0]]
        drawn = draw_person(
            seed,
            person,
            abnormal_prevalence=home.abnormal_prevalence,
            ectopy_prevalence=home.ectopy_prevalence,
        )
        gain, (low, high) = drawn.traits.t_gain, T_GAINS
        return ("F" if gain < T_GAIN else "M", YOUNG if gain < low else OLD if gain > high else MIDDLE)

    return label


def false_twins(make: Callable[[RunConfig], Sources]) -> Callable[[RunConfig], Sources]:
    """Return the maker of the same sites, where those declared to be at two sites are different people there.

    Each site's own people who are also seen at the next site are declared under one another's names;
    recordings stay as they are.
    """

    def changed(cfg: RunConfig) -> Sources:
        return tuple(_rotated(source) for source in make(cfg))

    return changed


def _rotated(source: SiteSource) -> SiteSource:
    own = sorted(p for p, person in source.aliases.items() if person.startswith(f"{source.name}/"))
    swapped = {p: source.aliases[other] for p, other in zip(own, [*own[1:], *own[:1]], strict=True)}
    return replace(source, aliases={**source.aliases, **swapped})


def _labelled(source: SiteSource, labels_of: Callable[[str], Labels], tag: str) -> SiteSource:
    def change(recording: Recording) -> Recording:
        sex, age = labels_of(source.person(recording.participant))
        return replace(recording, sex=sex, age=recording.age if age is None else age)

    return _changed(source, change, tag)


def _changed(source: SiteSource, change: Callable[[Recording], Recording], tag: str) -> SiteSource:
    """Return the site with every recording changed, under a fingerprint of its own."""

    def read(skipped: SkipLog) -> Iterator[Recording]:
        for recording in source.read(skipped):
            yield change(recording)

    digest = hashlib.sha256(f"{source.fingerprint}\0{tag}\0".encode() + Path(__file__).read_bytes())
    return replace(source, read=read, fingerprint=digest.hexdigest())


def _people(cfg: RunConfig) -> int:
    if cfg.people is None:
        raise ValueError("a planted federation needs participants-per-site")
    return cfg.people


@dataclass(frozen=True)
class Trained:
    """What comes out of training: the released weights, and what a coordinator knows."""

    record: RunRecord
    weights: Mapping[str, Tensor]


def train(cfg: RunConfig, sources: Sources) -> Trained:
    """Train a federation without privacy, round by round and site by site, as a run does."""
    sites = tuple(prepare(cfg, source) for source in sources)
    start = weights = starting_weights(cfg, lambda line: None)
    own: dict[str, Mapping[str, Tensor]] = {site.data.name: {} for site in sites}
    kept, seen, tasks, losses = kept_rounds(cfg, start), list[RoundSeen](), set[str](), []
    for number in range(1, cfg.rounds + 1):
        votes = {site.data.name: _vote(cfg, site, number, weights, own) for site in sites}
        merged = mean_of([votes[name] for name in sorted(votes)], weights)
        if number in kept:
            seen.append(RoundSeen(number, weights, merged, {name: v.weights for name, v in votes.items()}))
        losses.append({"round": number, "loss": {n: v.loss for n, v in votes.items()}, "absent": {}})
        tasks |= {task for vote in votes.values() for task in vote.tasks}
        weights = merged
    accounts = {site.data.name: SiteAccount(accepted=cfg.rounds) for site in sites}
    trained = tuple(task for task in cfg.task_names if task in tasks)
    observed = Observed(cfg, tuple(seen)) if seen else None
    return Trained(RunRecord(cfg, "planted", losses, accounts, {}, trained, observed=observed), weights)


@dataclass(frozen=True)
class _Vote:
    weights: Mapping[str, Tensor]
    tasks: tuple[str, ...]
    loss: float


def _vote(
    cfg: RunConfig,
    site: Site,
    number: int,
    weights: Mapping[str, Tensor],
    own: dict[str, Mapping[str, Tensor]],
) -> _Vote:
    name = site.data.name
    at = site_round(cfg, site, number, weights, own[name])
    log = plain_steps(cfg, at)
    shared, own[name] = parted(at.model)
    return _Vote(shared, at.tasks, sum(log.losses) / len(log.losses))


def audited(trained: Trained, sources: Sources) -> Findings:
    """Return what the audit finds on these sites, whoever the model was trained on."""
    return audit(resolve_duplicates(audit_context(trained.record, trained.weights, sources)))
