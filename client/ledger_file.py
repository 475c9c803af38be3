"""The SQLite file of a privacy ledger: made whole or not at all, written by one at a time, read without a trace."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from client.chain import Charge, ReleaseKey, broken_at
from client.refusal import LedgerTrouble
from transecg_core.privacy.accounting import Mechanism

_SCHEMA = (
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE charges (
        number INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL, round INTEGER NOT NULL, site TEXT NOT NULL,
        code_hash TEXT NOT NULL, input_hash TEXT NOT NULL,
        unit TEXT NOT NULL, q REAL NOT NULL, sigma REAL NOT NULL, max_windows INTEGER NOT NULL,
        steps INTEGER NOT NULL, unix_time REAL NOT NULL,
        update_hash TEXT NOT NULL, chain TEXT NOT NULL,
        UNIQUE (run_id, round, site, code_hash, input_hash)
    )""",
    "CREATE TABLE updates (number INTEGER PRIMARY KEY REFERENCES charges, bytes BLOB NOT NULL)",
)
_VERSION = "1"
WAIT_S = 30.0
"""How long a writer waits for another one."""
_ATTEMPTS = 5
"""How often a reader looks again when a writer mends the file meanwhile."""

RESTORE = (
    "restore a backup that `transecg budget verify --head HASH` accepts, HASH being the head noted last; if charges "
    "are missing from it, stop using this ledger"
)
"""An older backup would forget what people have already paid."""
_REMEDIES = {
    "SQLITE_BUSY": "another process holds it; wait until that run has ended",
    "SQLITE_READONLY": "make the file and its folder writable for this user",
    "SQLITE_CANTOPEN": "give a file in an existing folder that this user may write",
    "SQLITE_PERM": "make the file and its folder writable for this user",
    "SQLITE_CORRUPT": f"it is damaged or cut; {RESTORE}",
    "SQLITE_NOTADB": f"it is no ledger; name another file, or {RESTORE}",
    "SQLITE_FULL": "make room on its disk",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk complain about into one line with a remedy."""
    try:
        yield
    except sqlite3.Error as error:
        name = "_".join(str(getattr(error, "sqlite_errorname", "")).split("_")[:2])  # drops the extended part
        remedy = _REMEDIES.get(name, "it must be a writable ledger file on a local disk")
        raise LedgerTrouble(f"ledger {path}: {error}; {remedy}") from None
    except OSError as error:
        remedy = "give a file in an existing folder, on a local disk, that this user may write"
        raise LedgerTrouble(f"ledger {path}: {error.strerror or error}; {remedy}") from None


def create(path: Path, site: str, noise: str) -> bool:
    """Make an empty ledger of `site` and of a kind of noise; return False, and do nothing, where there is a file.

    It is made under another name and then linked, so that a kill leaves no half-made ledger, and
    of two that make it at once only one succeeds; the new name is synced too. Only its owner may read it: stored updates can
    hold a head that tells the site's people apart.
    """
    with explained(path):
        if path.exists():
            return False
        scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
        os.close(os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            with closing(_connect(scratch, "rw")) as db:
                db.execute("PRAGMA synchronous = EXTRA")
                db.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA:
                    db.execute(statement)
                facts = [("version", _VERSION), ("site", site), ("noise", noise)]
                db.executemany("INSERT INTO about VALUES (?, ?)", facts)
                db.execute("COMMIT")
            os.link(scratch, path)
            _sync_folder(path.parent)
        except FileExistsError:
            return False
        finally:
            scratch.unlink(missing_ok=True)
        return True


def _sync_folder(folder: Path) -> None:
    """Put a folder's names on disk: a file that is synced under a name that isn't can be gone after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection inside one exclusive-writer transaction, on disk for good once this returns.

    A commit is what removes the journal. ``FULL`` syncs the file but not that removal, so that a power cut
    could bring the journal back and undo a charge whose update was sent; ``EXTRA`` syncs the folder too.

    Raises
    ------
    LedgerTrouble
        If the file can't be opened or written, or is no ledger.
    """
    with explained(path), closing(_connect(path, "rw")) as db:
        db.execute("PRAGMA synchronous = EXTRA")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("BEGIN IMMEDIATE")
        try:
            _check_kind(path, db)
            yield db
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")


def probe(path: Path) -> None:
    """Raise unless the ledger can be written now; leaves every byte as it was."""
    with writing(path) as db:
        db.execute("INSERT INTO about VALUES ('probe', '')")  # opens the journal, in its folder
        db.execute("ROLLBACK")
        db.execute("BEGIN")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that sees one state of the ledger and changes, makes and locks nothing for long.

    A writer that was killed while it committed leaves a journal, and SQLite wants to write before it
    reads; then a private copy is read, in which the interrupted commit is undone. The state may be a past
    one as soon as it is read: whoever spends asks again inside `writing`.

    Raises
    ------
    LedgerTrouble
        If there is no such file, or it is no readable ledger.
    """
    with ExitStack() as stack:
        stack.enter_context(explained(path))
        if not path.is_file():
            raise LedgerTrouble(f"ledger {path}: no such file; give the path of a ledger")
        yield _opened(path, stack)


def _opened(path: Path, stack: ExitStack) -> sqlite3.Connection:
    for attempt in range(_ATTEMPTS):
        db = stack.enter_context(closing(_connect(path, "ro")))
        try:
            return _begun(path, db)
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or attempt == _ATTEMPTS - 1:
                raise
        db.close()
        copy = _copied(path, Path(stack.enter_context(TemporaryDirectory())))
        if copy is not None:
            return _begun(path, stack.enter_context(closing(_connect(copy, "rw"))))
    raise AssertionError("the last attempt returns or raises")


def _begun(path: Path, db: sqlite3.Connection) -> sqlite3.Connection:
    db.execute("BEGIN")
    _check_kind(path, db)
    return db


def _copied(path: Path, folder: Path) -> Path | None:
    """Copy a ledger and its journal; None if that journal did not last, so that they may not belong together.

    A journal that is the same before and after was there all the while (each has a random number of its own), so
    at most somebody was undoing the same commit, and undoing twice does no harm.
    """
    journal = path.with_name(path.name + "-journal")
    try:
        before = journal.read_bytes()
        shutil.copyfile(path, folder / path.name)
        if journal.read_bytes() != before:
            return None
    except FileNotFoundError:
        return None
    (folder / journal.name).write_bytes(before)
    return folder / path.name


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"  # neither mode makes a file
    return sqlite3.connect(uri, uri=True, timeout=WAIT_S, isolation_level=None)


def _check_kind(path: Path, db: sqlite3.Connection) -> None:
    found, expected = _objects(db), _expected()
    if not found:
        raise LedgerTrouble(f"ledger {path}: it is empty, so it was cut or never one; {RESTORE}")
    if not {name for _, name, *_ in found} >= {name for _, name, *_ in expected}:
        raise LedgerTrouble(f"ledger {path}: this database is no ledger; name another file")
    if odd := sorted(found ^ expected, key=repr):  # a trigger could remove a charge as soon as it is made
        kind, name, *_ = odd[0]
        raise LedgerTrouble(f"ledger {path}: its {kind} {name!r} is not as it was made; {RESTORE}")
    (pages,), (size,) = (db.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
    if path.stat().st_size < pages * size:  # SQLite itself misses a cut within the last page
        raise LedgerTrouble(f"ledger {path}: it is damaged or cut; {RESTORE}")
    version = about(db, "version")
    if version != _VERSION:
        raise LedgerTrouble(f"ledger {path}: its version is {version!r}, not {_VERSION!r}; use that software")


_Object = tuple[str, str, str, str | None]


def _objects(db: sqlite3.Connection) -> frozenset[_Object]:
    """Return everything that a database consists of: tables, indexes, views and triggers with their SQL."""
    return frozenset(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))


@cache
def _expected() -> frozenset[_Object]:
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in _SCHEMA:
            db.execute(statement)
        return _objects(db)


def about(db: sqlite3.Connection, key: str) -> str:
    """Return what the ledger says about itself; empty where it doesn't."""
    row = db.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
    return "" if row is None else str(row[0])


def read_charges(path: Path, db: sqlite3.Connection) -> tuple[Charge, ...]:
    """Return the charges in order.

    Raises
    ------
    LedgerTrouble
        If a row was altered, removed or moved, or is of another site.
    """
    try:
        charges = tuple(
            Charge(row[0], ReleaseKey(*row[1:6]), Mechanism(*row[6:10]), *row[10:])
            for row in db.execute("SELECT * FROM charges ORDER BY number")
        )
    except (ValueError, TypeError) as error:
        raise LedgerTrouble(f"ledger {path}: a charge is not readable ({error}); {RESTORE}") from None
    if (position := broken_at(charges)) is not None:
        raise LedgerTrouble(f"ledger {path}: charge {position} was altered or removed; {RESTORE}")
    site = about(db, "site")
    for charge in charges:
        if charge.key.site != site:
            raise LedgerTrouble(
                f"ledger {path}: charge {charge.number} is of site '{charge.key.site}', not '{site}'; {RESTORE}"
            )
    return charges


def insert(path: Path, db: sqlite3.Connection, charge: Charge, update: bytes) -> None:
    """Add a charge and its update's bytes, and see that both are there.

    Raises
    ------
    LedgerTrouble
        If they aren't what the file holds now.
    """
    key, mech = charge.key, charge.mechanism
    db.execute(
        f"INSERT INTO charges VALUES ({', '.join('?' * 14)})",  # noqa: S608  (question marks only)
        (
            *(charge.number, *key),
            *(mech.unit, mech.q, mech.sigma, mech.max_windows, charge.steps),
            *(charge.unix_time, charge.update_hash, charge.chain),
        ),
    )
    db.execute("INSERT INTO updates VALUES (?, ?)", (charge.number, update))
    stored = db.execute("SELECT bytes FROM updates WHERE number = ?", (charge.number,)).fetchall()
    if read_charges(path, db)[-1:] != (charge,) or stored != [(update,)]:
        raise LedgerTrouble(f"ledger {path}: charge {charge.number} was not kept as written; {RESTORE}")
