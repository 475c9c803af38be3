"""The figures of the inversion study, their ceilings, and its declared settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from transecg_core.config import RunConfig
from transecg_core.privacy.account import planned_mechanism
from transecg_core.privacy.ceilings import ceiling
from transecg_core.risk.estimate import MIN_PEOPLE, Estimate, percentile, proportion, resamples
from transecg_core.risk.inversion_lab import Laboratory, Optimizer, Setting, Trial, Weights
from transecg_core.risk.rows import NotMeasurable
from transecg_core.seeds import seed_for
from transecg_core.sites import public_counts

STEPS, BATCHES, PEOPLE = (1, 5, 20), (1, 4, 8, 32), (1, 5, 20)
OPTIMIZERS: tuple[Optimizer, ...] = ("SGD", "AdamW")
TARGET_EPSILON = 8.0
"""Participant epsilon of a whole run whose noise the private settings take."""


@dataclass(frozen=True)
class Decay:
    """A setting's figures over its clients; intervals over clients, whose people are disjoint.

    Attributes
    ----------
    likeness, prior
        Mean likeness to the true beat: of what was rebuilt, and of the best guess without an update
        (everybody else's mean beat).
    rank1, control, chance, true_rank1
        How often the most similar of all enrolled is one of the client's people: for what was rebuilt; for
        what was rebuilt from the *next* client's update; for a guess; for the true beat itself.
    ceiling
        The largest `rank1` that the noise allows; None without noise.
    """

    setting: Setting
    likeness: Estimate
    prior: float
    rank1: Estimate
    control: float
    chance: float
    true_rank1: float
    ceiling: float | None
    trials: tuple[Trial, ...]


def grid(sigma: float, first: Weights = "untrained") -> Iterator[Setting]:
    """Yield the whole study, from one beat's gradient to what a run sends; the order of the table.

    Parameters
    ----------
    sigma
        Noise multiplier of the private settings, as `run_sigma` gives it.
    first
        What the run's first weights are, as `first_weights` says.
    """
    yield Setting(steps=0, weights=first)
    yield Setting(steps=0)
    for optimizer, people, steps, batch in product(OPTIMIZERS, PEOPLE, STEPS, BATCHES):
        yield Setting(optimizer, steps, people, batch)
    for steps in STEPS:
        yield Setting("SGD", steps, weights=first)
        yield Setting("SGD", steps, sites=4)
    yield from _private(sigma)
    yield Setting("AdamW", 20, trainable="bitfit")


def _private(sigma: float) -> Iterator[Setting]:
    for people, steps in product(PEOPLE, STEPS):
        for noise in (0.0, sigma):
            yield Setting("SGD", steps, people, sigma=noise)
    for noise in (0.0, sigma):
        yield Setting("AdamW", 5, sigma=noise)


def small(profile: str, sigma: float | None) -> tuple[Setting, ...]:
    """Return the settings that an audit has time for; private ones where `sigma` is given."""
    gradient, few, adaptive = Setting(steps=0), Setting("SGD", 5), Setting("AdamW", 5)
    if profile == "quick":
        return (gradient,)
    if profile == "default":
        return gradient, few, adaptive
    more = (Setting("SGD", 1), Setting("SGD", 20), Setting("AdamW", 20), Setting("SGD", 5, 5), Setting("SGD", 5, 20),
            Setting("SGD", 5, sites=4), Setting("AdamW", 20, trainable="bitfit"))  # fmt: skip
    noisy = () if sigma is None else (Setting("SGD", 5, sigma=0.0), Setting("SGD", 5, sigma=sigma))
    return gradient, few, adaptive, *more, *noisy


def run_sigma(cfg: RunConfig, people: int) -> float:
    """Return the noise of a whole run from random weights at participant epsilon 8, for a roster of `people`.

    Raises
    ------
    UserError
        If delta is too large for the roster.
    """
    private = cfg.model_copy(
        update={"privacy": "participant", "noise": "calibrated", "target_epsilon": TARGET_EPSILON,
                "start": "random", "trainable": "full"}
    )  # fmt: skip
    return planned_mechanism(private, *public_counts(private, people)).sigma


def study(
    lab: Laboratory, settings: Sequence[Setting], clients: int, bootstrap: int, seed: int
) -> list[Decay | str]:
    """Return each setting's figures, or why there are none."""
    out: list[Decay | str] = []
    for setting in settings:
        try:
            out.append(decay(lab, setting, lab.trials(setting, clients), bootstrap, seed))
        except NotMeasurable as reason:
            out.append(str(reason))
    return out


def decay(
    lab: Laboratory, setting: Setting, trials: tuple[Trial, ...], bootstrap: int, seed: int
) -> Decay:  # fmt: skip
    """Return the figures of a setting's trials.

    Raises
    ------
    NotMeasurable
        With fewer than `MIN_PEOPLE` clients.
    """
    n = len(trials)
    if n < MIN_PEOPLE:
        raise NotMeasurable(
            f"{n} clients of {setting.people * setting.sites} people, and {MIN_PEOPLE} are needed"
        )
    rng = np.random.default_rng(seed_for(seed, "inversion", setting.label))
    hit_K = np.array([trial.found in trial.people for trial in trials], dtype=np.float64)
    like_K = np.array([trial.like for trial in trials])
    low, high = percentile(resamples(n, bootstrap, rng) @ like_K / n)
    mean = float(like_K.mean())
    turned = [
        after.found in trial.people for trial, after in zip(trials, (*trials[1:], trials[0]), strict=True)
    ]
    together = setting.people * setting.sites
    return Decay(
        setting,
        Estimate(mean, (min(low, mean), max(high, mean)), n),
        float(np.mean([trial.prior for trial in trials])),
        proportion(hit_K, bootstrap, rng),
        float(np.mean(turned)),
        together / lab.people,
        float(np.mean([trial.best in trial.people for trial in trials])),
        named_ceiling(lab, setting),
        trials,
    )


def named_ceiling(lab: Laboratory, setting: Setting) -> float | None:
    """Return the largest probability of naming one of a client's k people that the noise allows.

    Somebody who is not in the client's data is named with probability kappa; with their data it is at most
    1 - f(kappa), f the trade-off of adding them (Hayes et al., arXiv 2302.07225;
    Kaissis et al., arXiv 2307.03928). Given the other k - 1, the person is drawn evenly from
    the G - k + 1 left, so kappa is at most 1 / (G - k + 1) on average, and 1 - f is concave. Summed over the k.
    """
    if not setting.sigma:
        return None
    mechanism, k = lab.mechanism(setting), setting.people * setting.sites
    curve = ceiling([(mechanism, setting.steps)])
    return min(1.0, k * curve.success(1.0 / (lab.people - k + 1)))
