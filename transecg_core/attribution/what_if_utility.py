"""What changed windows are still good for: the trained heads on them, and a linear probe fitted anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from transecg_core.attribution.intervals import person_means
from transecg_core.attribution.what_if_case import Shared
from transecg_core.model.heads import SiteModel
from transecg_core.risk.attacks.probe import MIN_FIT_PEOPLE, STRENGTH
from transecg_core.risk.balanced import balanced_difference
from transecg_core.risk.rows import NotMeasurable
from transecg_core.seeds import seed_for
from transecg_core.training.local import MISSING
from transecg_core.utility import PERSON_TASKS

REFITTED = "refitted"
"""Behind a task's name: the probe that somebody who gets the changed windows fits on them."""

Guesses = Mapping[str, np.ndarray]
"""Task -> guessed class per scored unit (a person, or a window for ``beat``)."""


class Usefulness:
    """Judges embeddings of the shared windows, before and after a change, on the same people.

    Two guesses per task: the trained head's, and (`REFITTED`) that of a linear probe on the embeddings,
    fitted on the other folds' people, changed or not like those it judges.

    Parameters
    ----------
    model
        Whose heads guess.
    shared
        The windows that all embeddings are of.
    """

    def __init__(self, model: SiteModel, shared: Shared, bootstrap: int, seed: int) -> None:
        self._model, self._shared = model, shared
        self._bootstrap, self._seed = bootstrap, seed

    def guesses(self, z_MD: np.ndarray) -> Guesses:
        """Return every guess that can be made; a task without enough known people has none that is refitted.

        Raises
        ------
        NotMeasurable
            If an embedding is not finite.
        """
        if not np.isfinite(z_MD).all():
            raise NotMeasurable("the embeddings are not finite")
        out = {}
        for task in self._shared.label_M:
            out[task] = self._trained(task, z_MD)
            refitted = self._refitted(task, z_MD)
            if refitted is not None:
                out[f"{task}, {REFITTED}"] = refitted
        return out

    def compare(self, before: Guesses, after: Guesses) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Return guess -> balanced accuracy before and after, their paired difference and its interval.

        What can't be judged is None; the reasons come second.
        """
        out: dict[str, dict[str, Any]] = {}
        reasons = []
        for name in sorted(set(before) & set(after)):
            task = name.split(",")[0]
            known_M = self._rows(task, self._shared.judged_M)
            truth_U, person_U = self._units(task, known_M)
            seed = seed_for(self._seed, "what-if", "utility", name)
            try:
                first, second, found = balanced_difference(
                    truth_U, before[name], after[name], person_U, self._bootstrap, seed
                )
            except NotMeasurable as reason:
                reasons.append(f"{name} not measurable: {reason}")
                out[name] = dict.fromkeys(("before", "after", "difference", "ci95"))
                continue
            out[name] = {
                "before": first,
                "after": second,
                "difference": found.value,
                "ci95": list(found.ci95),
            }
        return out, reasons

    def _rows(self, task: str, among_M: np.ndarray) -> np.ndarray:
        """Return which of some windows have a label; added ectopic beats count for ``beat`` only."""
        labelled_M = among_M & (self._shared.label_M[task] != MISSING)
        return np.asarray(labelled_M & (~self._shared.beats_M | (task not in PERSON_TASKS)))

    def _units(self, task: str, known_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return class and person of every unit: a window, or in a person's task a person."""
        label, person = self._shared.label_M[task][known_M], self._shared.person_M[known_M]
        if task not in PERSON_TASKS:
            return label, person
        people, first = np.unique(person, return_index=True)
        return label[first], people

    def _features(self, task: str, value_MD: np.ndarray, known_M: np.ndarray) -> np.ndarray:
        """Return the embedding of every unit: a window's, or a person's mean."""
        value = value_MD[known_M].astype(np.float64)
        return value if task not in PERSON_TASKS else person_means(value, self._shared.person_M[known_M])

    def _trained(self, task: str, z_MD: np.ndarray) -> np.ndarray:
        """Return the trained head's guess of every judged unit; a person's windows vote."""
        with torch.no_grad():
            logit_MC = self._model.heads[task](torch.from_numpy(np.asarray(z_MD, dtype=np.float32)))
            logp_MC = torch.log_softmax(logit_MC, dim=1).numpy()
        return np.asarray(
            self._features(task, logp_MC, self._rows(task, self._shared.judged_M)).argmax(axis=1)
        )

    def _refitted(self, task: str, z_MD: np.ndarray) -> np.ndarray | None:
        """Return the guess of every judged unit by probes that never saw its person, or None."""
        shared = self._shared
        judged_M = self._rows(task, shared.judged_M)
        _, person_U = self._units(task, judged_M)
        asked_UD = self._features(task, z_MD, judged_M)
        people_P, first_P = np.unique(shared.person_M, return_index=True)
        fold_U = shared.fold_M[first_P[np.searchsorted(people_P, person_U)]]
        guess_U = np.zeros(len(person_U), dtype=np.int64)
        for fold in np.unique(fold_U):
            fit_M = self._rows(task, shared.fold_M != fold)
            label, person = self._units(task, fit_M)
            people = [len(np.unique(person[label == code])) for code in np.unique(label)]
            if len(people) < 2 or min(people) < MIN_FIT_PEOPLE:
                return None
            probe = make_pipeline(
                StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000)
            ).fit(self._features(task, z_MD, fit_M), label)
            guess_U[fold_U == fold] = probe.predict(asked_UD[fold_U == fold])
        return guess_U
