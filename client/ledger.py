"""The site's privacy ledger: what was released, and what it cost.

One SQLite file. A release's bytes and its charge commit in one transaction *before* anything is
sent, under the key (run, round, site, code hash, hash of the input weights). Asking for the same
key again returns the stored bytes and charges nothing; anything else is a new release and a new
charge. A crash before the commit sent nothing; a crash after it has already been charged.

Every charge is chained to the one before it by SHA-256, so an edited, removed or reordered row
is found by `Ledger.verify`. The chain proves consistency, not authorship: whoever may rewrite the
whole file may rewrite the whole chain, and cutting rows off the end needs a noted `Ledger.head`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from transecg_core.errors import UserError
from transecg_core.privacy.accounting import Charges, Mechanism, Unit, epsilon, epsilon_participant

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS charges (
    number INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL, round INTEGER NOT NULL, site TEXT NOT NULL,
    code_hash TEXT NOT NULL, input_hash TEXT NOT NULL,
    unit TEXT NOT NULL, q REAL NOT NULL, sigma REAL NOT NULL, max_windows INTEGER NOT NULL,
    steps INTEGER NOT NULL, unix_time REAL NOT NULL,
    update_hash TEXT NOT NULL, chain TEXT NOT NULL,
    UNIQUE (run_id, round, site, code_hash, input_hash)
);
CREATE TABLE IF NOT EXISTS updates (number INTEGER PRIMARY KEY REFERENCES charges, bytes BLOB NOT NULL);
"""
_VERSION = "1"
_START = "0" * 64
_WAIT_S = 30.0


class ReleaseKey(NamedTuple):
    """What makes a release the same release."""

    run_id: str
    round: int
    site: str
    code_hash: str
    input_hash: str


@dataclass(frozen=True)
class Budget:
    """The most that may be spent: `epsilon` at `delta`, for a person or for a window.

    ``scope`` says which charges count: those of the charge's own run, or all in the file.
    """

    epsilon: float
    delta: float
    unit: Unit = "participant"
    scope: Literal["run", "lifetime"] = "lifetime"


@dataclass(frozen=True)
class Charge:
    """One committed charge; `update_hash` is the SHA-256 of the released bytes."""

    number: int
    key: ReleaseKey
    mechanism: Mechanism
    steps: int
    unix_time: float
    update_hash: str
    chain: str


class Overspend(UserError):
    """The charge would exceed the budget; nothing was charged."""


class Ledger:
    """The ledger in one file.

    Parameters
    ----------
    path
        The SQLite file; made if missing, in an existing folder.
    site
        Binds the file to a site on first use; afterwards another site's name is refused.

    Raises
    ------
    UserError
        If the file can't be opened or written, is damaged, or belongs to another site.
    """

    def __init__(self, path: Path | str, site: str | None = None) -> None:
        self.path = Path(path)
        with self._transaction() as db:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                db.execute(statement)
            self._bind(db, "version", _VERSION)
            if site is not None:
                self._bind(db, "site", site)

    def lookup(self, key: ReleaseKey | tuple[str, int, str, str, str]) -> bytes | None:
        """Return the stored bytes of a release that was already charged, to send them again.

        Raises
        ------
        UserError
            If the stored bytes are not the ones that were charged.
        """
        with self._transaction() as db:
            row = db.execute(
                "SELECT update_hash, bytes FROM charges JOIN updates USING (number) WHERE "
                "run_id = ? AND round = ? AND site = ? AND code_hash = ? AND input_hash = ?",
                tuple(key),
            ).fetchone()
        if row is None:
            return None
        stored = bytes(row[1])
        if hashlib.sha256(stored).hexdigest() != row[0]:
            raise UserError(f"ledger {self.path}: the stored update of {key} was altered; restore a backup")
        return stored

    def charge(
        self,
        run_id: str,
        round: int,
        site: str,
        code_hash: str,
        input_hash: str,
        mechanism: Mechanism,
        steps: int,
        update: bytes,
        budgets: Sequence[Budget] = (),
    ) -> Charge:
        """Store `update` and its charge in one commit; only then may it be sent.

        The budgets are checked inside the same transaction, so that concurrent orders can't overspend.

        Raises
        ------
        Overspend
            If a budget would be exceeded.
        UserError
            If this key was charged before (resend what `lookup` returns), or the file fails.
        """
        key = ReleaseKey(run_id, round, site, code_hash, input_hash)
        with self._transaction() as db:
            charges = self._read(db)
            if any(charge.key == key for charge in charges):
                raise UserError(f"ledger {self.path}: {key} is charged already; resend its stored update")
            for budget in budgets:
                self._refuse_overspend(charges, run_id, mechanism, steps, budget)
            previous = charges[-1].chain if charges else _START
            draft = Charge(
                len(charges) + 1, key, mechanism, steps, time.time(), hashlib.sha256(update).hexdigest(), ""
            )
            charge = Charge(*_fields(draft), _chain(previous, draft))
            self._insert(db, charge, update)
        return charge

    def refuse_overspend(
        self, run_id: str, mechanism: Mechanism, steps: int, budgets: Sequence[Budget]
    ) -> None:
        """Ask before training whether `steps` more of `mechanism` would fit; `charge` asks again.

        Raises
        ------
        Overspend
            If a budget would be exceeded.
        """
        charges = list(self.events())
        for budget in budgets:
            self._refuse_overspend(charges, run_id, mechanism, steps, budget)

    def spent(self, delta: float, run_id: str | None = None) -> tuple[float | None, float]:
        """Return (epsilon for a window, epsilon for a participant) of a run, or of the file's lifetime.

        The window epsilon is None as soon as a participant mechanism was charged: its adjacency
        says nothing about one window of somebody who stays.
        """
        charges = self._charges(run_id)
        window = epsilon(charges, delta) if all(m.unit == "window" for m, _ in charges) else None
        return window, epsilon_participant(charges, delta)

    def events(self, run_id: str | None = None) -> tuple[Charge, ...]:
        """Return the charges in order."""
        with self._transaction() as db:
            return tuple(c for c in self._read(db) if run_id is None or c.key.run_id == run_id)

    def head(self) -> str:
        """Return the chain's last hash: noted elsewhere, it shows rows cut off the end."""
        events = self.events()
        return events[-1].chain if events else _START

    def verify(self) -> None:
        """Recompute the chain and the updates' hashes.

        Raises
        ------
        UserError
            Naming the first charge that doesn't fit.
        """
        with self._transaction() as db:
            charges = self._read(db)
            stored = {
                n: hashlib.sha256(b).hexdigest() for n, b in db.execute("SELECT number, bytes FROM updates")
            }
        previous = _START
        for position, charge in enumerate(charges, start=1):
            intact = charge.number == position and stored.get(charge.number) == charge.update_hash
            if not intact or _chain(previous, charge) != charge.chain:
                raise UserError(
                    f"ledger {self.path}: charge {position} was altered or removed; restore a backup"
                )
            previous = charge.chain

    def _charges(self, run_id: str | None) -> list[tuple[Mechanism, int]]:
        return [(charge.mechanism, charge.steps) for charge in self.events(run_id)]

    def _refuse_overspend(
        self, charges: list[Charge], run_id: str, mechanism: Mechanism, steps: int, budget: Budget
    ) -> None:
        counted = [c for c in charges if budget.scope == "lifetime" or c.key.run_id == run_id]
        planned = [*((c.mechanism, c.steps) for c in counted), (mechanism, steps)]
        cost = _cost(planned, budget.unit, budget.delta)
        if cost > budget.epsilon:
            raise Overspend(
                f"ledger {self.path}: this charge would bring the {budget.scope}'s {budget.unit} epsilon to {cost:.3g}, "
                f"over the budget of {budget.epsilon:g} at delta {budget.delta:g}; nothing was charged"
            )

    def _bind(self, db: sqlite3.Connection, key: str, value: str) -> None:
        db.execute("INSERT OR IGNORE INTO about VALUES (?, ?)", (key, value))
        (found,) = db.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
        if found != value:
            raise UserError(
                f"ledger {self.path}: its {key} is '{found}', not '{value}'; use that {key}'s own ledger"
            )

    @staticmethod
    def _insert(db: sqlite3.Connection, charge: Charge, update: bytes) -> None:
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

    def _read(self, db: sqlite3.Connection) -> list[Charge]:
        try:
            return [
                Charge(row[0], ReleaseKey(*row[1:6]), Mechanism(*row[6:10]), *row[10:])
                for row in db.execute("SELECT * FROM charges ORDER BY number")
            ]
        except ValueError as error:
            raise UserError(
                f"ledger {self.path}: a charge is not readable ({error}); restore a backup"
            ) from None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection inside one exclusive-writer transaction, synced to disk at commit."""
        try:
            with closing(sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA foreign_keys = ON")
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
        except sqlite3.Error as error:
            raise UserError(
                f"ledger {self.path}: {error}; it must be a writable ledger file that nobody else holds open"
            ) from None


def _cost(charges: Charges, unit: Unit, delta: float) -> float:
    return epsilon(charges, delta) if unit == "window" else epsilon_participant(charges, delta)


def _fields(charge: Charge) -> tuple[int, ReleaseKey, Mechanism, int, float, str]:
    return charge.number, charge.key, charge.mechanism, charge.steps, charge.unix_time, charge.update_hash


def _chain(previous: str, charge: Charge) -> str:
    key, mech = charge.key, charge.mechanism
    content = [
        *(previous, charge.number, *key),
        *(mech.unit, repr(mech.q), repr(mech.sigma), mech.max_windows, charge.steps),
        *(repr(charge.unix_time), charge.update_hash),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
