"""Copies of an enrolled recording among the probes: found, taken out, refused.

A probe that is a piece of a gallery recording, under whatever name, id or site, measures how well
a waveform matches itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from transecg_core.signals.schema import Windows
from transecg_core.splits.duplicates import DuplicatePair
from transecg_core.splits.guards import AFTER
from transecg_core.splits.protocols import Split

Part = tuple[str, Windows, Split]
"""A site's name, windows and split."""


def leaked(parts: Sequence[Part], pairs: Sequence[DuplicatePair]) -> tuple[np.ndarray, ...]:
    """Return per site which windows (N,) are probes that a copy of theirs in the gallery spoils.

    As between one recording's own windows: none at all may be on the other side, save that
    ``later-in-record`` may ask for what follows everything enrolled after the gap. It does not matter
    which beats the cap on windows left in either copy. Of ``random-window``, leaky by name, nothing is.
    """
    index = {
        (name, info.participant, info.record): (place, record)
        for place, (name, windows, _) in enumerate(parts)
        for record, info in enumerate(windows.records)
    }
    out = tuple(np.zeros(len(windows), dtype=bool) for _, windows, _ in parts)
    for pair in pairs:
        a = index[pair.site_a, pair.participant_a, pair.record_a]
        b = index[pair.site_b, pair.participant_b, pair.record_b]
        for (place, record), (other, enrolled), here in ((a, b, pair.in_a), (b, a, pair.in_b)):
            _, windows, split = parts[other]
            gallery_K = here(windows.r_sample_N[split.gallery_N & (windows.record_N == enrolled)])
            if gallery_K.size:
                out[place][_spoilt(parts[place], record, float(gallery_K.max()))] = True
    return out


def _spoilt(part: Part, record: int, last: float) -> np.ndarray:
    """Return the probe rows of a record of which a copy is enrolled up to position `last` of this record."""
    _, windows, split = part
    if split.leaky:
        return np.empty(0, dtype=np.int64)
    early_N = windows.r_sample_N < last + AFTER
    spoilt_N = np.zeros(len(windows), dtype=bool)
    for name, mask_N in split.probes.items():
        spoilt_N |= mask_N & early_N if name == "later-in-record" else mask_N
    return np.flatnonzero(spoilt_N & (windows.record_N == record))


def take_out_copies(parts: Sequence[Part], pairs: Sequence[DuplicatePair]) -> tuple[tuple[Split, ...], int]:
    """Return the splits without the probes of `leaked`, with a note of their number, and that number."""
    out: list[Split] = []
    total = 0
    for (_, _, split), leaked_N in zip(parts, leaked(parts, pairs), strict=True):
        count = int(leaked_N.sum())
        total += count
        if count:
            probes = {name: mask & ~leaked_N for name, mask in split.probes.items()}
            note = f"{count} probe windows left out: a copy of a gallery recording"
            probes = {name: mask for name, mask in probes.items() if mask.any()}
            split = replace(split, probes=probes, notes=(*split.notes, note))
        out.append(split)
    return tuple(out), total


def refuse_copies(parts: Sequence[Part], pairs: Sequence[DuplicatePair]) -> None:
    """Raise if a probe is a copy of an enrolled recording.

    Raises
    ------
    ValueError
        Naming the site.
    """
    for (name, _, _), leaked_N in zip(parts, leaked(parts, pairs), strict=True):
        if leaked_N.any():
            raise ValueError(
                f"split refused: site '{name}' has {int(leaked_N.sum())} probe windows that are a copy of a "
                "gallery recording"
            )
