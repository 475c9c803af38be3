"""The audit cohort: which held-out windows the attribution looks at.

Central mode: the server needs windows to explain, and takes held-out probe windows of all
sites (in simulation; a pilot uses a public or synthetic cohort). Nothing here is ever trained on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from transecg_core.cohorts.schema import BEATS, UNKNOWN
from transecg_core.model.heads import CLASSES
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.seeds import seed_for
from transecg_core.signals.schema import WINDOW, Windows
from transecg_core.training.local import MISSING, task_codes

DONORS = 2
"""Other people's windows per window from which occlusion takes its patches."""

OWN_SHARE = 0.5
"""Windows of a cohort for some tasks only (beats; people never trained on), of ``attribution_windows``."""


@dataclass(frozen=True)
class AuditCohort:
    """Windows to explain, of B held-out windows.

    Attributes
    ----------
    x_BL, component_BL
        Windows and their component codes.
    fill_BL
        The mean training beat of each window's site.
    site_B, person_B
        Index into the context's sites; index of the canonical person over all sites.
    label_B
        Task with a shared head -> class, negative where unknown.
    record_B
        Index of the record over all sites, whose delineation is one; None: every window counts as a record.
    """

    x_BL: np.ndarray
    component_BL: np.ndarray
    fill_BL: np.ndarray
    site_B: np.ndarray
    person_B: np.ndarray
    label_B: Mapping[str, np.ndarray]
    record_B: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x_BL)


def person_index(ctx: AuditContext) -> dict[str, int]:
    """Return canonical person -> index, over all sites, sorted by name."""
    return {person: i for i, person in enumerate(sorted({p for site in ctx.sites for p in site.person_P}))}


def ectopic(windows: Windows) -> np.ndarray:
    """Return which windows are labelled ectopic beats, bool (N,)."""
    ectopic_N: np.ndarray = (windows.beat_N != UNKNOWN) & (windows.beat_N != BEATS.index("N"))
    return ectopic_N


def labelled_controls(ctx: AuditContext, task: str) -> int:
    """Return how many people never trained on have a window to explain with a label of a person's task."""
    found: set[str] = set()
    for site, control_P in zip(ctx.sites, ctx.judged_on(), strict=True):
        rows = np.flatnonzero(_eligible(site, False) & control_P[site.windows.participant_N])
        rows = rows[task_codes(site.windows, rows, (task,))[task] != MISSING]
        found |= {site.person_P[p] for p in np.unique(site.windows.participant_N[rows])}
    return len(found)


def draw_cohort(ctx: AuditContext, task: str, controls: bool = False) -> AuditCohort:
    """Return the audit cohort for `task`: up to ``attribution_windows``, even over sites, then people.

    Ectopic beats are left out, since their waves don't lie where the components of the record's
    median beat say. For the ``beat`` task they are the point: its cohort has labelled beats only,
    even over classes, and its components name positions of the person's normal beat.

    Parameters
    ----------
    controls
        Take people never trained on only. There are about half as many, so half the windows do.
    """
    own = controls or task == "beat"
    budget = max(1, int(OWN_SHARE * ctx.attribution_windows)) if own else ctx.attribution_windows
    queues = [
        _queue(
            site,
            _eligible(site, task == "beat") & (not controls or control_P[site.windows.participant_N]),
            ctx.seed,
        )
        for site, control_P in zip(ctx.sites, ctx.judged_on(), strict=True)
    ]
    chosen: list[list[int]] = [[] for _ in queues]
    left = budget
    while left and any(queues):
        for queue, rows in zip(queues, chosen, strict=True):
            if queue and left:
                rows.append(queue.popleft())
                left -= 1
    return _gather(ctx, [np.array(sorted(rows), dtype=np.int64) for rows in chosen])


def drawn(site: AuditSite, eligible_N: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return up to `count` of a site's eligible windows, even over people, then beat classes, then time; sorted."""
    return np.array(sorted(list(_queue(site, eligible_N, seed))[:count]), dtype=np.int64)


def _eligible(site: AuditSite, beats: bool) -> np.ndarray:
    """Return the probe windows that may be explained, bool (N,): labelled beats, or no ectopic ones."""
    eligible_N = np.zeros(len(site.windows), dtype=bool)
    for probe_N in site.split.probes.values():
        eligible_N |= probe_N
    eligible_N &= (site.windows.beat_N != UNKNOWN) if beats else ~ectopic(site.windows)
    return eligible_N


def _queue(site: AuditSite, eligible_N: np.ndarray, seed: int) -> deque[int]:
    """Return a site's eligible windows: everybody's first choice, then everybody's second, ..."""
    windows = site.windows
    rng = np.random.default_rng(seed_for(seed, "attribution-cohort", site.name))
    people = [
        _by_class(windows, np.flatnonzero(eligible_N & (windows.participant_N == p)))
        for p in rng.permutation(len(windows.participants))
    ]
    used: Counter[int] = Counter()
    queue: deque[int] = deque()
    while any(people):
        for classes in filter(None, people):
            # Of what this person has left, the class that the site has given least of so far.
            code = min(classes, key=lambda c: (used[c], c))
            queue.append(classes[code].popleft())
            used[code] += 1
            if not classes[code]:
                del classes[code]
    return queue


def _by_class(windows: Windows, rows: np.ndarray) -> dict[int, deque[int]]:
    """Return one person's windows by beat class, each in an order whose prefixes are spread over time."""
    beat_R = windows.beat_N[rows]
    return {int(code): deque(_spread(rows[beat_R == code]).tolist()) for code in np.unique(beat_R)}


def _spread(rows: np.ndarray) -> np.ndarray:
    """Return `rows` reordered so that every prefix is spread over all of them (van der Corput order)."""

    def reversed_bits(number: int) -> float:
        value, weight = 0.0, 0.5
        while number:
            value += weight * (number & 1)
            number, weight = number >> 1, weight / 2
        return value

    # 0, 1/2, 1/4, 3/4, ...: the k-th row in use stands at the rank of the k-th fraction.
    fractions = np.array([reversed_bits(number) for number in range(len(rows))])
    return rows[np.argsort(np.argsort(fractions))]


def _gather(ctx: AuditContext, rows_by_site: list[np.ndarray]) -> AuditCohort:
    index = person_index(ctx)
    parts = list(zip(ctx.sites, rows_by_site, strict=True))
    labels = {
        task: np.concatenate([task_codes(site.windows, rows, (task,))[task] for site, rows in parts])
        for task in ctx.tasks
        if task in CLASSES
    }
    first = np.cumsum([0] + [len(site.windows.records) for site in ctx.sites])
    people = [np.array([index[p] for p in s.person_P])[s.windows.participant_N[rows]] for s, rows in parts]
    return AuditCohort(
        x_BL=np.concatenate([np.asarray(site.windows.x_NL[rows], dtype=np.float32) for site, rows in parts]),
        component_BL=np.concatenate([np.asarray(site.windows.component_NL[rows]) for site, rows in parts]),
        fill_BL=np.concatenate([np.tile(mean_training_beat(site), (len(rows), 1)) for site, rows in parts]),
        site_B=np.repeat(np.arange(len(parts)), [len(rows) for _, rows in parts]),
        person_B=np.concatenate(people),
        label_B=labels,
        record_B=np.concatenate(
            [site.windows.record_N[rows] + start for (site, rows), start in zip(parts, first, strict=False)]
        ),
    )


def mean_training_beat(site: AuditSite) -> np.ndarray:
    """Return the mean non-ectopic training window of a site, float32 (L,); zeros if there is none."""
    windows = site.windows
    rows = np.flatnonzero(site.split.gallery_N & site.member_P[windows.participant_N] & ~ectopic(windows))
    if not len(rows):
        return np.zeros(WINDOW, dtype=np.float32)
    mean_L: np.ndarray = np.asarray(windows.x_NL[rows], dtype=np.float64).mean(axis=0)
    return mean_L.astype(np.float32)


def donors(cohort: AuditCohort, seed: int) -> np.ndarray:
    """Return for each window `DONORS` windows of other people at its site, (K, B, L), drawn at random.

    Occlusion puts their patches in place of a window's own. A constant fill (zero, a straight line)
    makes beats that no heart makes, and the model's answer to those is not what it uses. Insertion and
    deletion fill with the mean training beat, so that occlusion isn't judged by its own yardstick. Without
    other people, the fill is that mean beat too.
    """
    rng = np.random.default_rng(seed)
    fill_KBL = np.repeat(cohort.fill_BL[None], DONORS, axis=0)
    for row in range(len(cohort)):
        same_site = cohort.site_B == cohort.site_B[row]
        others = np.flatnonzero(same_site & (cohort.person_B != cohort.person_B[row]))
        if len(others):
            fill_KBL[:, row] = cohort.x_BL[rng.choice(others, size=DONORS)]
    return fill_KBL


def local_people(
    site: AuditSite, person_B: np.ndarray, ctx: AuditContext
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (person index, gallery rows) for those of `person_B` who have gallery windows at `site`.

    One person under several local ids is one person here, and never their own impostor.
    """
    index = person_index(ctx)
    local_P = np.array([index[p] for p in site.person_P])
    gallery = np.flatnonzero(site.split.gallery_N & ~ectopic(site.windows))
    person_G = local_P[site.windows.participant_N[gallery]]
    for person in np.unique(person_B):
        rows = gallery[person_G == person]
        if len(rows):
            yield int(person), rows
