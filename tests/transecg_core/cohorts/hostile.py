"""Hostile input: what a case is, how it is run, and the summary of the corpus.

A case spoils a small dataset that holds one good record. It is read as a site is, into windows, and must be
``refused`` (a `UserError`), ``skipped`` (the record is counted with a reason) or ``kept`` (read as it is
meant; where something was mended or odd, with a note), each for the reason that the case states. In the
latter two the good record must come through. Nothing may crash, hang, allocate what a header claims, or touch
the folder ``outside``, which lies beside the dataset and holds a sentinel.

``python tests/transecg_core/cohorts/hostile.py`` runs the whole corpus and prints its summary.
"""

from __future__ import annotations

import re
import signal
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Literal

import numpy as np
import wfdb

from transecg_core.cohorts.schema import Recording, SiteSource, SkipLog
from transecg_core.errors import UserError
from transecg_core.signals.windows import build_windows

Expect = Literal["refused", "skipped", "kept"]
GOOD = "100"
"""Name of the good record; every other record of a case's dataset is a hostile one."""
MAX_PEAK_MB = 96.0
MAX_SECONDS = 30
SENTINEL_FS_HZ = 360


@dataclass(frozen=True)
class Case:
    """One way to spoil a dataset.

    Attributes
    ----------
    build
        Writes the dataset into an empty folder; its sibling ``outside`` holds the sentinel record ``s``.
    expect, reason
        What must come of it; a pattern found in the error, in a hostile record's skip reason, or
        in the note on it. Empty, with ``kept``: there is nothing to note.
    open
        Opens the folder as a site.
    good
        Name of the record that must come through unless the whole site is refused.
    """

    name: str
    build: Callable[[Path], None]
    expect: Expect
    reason: str
    open: Callable[[Path], SiteSource]
    good: str = GOOD


@dataclass(frozen=True)
class Result:
    """What came of a case; ``outcome`` is none of `Expect` if something went wrong."""

    case: Case
    outcome: str
    said: str
    peak_mb: float

    @property
    def problem(self) -> str | None:
        """Return what is wrong with it, None if the case ended as it must."""
        case = self.case
        if self.outcome != case.expect:
            return f"{self.outcome}, not {case.expect}: {self.said}"
        if not re.search(case.reason, self.said) or (not case.reason and self.said):
            return f"said '{self.said}', not '{case.reason}'"
        return f"allocated {self.peak_mb:.0f} MB" if self.peak_mb > MAX_PEAK_MB else None


def sentinel() -> np.ndarray:
    """Return the waveform, in mV, that lies outside every dataset: no case may bring it in."""
    t_T = np.arange(20 * SENTINEL_FS_HZ) / SENTINEL_FS_HZ
    return np.asarray(np.sin(2 * np.pi * (1.0 + 0.13 * t_T) * t_T) + (t_T % 0.61 < 0.02), dtype=np.float64)


@cache
def _sentinel_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        x_TC = sentinel()[:, None]
        wfdb.wrsamp("s", SENTINEL_FS_HZ, ["mV"], ["MLII"], x_TC, fmt=["16"], write_dir=folder)
        wfdb.wrann("s", "atr", np.array([180]), symbol=["N"], write_dir=folder)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


_watched: Path | None = None
_touched: list[str] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir") and _watched is not None:
        path = arguments[0]
        if isinstance(path, str | bytes) and Path(_text(path)).resolve().is_relative_to(_watched):
            _touched.append(_text(path))


def _text(path: str | bytes) -> str:
    return path if isinstance(path, str) else path.decode(errors="replace")


sys.addaudithook(_audit)


@contextmanager
def _guarded(outside: Path) -> Iterator[None]:
    """Watch what is opened below `outside`, and end a case that hangs."""
    global _watched

    def late(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"took longer than {MAX_SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(MAX_SECONDS)
    _watched = outside.resolve()
    _touched.clear()
    try:
        yield
    finally:
        _watched = None
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run(case: Case, folder: Path) -> Result:
    """Build a case in the empty `folder` and read it."""
    root, outside = folder / "root", folder / "outside"
    root.mkdir()
    outside.mkdir()
    for name, raw in _sentinel_files().items():
        (outside / name).write_bytes(raw)
    case.build(root)
    _warm_up()
    tracemalloc.start()
    try:
        with _guarded(outside):
            outcome, said = _read(case, root)
        peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    if _touched:
        outcome, said = "leaked", f"opened {', '.join(sorted(set(_touched)))}"
    return Result(case, outcome, said, peak_mb)


@cache
def _warm_up() -> None:
    """Load what reading windows loads, once and unmeasured."""
    source = SiteSource("warm", "real", lambda _skips: iter(()), "", 0, ())
    recording = Recording("warm", "p", 1, "r", 360.0, "I", sentinel().astype(np.float32))
    build_windows(replace(source, read=lambda _skips: iter((recording,))))


def _read(case: Case, root: Path) -> tuple[str, str]:
    try:
        source = case.open(root)
        leaked: list[str] = []

        def read(skips: SkipLog) -> Iterator[Recording]:
            for recording in source.read(skips):
                if _is_sentinel(recording.signal_mv):
                    leaked.append(recording.record)
                yield recording

        windows = build_windows(replace(source, read=read))
    except UserError as error:
        return "refused", str(error)
    except Exception as error:  # Whatever it is, it is the finding.
        return "crashed", f"{type(error).__name__}: {error}"
    if leaked:
        return "leaked", f"{', '.join(leaked)} is the record outside"
    records = {info.record for info in windows.records}
    if case.good not in records:
        return "lost", f"the good record is gone: {windows.skipped}"
    said = "; ".join(
        sorted({skip.reason for skip in windows.skips if skip.record != case.good and _counts(skip.reason)})
    )
    if records - {case.good}:
        return "kept", said
    return ("skipped", said) if said else ("silent", "neither kept nor counted")


def _counts(reason: str) -> bool:
    """Return whether a reason is about a whole record, person or table, not about a beat."""
    return not reason.startswith(("window:", "beat:", "delineation:"))


def _is_sentinel(signal_mv: np.ndarray) -> bool:
    """Return whether the middle of the sentinel is found anywhere in a signal, whatever its gain and offset."""
    piece = sentinel()[2000:2600]
    if signal_mv.size < piece.size:
        return False
    piece = (piece - piece.mean()) / np.linalg.norm(piece - piece.mean())
    x_T = signal_mv.astype(np.float64) - np.mean(signal_mv)
    ones = np.ones(piece.size)
    energy = np.convolve(x_T**2, ones, "valid") - np.convolve(x_T, ones, "valid") ** 2 / piece.size
    match = np.abs(np.correlate(x_T, piece, "valid"))
    return bool((match > 0.95 * np.sqrt(np.maximum(energy, 1e-12))).any())


def summary(results: Sequence[Result]) -> str:
    """Return the corpus' summary in one line."""
    outcomes = Counter(result.outcome for result in results)
    noted = sum(result.outcome == "kept" and bool(result.said) for result in results)
    wrong = sum(result.problem is not None for result in results)
    peak = max((result.peak_mb for result in results), default=0.0)
    return (
        f"hostile corpus: {len(results)} cases; refused {outcomes['refused']}, skipped {outcomes['skipped']}, "
        f"kept {outcomes['kept']} ({noted} with a note), crashed {outcomes['crashed']}, "
        f"leaked {outcomes['leaked']}, lost or silent {outcomes['lost'] + outcomes['silent']}; "
        f"not as stated {wrong}; most memory {peak:.0f} MB"
    )


def corpus() -> list[Case]:
    """Return every case of every part."""
    import importlib

    parts = sorted(path.stem for path in Path(__file__).parent.glob("hostile_*.py"))
    return [case for part in parts for case in importlib.import_module(part).cases()]


def main() -> int:
    """Run the corpus and print it; 1 if a case ended otherwise than it must."""
    results = []
    started = time.process_time()
    for case in corpus():
        with tempfile.TemporaryDirectory() as folder:
            results.append(run(case, Path(folder)))
        problem = results[-1].problem
        print(f"{results[-1].outcome:8} {case.name}: {problem or results[-1].said or 'nothing to note'}")
    print(f"{summary(results)}; {time.process_time() - started:.0f} CPU-s")
    return int(any(result.problem for result in results))


if __name__ == "__main__":
    import hostile

    sys.exit(hostile.main())
