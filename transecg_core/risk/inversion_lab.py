"""One declared study of how much of a person the closed form finds, from one beat's gradient to a run's own recipe.

A client trains from the run's weights with the project's own steps (`training.local`, `training.private`);
its update is inverted (`transecg_core.risk.inversion`), and the rebuilt window is compared with *other
recordings* of enrolled people. Clients are drawn evenly, without anybody in two of them, so
whoever guesses without the update names one of a client's k people with probability k / G.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from transecg_core.config import RunConfig
from transecg_core.model.heads import SiteModel, load_shared, new_site_model, set_trainable, shared_state
from transecg_core.names import Trainable
from transecg_core.privacy.accounting import Mechanism
from transecg_core.risk.cases import Case
from transecg_core.risk.inversion import likeness, rebuilt, z_normed
from transecg_core.risk.observed import Observed, State
from transecg_core.risk.rows import NotMeasurable
from transecg_core.seeds import seed_for
from transecg_core.training.local import MISSING, TrainingSet, optimizer_for, train_local, window_losses

Optimizer = Literal["SGD", "AdamW"]
Weights = Literal["untrained", "pretrained", "trained"]
SGD_RATE = 0.05
"""Of the study's SGD, where the closed form does best; AdamW takes the run's own rate."""


@dataclass(frozen=True)
class Setting:
    """One cell of the study.

    Attributes
    ----------
    steps
        Local steps; 0 is the bare gradient of one window, before any step and without augmentation.
    people, sites
        Participants of a client, and clients whose updates are summed before anybody sees them.
    batch
        Windows per step. A private step draws everybody instead, with `windows_per_draw` each.
    sigma
        None: no privacy. 0: participants' gradients are clipped. Above: noise on top.
    weights
        Global weights that training starts from: the run's last, or its first, which are untrained or
        pretrained on synthetic people (`first_weights`).
    """

    optimizer: Optimizer = "SGD"
    steps: int = 1
    people: int = 1
    batch: int = 4
    sites: int = 1
    sigma: float | None = None
    weights: Weights = "trained"
    trainable: Trainable = "full"

    @property
    def label(self) -> str:
        """The setting in words."""
        if self.steps == 0:
            return f"gradient of one beat, {self.weights} weights"
        words = [self.optimizer, _count(self.steps, "step"), _count(self.people, "person")]
        if self.sigma is None:
            words.append(f"batch {self.batch}")
        else:
            words.append(f"clipped, noise {self.sigma:.3g}" if self.sigma else "clipped")
        words += [f"sum of {self.sites} sites"] if self.sites > 1 else []
        words += [f"trainable={self.trainable}"] if self.trainable != "full" else []
        return ", ".join([*words, f"{self.weights} weights"])


def first_weights(cfg: RunConfig) -> Weights:
    """Return what a run's round 1 starts from, in a word."""
    return "pretrained" if cfg.start_from == "synthetic" else "untrained"


def _count(n: int, noun: str) -> str:
    plural = {"person": "people"}.get(noun, f"{noun}s")
    return f"{n} {noun if n == 1 else plural}"


@dataclass(frozen=True)
class Trial:
    """What came of one client.

    Attributes
    ----------
    true_L, rebuilt_L
        The beat of a single-beat gradient, else the mean beat of the client's windows; z-normed.
    like, prior
        Likeness of the two, and of `true_L` to the mean beat of everybody else.
    people
        The client's people, all summed sites together.
    found, best
        The most similar of the enrolled: to `rebuilt_L`, to `true_L`.
    """

    true_L: np.ndarray
    rebuilt_L: np.ndarray
    like: float
    prior: float
    people: frozenset[int]
    found: int
    best: int


class Laboratory:
    """People with training windows and other recordings, the run's weights, and its recipe.

    Parameters
    ----------
    rebuild
        The attack: weights before and after an update -> the window (L,) found in it.

    Raises
    ------
    NotMeasurable
        If fewer than two people have another recording.
    """

    def __init__(
        self,
        observed: Observed,
        case: Case,
        seed: int,
        rebuild: Callable[[State, State], np.ndarray] = rebuilt,
    ) -> None:
        self.cfg, self._seed, self._rebuild = observed.cfg, seed, rebuild
        first, last = observed.rounds[0], observed.rounds[-1]
        self._states: Mapping[Weights, State] = {
            first_weights(observed.cfg): first.before, "trained": last.after
        }  # fmt: skip
        self._case, targets = case, case.targets
        query = {int(g): q for q, g in enumerate(case.entry_of_Q) if g >= 0}
        entry_of = {int(p): int(g) for g, p in reversed(list(enumerate(case.person_G)))}  # one id per person
        self._entries = np.array([g for g in sorted(entry_of.values()) if g in query], dtype=np.int64)
        if len(self._entries) < 2:
            raise NotMeasurable("fewer than two people have another recording to be recognised by")
        self._rows = [np.flatnonzero(targets.target_N == g) for g in self._entries]
        library = [case.probes.x_NL[case.probes.query_N == query[int(g)]].mean(axis=0) for g in self._entries]
        self._library_GL = np.stack(library)
        self._mean_GL = np.stack([targets.x_NL[rows].mean(axis=0) for rows in self._rows])

    @property
    def people(self) -> int:
        """People who can be clients, and are enrolled."""
        return len(self._entries)

    def clients(self, setting: Setting, most: int) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Yield (number, people of each summed site) of up to `most` clients; nobody is in two of them."""
        order = np.random.default_rng(seed_for(self._seed, "clients")).permutation(self.people)
        size = setting.people * setting.sites
        for number in range(min(most, self.people // size)):
            some = order[number * size : (number + 1) * size]
            yield number, np.split(some, setting.sites)

    def trials(self, setting: Setting, most: int) -> tuple[Trial, ...]:
        """Return what comes of each client.

        Raises
        ------
        NotMeasurable
            As `rebuilt`, if there are not enough people for one client, or no round had these weights.
        """
        if setting.weights not in self._states:
            raise NotMeasurable(
                f"this run has no {setting.weights} weights: it started from {first_weights(self.cfg)} ones"
            )
        out = tuple(self._trial(setting, number, sites) for number, sites in self.clients(setting, most))
        if not out:
            raise NotMeasurable(f"{self.people} people with another recording are too few for one client")
        return out

    def _trial(self, setting: Setting, number: int, sites: Sequence[np.ndarray]) -> Trial:
        state, everybody = self._states[setting.weights], np.concatenate(sites)
        moved = [self._train(setting, state, people, number, s) for s, people in enumerate(sites)]
        after = {name: torch.stack([one[name] for one in moved]).mean(dim=0) for name in state}
        window_L = self._rebuild(state, after)
        if setting.steps == 0:
            true_L = self._case.targets.x_NL[self._rows[everybody[0]][0]]
        else:
            true_L = self._mean_GL[everybody].mean(axis=0)
        others_L = np.delete(self._mean_GL, everybody, axis=0).mean(axis=0)
        pair, true_1L = likeness(np.stack([window_L, others_L]), true_L[None])[:, 0], true_L[None]
        found, best = likeness(np.stack([window_L, true_L]), self._library_GL).argmax(axis=1)
        who = frozenset(everybody.tolist())
        return Trial(
            z_normed(true_1L)[0], window_L, float(pair[0]), float(pair[1]), who, int(found), int(best)
        )

    def _train(self, setting: Setting, state: State, people: np.ndarray, number: int, site: int) -> State:
        data = self._data(people[:1] if setting.steps == 0 else people, one=setting.steps == 0)
        model = new_site_model(self.cfg.patch, self.cfg.task_names, 0, data.participants)
        load_shared(model, state)
        set_trainable(model, setting.trainable)
        seed = seed_for(self._seed, "inversion", number, site)
        if setting.steps == 0:
            _one_gradient(model, data)
        elif setting.sigma is None:
            rate = SGD_RATE if setting.optimizer == "SGD" else self.cfg.rate
            train_local(model, data, steps=setting.steps, batch_size=setting.batch, learning_rate=lambda _: rate,
                        first_step=0, seed=seed, make_optimizer=_makers(setting.optimizer))  # fmt: skip
        else:
            self._train_privately(setting, model, data, seed)
        return shared_state(model)

    def _train_privately(self, setting: Setting, model: SiteModel, data: TrainingSet, seed: int) -> None:
        from transecg_core.training.private import (
            PrivateSpec,
            PrivateTrainer,
        )  # Opacus takes seconds to import

        mechanism = self.mechanism(setting)
        spec = PrivateSpec(
            "participant", mechanism.sigma, self.cfg.clip_norm, mechanism.q, float(setting.people), 4,
            mechanism.max_windows,
        )  # fmt: skip
        rate = SGD_RATE if setting.optimizer == "SGD" else self.cfg.rate
        make = _makers(setting.optimizer)
        with PrivateTrainer(model, spec, seed=seed, make_optimizer=lambda m: make(m, rate)) as trainer:
            for _ in range(setting.steps):
                trainer.step(data)

    def mechanism(self, setting: Setting) -> Mechanism:
        """Return the private step of a setting: everybody is drawn, which is the worst case for a person."""
        return Mechanism("participant", 1.0, setting.sigma or 0.0, self.cfg.max_windows_per_participant)

    def _data(self, people: np.ndarray, one: bool) -> TrainingSet:
        targets, cap = self._case.targets, self.cfg.max_windows_per_participant
        rows = [self._rows[p][: 1 if one else cap] for p in people]
        rows_N = np.concatenate(rows)
        person_N = torch.from_numpy(np.repeat(np.arange(len(rows)), [len(r) for r in rows]))
        codes = {t: targets.labels[t][rows_N] for t in self.cfg.task_names if t in targets.labels}
        known = {t: torch.from_numpy(c) for t, c in codes.items() if (c != MISSING).any()}
        if "participant" in self.cfg.task_names:
            known["participant"] = person_N
        return TrainingSet(torch.from_numpy(np.asarray(targets.x_NL[rows_N], np.float32)), person_N, known)


def _makers(optimizer: Optimizer) -> Callable[[nn.Module, float], torch.optim.Optimizer]:
    return _sgd if optimizer == "SGD" else optimizer_for


def _sgd(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=rate)


def _one_gradient(model: SiteModel, data: TrainingSet) -> None:
    """Move the model by minus the gradient of its windows' mean loss."""
    window_losses(model, data.x_NL, data.targets).mean().backward()
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p.sub_(p.grad)
