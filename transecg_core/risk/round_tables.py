"""How a person's gradient and loss compare with what changed in a round.

Observers know recipe and architecture, but no participant head, which never leaves a site: losses and
gradients here are those of the tasks whose heads are shared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from transecg_core.model.heads import LOCAL_TASKS, SiteModel, new_site_model, set_trainable
from transecg_core.risk.artefacts import Targets
from transecg_core.risk.observed import Observed, RoundSeen, State, evenly, vector
from transecg_core.risk.rows import NotMeasurable
from transecg_core.training.bookkeeping import BookKeeper
from transecg_core.training.local import MISSING, window_losses
from transecg_core.training.sampling import pad_units

MOST_ROUNDS = 5
"""Rounds looked at, evenly spaced: a public constant of the audit. A run of r rounds gives at most r / 2, and 2."""
WINDOWS = 3
"""Windows that stand for a person in a round, evenly spaced."""
_UNITS = 64
Kind = Literal["gradient", "loss"]


@dataclass(frozen=True)
class Table:
    """How much each target's windows are in line with what changed in one round; NaN where a site was absent.

    Attributes
    ----------
    sites_TS
        With each site's update.
    merged_T
        With the change of the global weights.
    without_TS
        With what that change would have been without one site (the plain mean of the others' updates).
    """

    sites_TS: np.ndarray
    merged_T: np.ndarray
    without_TS: np.ndarray


class RoundTables:
    """Makes the tables of the rounds looked at; each is made once.

    Parameters
    ----------
    tasks
        Trained tasks.
    site_names
        Columns of the tables.
    """

    def __init__(self, observed: Observed, tasks: tuple[str, ...], site_names: tuple[str, ...]) -> None:
        self.observed, self.site_names = observed, site_names
        self.seen = observed.spaced(min(MOST_ROUNDS, max(2, len(observed.rounds) // 2)))
        self._tasks = tuple(task for task in tasks if task not in LOCAL_TASKS)
        self._memo: dict[tuple[Kind, bytes], tuple[Table, ...]] = {}

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the rounds looked at."""
        return tuple(one.number for one in self.seen)

    def of(self, kind: Kind, targets: Targets) -> tuple[Table, ...]:
        """Return one table per round.

        Raises
        ------
        NotMeasurable
            If nobody's labels fit a shared head.
        """
        key = kind, hashlib.blake2b(np.ascontiguousarray(targets.x_NL).tobytes(), digest_size=16).digest()
        if key not in self._memo:
            make = _gradient_table if kind == "gradient" else _loss_table
            people = _People(self.observed, self._tasks, targets)
            self._memo[key] = tuple(make(seen, people, self.site_names) for seen in self.seen)
        return self._memo[key]


class _People:
    """The targets' windows and labels, in equal groups, and a model to put weights into."""

    def __init__(self, observed: Observed, tasks: tuple[str, ...], targets: Targets) -> None:
        cfg = observed.cfg
        known = {task: targets.labels[task] for task in tasks if task in targets.labels}
        codes = {task: code_N for task, code_N in known.items() if (code_N != MISSING).any()}
        if not codes:
            raise NotMeasurable("no task with a shared head was trained on labels that are known here")
        self.model: SiteModel = new_site_model(cfg.patch, cfg.task_names, 0, participants=1)
        set_trainable(self.model, cfg.trained_part)
        self.names = tuple(n for n, p in self.model.named_parameters() if p.requires_grad and _shared(n))
        self.site_T, self.count = targets.site_T, len(targets.site_T)
        self._x_NL, self._codes = np.asarray(targets.x_NL, dtype=np.float32), codes
        order = np.argsort(targets.target_N, kind="stable")
        edges = np.searchsorted(targets.target_N[order], np.arange(self.count + 1))
        rows = [order[a:b] for a, b in pairwise(edges)]
        self._rows = [own[list(evenly(len(own), WINDOWS))] for own in rows]

    def load(self, state: State) -> None:
        """Put weights into the model."""
        self.model.load_state_dict({**self.model.state_dict(), **state})

    def groups(
        self, some_T: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, Tensor, dict[str, Tensor], Tensor]]:
        """Yield some targets (K,), then their windows, labels and weights; there may be filling at the end."""
        present = np.flatnonzero([len(own) > 0 for own in self._rows])
        present = present if some_T is None else present[some_T[present]]
        for start in range(0, len(present), _UNITS):
            some = present[start : start + _UNITS]
            rows_UG, weight_UG = pad_units([self._rows[t] for t in some], WINDOWS)
            rows_B = rows_UG.ravel()
            codes = {task: torch.from_numpy(code_N[rows_B]) for task, code_N in self._codes.items()}
            weight_B = torch.from_numpy(weight_UG.ravel().astype(np.float32))
            yield some, torch.from_numpy(self._x_NL[rows_B]), codes, weight_B

    def losses(self, state: State, some_T: np.ndarray | None = None) -> np.ndarray:
        """Return each target's mean loss (T,) under these weights; NaN for those not asked about."""
        self.load(state)
        out_T = np.full(self.count, np.nan)
        with torch.no_grad():
            for some, x_BL, codes, weight_B in self.groups(some_T):
                loss_B = window_losses(self.model, x_BL, codes) * weight_B
                out_T[some] = loss_B.view(-1, WINDOWS).sum(dim=1).numpy()[: len(some)]
        return out_T

    def cosines(self, state: State, direction_PK: np.ndarray) -> np.ndarray:
        """Return the cosine (T, K) of each target's *downhill* gradient with some directions.

        NaN where a target has no gradient, a direction no length, or either is not finite.
        """
        self.load(state)
        own = dict(self.model.named_parameters())
        sizes = [own[name].numel() for name in self.names]
        parts = torch.from_numpy(direction_PK).split(sizes)
        dot_TK, norm_T = np.full((self.count, direction_PK.shape[1]), np.nan), np.full(self.count, np.nan)
        keeper = BookKeeper(self.model)
        try:
            for some, x_BL, codes, weight_B in self.groups():
                units = len(weight_B) // WINDOWS
                _, found = keeper.backward(partial(_sum, self.model, x_BL, codes, weight_B), units)
                gradients = (found.of(own[name]).flatten(1) for name in self.names)
                dot_UK = torch.stack([g @ part for g, part in zip(gradients, parts, strict=True)]).sum(dim=0)
                dot_TK[some] = -dot_UK.numpy()[: len(some)]
                norm_T[some] = found.norm_U.numpy()[: len(some)]
        finally:
            keeper.remove()
        length_TK = norm_T[:, None] * np.linalg.norm(direction_PK.astype(np.float64), axis=0)[None]
        return np.divide(dot_TK, length_TK, out=np.full_like(dot_TK, np.nan), where=length_TK > 0)


def _shared(name: str) -> bool:
    return not any(name.startswith(f"heads.{task}.") for task in LOCAL_TASKS)


def _sum(model: SiteModel, x_BL: Tensor, codes: dict[str, Tensor], weight_B: Tensor) -> Tensor:
    """Return the sum over targets of their mean losses."""
    return (window_losses(model, x_BL, codes) * weight_B).sum()


def _gradient_table(seen: RoundSeen, people: _People, site_names: tuple[str, ...]) -> Table:
    """Return cosines of downhill gradients, at the weights before the round, with what then changed."""
    before = vector(seen.before, people.names)
    present = [i for i, name in enumerate(site_names) if name in seen.updates]
    moved = [vector(seen.updates[site_names[i]], people.names) - before for i in present]
    total = np.sum(moved, axis=0)
    without = [total - one for one in moved]  # the direction is the mean's: cosines don't see the factor
    directions = [*moved, *without, vector(seen.after, people.names) - before]
    cosine_TK = people.cosines(seen.before, np.stack(directions, axis=1))
    sites_TS, without_TS = np.full((2, people.count, len(site_names)), np.nan)
    sites_TS[:, present] = cosine_TK[:, : len(present)]
    without_TS[:, present] = cosine_TK[:, len(present) : -1]
    return Table(sites_TS, cosine_TK[:, -1], without_TS)


def _loss_table(seen: RoundSeen, people: _People, site_names: tuple[str, ...]) -> Table:
    """Return how far each target's loss falls from the weights before the round to those after it."""
    before_T = people.losses(seen.before)
    sites_TS, without_TS = np.full((2, people.count, len(site_names)), np.nan)
    total = {name: sum(sent[name] for sent in seen.updates.values()) for name in seen.before}
    for i, site in enumerate(site_names):
        if site not in seen.updates:
            continue
        sent, others = seen.updates[site], len(seen.updates) - 1
        sites_TS[:, i] = before_T - people.losses(sent)
        if others:
            mean = {name: (value - sent[name]) / others for name, value in total.items()}
            without_TS[:, i] = before_T - people.losses(mean, people.site_T == i)
    return Table(sites_TS, before_T - people.losses(seen.after), without_TS)
