"""Sex and age by named features: tree models fitted on other people, beside a probe on the embeddings.

Folds, fitting people and judged people are the same for both. Judged are people whom the encoder was
never trained on, where there are any: on others it may know the answer by heart. For the same reason
a probe should not be fitted on the embeddings of others to judge strangers: trees have no such shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transecg_core.attribution.fiducial_people import grown
from transecg_core.attribution.fiducial_shap import own_class_shap
from transecg_core.risk.artefacts import Given, KnownLabels, ModelAccess
from transecg_core.risk.attacks.probe import MIN_FIT_PEOPLE, infer
from transecg_core.risk.cases import Case
from transecg_core.risk.inference import CLASSES
from transecg_core.risk.matching import first_of, group_means
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.table import CROSS_SITE
from transecg_core.seeds import seed_for
from transecg_core.signals.fiducials import record_fiducials
from transecg_core.training.local import MISSING

LEAF, FEATURES = 5, 0.5
"""Records in a leaf, and share of the features that a split chooses from."""
MIN_STRANGERS = 20
"""Labelled people never trained on from whom alone is learned; of fewer a model learns too little."""


@dataclass(frozen=True)
class Records:
    """Median-beat features of records: the gallery's first, then the probes' (R).

    Attributes
    ----------
    x_RF
        Features, NaN where a record doesn't show them.
    entry_R
        Enrolled person; -1 of a probe record whose id enrolled nothing.
    query_R
        Query of a probe record, -1 of a gallery record.
    judged_R
        Whether the record is what its person is judged by: probes, or the gallery of who has none.
    """

    x_RF: np.ndarray
    entry_R: np.ndarray
    query_R: np.ndarray
    judged_R: np.ndarray


def records_of(case: Case) -> Records:
    """Return every record's features.

    Raises
    ------
    NotMeasurable
        If no gallery record shows a QRS complex.
    """
    gallery, probes, drawn = case.gallery, case.probes, case.delineation
    enrolled = record_fiducials(gallery.x_NL, drawn.gallery_NL, gallery.record_N)
    if not np.isfinite(enrolled).any():
        raise NotMeasurable("no gallery record shows a QRS complex that was delineated")
    asked = record_fiducials(probes.x_NL, drawn.probes_NL, probes.query_N)
    entry_R = first_of(gallery.entry_N, gallery.record_N, len(enrolled))
    own_Q = (case.entry_of_Q >= 0) & (case.protocol_Q != CROSS_SITE)
    probed_R = np.isin(entry_R, case.entry_of_Q[own_Q])
    return Records(
        np.concatenate([enrolled, asked]),
        np.concatenate([entry_R, np.where(own_Q, case.entry_of_Q, -1)]),
        np.concatenate([np.full(len(enrolled), -1), np.arange(len(asked))]),
        np.concatenate([~probed_R, own_Q]),
    )


@dataclass(frozen=True)
class Inferred:
    """What is inferred of the judged people (U).

    Attributes
    ----------
    person_U, truth_U
        Canonical person and true class.
    guess_U, vit_U
        Class by features, and by the probe on embeddings.
    vit_reason
        Why `vit_U` means nothing; None where it does.
    head_U
        Class by the model's own head, which the encoder's maps explain; None without a head or finite embeddings.
    strength_UF
        Absolute SHAP values of the true class's probability.
    """

    person_U: np.ndarray
    truth_U: np.ndarray
    guess_U: np.ndarray
    vit_U: np.ndarray
    vit_reason: str | None
    head_U: np.ndarray | None
    strength_UF: np.ndarray


def enough(case: Case, trait: str, whom_C: np.ndarray) -> bool:
    """Return whether some people (bool (C,)) have labels enough to learn from and to judge by, cross-fitted."""
    code_G = first_of(case.targets.labels[trait], case.gallery.entry_N, len(case.gallery.site_G))
    known_G = (code_G != MISSING) & whom_C[case.person_G]
    people, first_G = np.unique(case.person_G[known_G], return_index=True)
    code_P, fold_P = code_G[known_G][first_G], case.people.fold_C[people]
    left = [np.unique(code_P[fold_P != fold], return_counts=True)[1] for fold in np.unique(fold_P)]
    fits = all(len(counts) > 1 and counts.min() >= MIN_FIT_PEOPLE for counts in left)
    return len(people) >= MIN_STRANGERS and fits


def inferred(
    case: Case, trait: str, judged_C: np.ndarray, fitted_C: np.ndarray, encoder: ModelAccess, seed: int
) -> Inferred:
    """Infer a trait of some people from what is known of others.

    Parameters
    ----------
    judged_C, fitted_C
        bool (C,): who is judged, and who may be learned from by those of other folds.

    Raises
    ------
    NotMeasurable
        If nobody judged has a label, or too few others have.
    """
    records, classes = records_of(case), len(CLASSES[trait])
    code_G = first_of(case.targets.labels[trait], case.gallery.entry_N, len(case.gallery.site_G))
    entry_R = np.maximum(records.entry_R, 0)
    code_R = np.where(records.entry_R >= 0, code_G[entry_R], MISSING)
    person_R = case.person_G[entry_R]
    asked = np.flatnonzero(records.judged_R & (code_R != MISSING) & judged_C[person_R])
    if not len(asked):
        raise NotMeasurable("nobody to judge has a label of this task")
    score_RC, vit_RC = np.zeros((2, len(asked), classes))
    shap_RF, vit_reason = np.zeros((len(asked), records.x_RF.shape[1])), None
    fold_A = case.people.fold_C[person_R[asked]]
    for fold in np.unique(fold_A):
        hidden_G = np.where((case.folds.fold_G == fold) | ~fitted_C[case.person_G], MISSING, code_G)
        here = np.flatnonzero(fold_A == fold)
        rows, truth = asked[here], code_R[asked[here]]
        fold_seed = seed_for(seed, "trait", trait, int(fold))
        score_RC[here], shap_RF[here] = _by_features(case, records, hidden_G, rows, truth, classes, fold_seed)
        try:
            vit_RC[here] = _by_embedding(case, records, KnownLabels(hidden_G, classes), rows, encoder)
        except NotMeasurable as reason:
            vit_reason = str(reason)
    people, first_row, unit = np.unique(person_R[asked], return_index=True, return_inverse=True)
    score_UC, vit_UC, shap_UF = (
        group_means(value, unit, len(people)) for value in (score_RC, vit_RC, shap_RF)
    )
    head_RC = _by_head(case, records, trait, asked, encoder)
    return Inferred(
        person_U=people,
        truth_U=code_R[asked][first_row],
        guess_U=score_UC.argmax(axis=1),
        vit_U=vit_UC.argmax(axis=1),
        vit_reason=vit_reason,
        head_U=None if head_RC is None else group_means(head_RC, unit, len(people)).argmax(axis=1),
        strength_UF=np.abs(shap_UF),
    )


def _by_features(
    case: Case, records: Records, known_G: np.ndarray, rows: np.ndarray, truth: np.ndarray, classes: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the class probabilities of some records, and the SHAP values of their own class's."""
    code_R = np.where(records.entry_R >= 0, known_G[np.maximum(records.entry_R, 0)], MISSING)
    use = np.flatnonzero((records.query_R < 0) & (code_R != MISSING))
    people_C = np.bincount(known_G[np.unique(records.entry_R[use])], minlength=classes)
    present = np.flatnonzero(people_C)
    if len(present) < 2 or people_C[present].min() < MIN_FIT_PEOPLE:
        raise NotMeasurable(
            f"the trees learn from other people, {MIN_FIT_PEOPLE} in each of two classes; "
            f"they have {', '.join(map(str, people_C))}"
        )
    site_R = np.concatenate([first_of(case.gallery.site_N, case.gallery.record_N, int((records.query_R < 0).sum())),
                             case.probes.site_Q])  # fmt: skip
    mean_SF = _site_means(records.x_RF, site_R, records.query_R < 0, use, len(case.site_names))
    x_RF = records.x_RF - mean_SF[site_R]
    each = 1.0 / np.bincount(records.entry_R[use])[records.entry_R[use]]
    weight = each / np.bincount(code_R[use], weights=each)[code_R[use]] * len(use) / len(present)
    forest = grown(x_RF[use], code_R[use], seed, weight, leaf=LEAF, features=FEATURES)
    score = np.zeros((len(rows), classes))
    score[:, forest.classes_] = forest.predict_proba(x_RF[rows])
    shap_RF = np.zeros((len(rows), x_RF.shape[1]))
    told = np.isin(truth, forest.classes_)  # nothing speaks for a class that nobody known has
    shap_RF[told], _ = own_class_shap(forest, x_RF[rows][told], truth[told])
    return score, shap_RF


def _site_means(
    x_RF: np.ndarray, site_R: np.ndarray, gallery_R: np.ndarray, use: np.ndarray, sites: int
) -> np.ndarray:
    """Return each site's mean feature (S, F) over gallery records in use, 0 where none shows it.

    Taken off, so that a device's offset can't stand for the people who happen to be recorded with it.
    A site without a record in use has its whole gallery's, as in `transecg_core.risk.attacks.probe`.
    """
    total_SF, count_SF = np.zeros((2, sites, x_RF.shape[1]))
    use = np.concatenate([use, np.flatnonzero(gallery_R & ~np.isin(site_R, site_R[use]))])
    known = np.isfinite(x_RF[use])
    np.add.at(total_SF, site_R[use], np.where(known, x_RF[use], 0.0))
    np.add.at(count_SF, site_R[use], known)
    return np.asarray(total_SF / np.maximum(count_SF, 1))


def _by_embedding(
    case: Case, records: Records, known: KnownLabels, rows: np.ndarray, encoder: ModelAccess
) -> np.ndarray:
    """Return the class probabilities of some records by a linear probe on frozen embeddings."""
    held = {
        "gallery": case.gallery, "probes": case.probes, "known-labels": known, "released-model": encoder,
    }  # fmt: skip
    log_UC = infer(Given(tuple(held), held), centre=True)
    queries = len(case.probes.site_Q)
    unit = np.where(records.query_R[rows] >= 0, records.query_R[rows], queries + records.entry_R[rows])
    return np.asarray(np.exp(log_UC[unit]))


def _by_head(
    case: Case, records: Records, trait: str, rows: np.ndarray, encoder: ModelAccess
) -> np.ndarray | None:
    """Return the class probabilities of some records by the model's own head; None where it tells nothing."""
    if trait not in encoder.tasks:
        return None
    means = []
    groups = (
        (case.gallery.x_NL, case.gallery.record_N, int((records.query_R < 0).sum())),
        (case.probes.x_NL, case.probes.query_N, len(case.probes.site_Q)),
    )
    classes = range(len(CLASSES[trait]))
    for x_NL, group_N, count in groups:
        z_ND = encoder.embed(x_NL)
        if not np.isfinite(z_ND).all():
            return None
        if not count:
            continue
        loss_CN = np.stack([encoder.losses(trait, z_ND, np.full(len(z_ND), code)) for code in classes])
        means.append(group_means(np.exp(-loss_CN.T), group_N, count))
    return np.asarray(np.concatenate(means)[rows])
