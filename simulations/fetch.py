"""``transecg fetch``: a public dataset from PhysioNet into the folder its reader expects.

wfdb says where PhysioNet is and, through the reader, decodes what came; the downloading itself is
`simulations.download`, which says why.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from shlex import quote

from simulations.download import Client, Limits, Unreachable, sha256_of
from simulations.physionet import LIST, MAX_LIST_BYTES, SELECTIONS, WrongList, by_hand, check, select
from transecg_core.cohorts import READERS
from transecg_core.cohorts.reader import Reader, make_source
from transecg_core.cohorts.schema import Origin
from transecg_core.errors import UserError

WORKERS = 4
"""Connections at a time, as many as wfdb's own downloads open."""
SLACK = 2.0
"""A dataset that is this many times larger than known is refused."""
EXAMPLES = {
    "ecgiddb": "Person_01/rec_1.hea",
    "ludb": "data/1.hea",
    "mitdb": "100.hea",
    "ptbxl": "ptbxl_database.csv",
    "qtdb": "sel100.hea",
}


def default_url() -> str:
    """Return PhysioNet's address of files, as wfdb has it."""
    # Seconds to import: only when it is needed.
    from wfdb.io.download import PN_INDEX_URL

    return str(PN_INDEX_URL)


def fetch(
    name: str,
    data_root: Path,
    accept: Callable[[str], bool],
    base_url: str | None = None,
    limits: Limits | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Download a dataset, or the rest of it, and check that it can be read.

    Parameters
    ----------
    name
        One of the readers of public datasets.
    data_root
        Gets a sub-folder of that name.
    accept
        Is shown the licence and answers whether it is accepted; without it nothing is contacted.
    base_url
        PhysioNet's ``/files/`` or a mirror of it.
    limits
        Waits, tries and sizes; the total size is bounded by what the dataset is known to hold.
    say
        Prints a line.

    Returns
    -------
    Path
        The dataset's folder.

    Raises
    ------
    UserError
        If the licence is not accepted, the server can't be reached, or anything it sends is not
        what the dataset's list of checksums says.
    """
    reader, origin = _known(name)
    target = data_root / name
    say(_terms(origin))
    if not accept(f"Accept {origin.licence} and download?"):
        raise UserError(f"{name}: its licence was not accepted; nothing was downloaded")
    size = round(1e6 * SLACK * origin.megabytes)
    limits = limits or Limits(total_bytes=size)
    client = Client(f"{(base_url or default_url()).rstrip('/')}/{origin.slug}/{origin.version}/", limits)
    say(f"asking {client.base_url}")
    try:
        chosen = select(name, client.read(LIST, MAX_LIST_BYTES))
        check(name, chosen, reader)
        with _folder(target, name, origin):
            left = _left(name, target, chosen)
            say(f"{len(chosen)} files, {len(chosen) - len(left)} of them already here and right")
            _download(client, target, left)
    except Unreachable as error:
        wrong = _wrong_by_hand(name, reader, target)
        if wrong is not None:
            raise UserError(_offline(name, reader, target, client, error) + wrong) from None
        say(f"{client.base_url} can't be reached, but every file here has the published SHA-256")
    finally:
        client.close()
    _readable(name, reader, target)
    say(f"{name} {origin.version} is complete in {target}. Next:")
    say(
        f"  transecg inspect {quote(str(target))}\n  transecg run cohort=real data-root={quote(str(data_root))}"
    )
    return target


def _known(name: str) -> tuple[Reader, Origin]:
    reader = READERS.get(name)
    if reader is None or reader.origin is None or name not in SELECTIONS:
        raise UserError(f"no public dataset named '{name}'; there are {', '.join(SELECTIONS)}")
    return reader, reader.origin


def _terms(origin: Origin) -> str:
    return "\n".join(
        (
            f"{origin.title}, version {origin.version}: about {origin.megabytes:g} MB from {origin.url}",
            f"Licence: {origin.licence}, {origin.licence_url}",
            f"Please cite: {origin.citation} https://doi.org/{origin.doi}",
        )
    )


def _offline(name: str, reader: Reader, target: Path, client: Client, error: Unreachable) -> str:
    return (
        f"{name}: {client.base_url} can't be reached ({error}); run the command again to go on, or "
        f"{by_hand(reader)} and put the files into {target}, so that {target / EXAMPLES[name]} exists"
    )


def _wrong_by_hand(name: str, reader: Reader, target: Path) -> str | None:
    """Return what keeps files put there by hand from being verified; None if all are the published ones.

    Raises
    ------
    UserError
        If the folder's list is the pinned one, and a file isn't as it says.
    """
    listed = next((target / file for file in (LIST, "SHA256SUMS") if (target / file).is_file()), None)
    if listed is None or SELECTIONS[name].pinned is None:
        return ""
    try:
        if listed.stat().st_size > MAX_LIST_BYTES:
            return f"; the {listed.name} there is too long"
        chosen = select(name, listed.read_bytes())
        check(name, chosen, reader)
        return None if not _left(name, target, chosen) else "; files are missing there"
    except OSError as error:
        return f"; what is there can't be read ({error.strerror})"
    except WrongList:
        return f"; the {listed.name} there is not the one this version knows"


def _lock(handle: int, target: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{target}: another fetch is at work there; wait for it") from None


@contextlib.contextmanager
def _folder(target: Path, name: str, origin: Origin) -> Iterator[None]:
    """Make the folder and keep it to ourselves meanwhile."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target).free
        if free < 1e6 * origin.megabytes and not any(target.iterdir()):
            raise UserError(
                f"{name}: about {origin.megabytes:g} MB are needed, {target} has {free / 1e6:.0f} MB free; "
                "make room or give another --data-root"
            )
        lock = os.open(target, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"{target}: can't be written ({error.strerror}); give another --data-root") from None
    try:
        # Released by the system when this process ends, however it ends.
        with contextlib.suppress(OSError):
            # Some network file systems can't lock a folder; checksums still tell what is right.
            _lock(lock, target)
        yield
    finally:
        os.close(lock)


def _left(name: str, target: Path, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return what is still to be downloaded; files that are there must be right."""
    left: dict[str, str] = {}
    root = target.resolve()
    for path, sha256 in chosen.items():
        place = target / path
        if not place.parent.resolve().is_relative_to(root) or place.is_symlink():
            raise UserError(f"{name}: {place} leads out of {target}; remove the link")
        if not place.exists():
            left[path] = sha256
        elif not place.is_file() or sha256_of(place) != sha256:
            raise UserError(
                f"{name}: {place} is not the published file (its SHA-256 differs); "
                "move it away, or give another --data-root"
            )
    return left


def _download(client: Client, target: Path, left: Mapping[str, str]) -> None:
    for folder in sorted({(target / path).parent for path in left}):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: can't be written ({error.strerror})") from None
    with _progress(len(left)) as (came, done), ThreadPoolExecutor(WORKERS) as pool:
        futures = [
            pool.submit(client.download, path, sha256, target / path, came) for path, sha256 in left.items()
        ]
        try:
            for future in as_completed(futures):
                future.result()
                done()
        except BaseException:
            # The others stop at their next chunk and keep what they have.
            client.stop.set()
            pool.shutdown(cancel_futures=True)
            raise


@contextlib.contextmanager
def _progress(files: int) -> Iterator[tuple[Callable[[int], None], Callable[[], None]]]:
    """Show files and megabytes on a terminal; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files, {task.fields[megabytes]:.1f} MB"),
        TimeRemainingColumn(),
    )
    quiet = not sys.stderr.isatty() or not files
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
        task = bar.add_task("", total=files, megabytes=0.0)
        received = 0

        def came(count: int) -> None:
            nonlocal received
            received += count
            bar.update(task, megabytes=received / 1e6)

        yield came, lambda: bar.advance(task)


def _readable(name: str, reader: Reader, target: Path) -> None:
    """Check that the reader finds every record's files."""
    make_source(reader, target, name)
    needed = SELECTIONS[name].needed
    entries = [entry for entry in reader.index(target) if entry.skip is None]
    lacking = [
        f"{entry.record}.{end}"
        for entry in entries
        for end in ("hea", *needed)
        if not (target / f"{entry.record}.{end}").is_file()
    ]
    if lacking:
        raise UserError(
            f"{name}: the server's {LIST} lacks {len(lacking)} files that its own table names, "
            f"first {lacking[0]}; {by_hand(reader)}"
        )
