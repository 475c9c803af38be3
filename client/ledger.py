"""The site's privacy ledger: what was released, and what it cost.

One SQLite file. A release's bytes and its charge commit in one transaction, and lie on disk, *before*
anything is sent, under the key (run, round, site, code hash, hash of the input weights). Asking for the same
key again returns the stored bytes and charges nothing; anything else is a new release and a new
charge. A crash before the commit sent nothing; a crash after it has already been charged.

Every charge is chained to the one before it by SHA-256 (`client.chain`), so an edited, removed or
reordered row is found whenever the charges are read, and nothing more is spent from such a file.
The chain proves consistency, not authorship: whoever may rewrite the whole file may rewrite the
whole chain, and cutting charges off the end needs a noted `head`.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from client import ledger_file, spending
from client.chain import START, Charge, ReleaseKey, clock_steps_back, head, link
from client.refusal import ChargedAlready, LedgerTrouble, Overspend
from client.spending import Budget
from transecg_core.privacy.accounting import Mechanism

__all__ = ["START", "Budget", "Charge", "Contents", "Ledger", "Overspend", "ReleaseKey", "read", "verify"]


_NOISE = {False: "unseeded", True: "seeded"}
SIMULATED = "simulation: its noise came from seeds, so these epsilons protect nobody"


@dataclass(frozen=True)
class Contents:
    """What one ledger held when it was read."""

    path: Path
    site: str
    charges: tuple[Charge, ...]
    simulated: bool = False

    @property
    def mark(self) -> str:
        """What must stand beside its epsilons; empty for an institution's."""
        return SIMULATED if self.simulated else ""

    @property
    def head(self) -> str:
        """The chain's last hash."""
        return head(self.charges)


class Ledger:
    """A site's ledger, to be written.

    Parameters
    ----------
    path
        The SQLite file; made if missing, in an existing folder.
    site
        Whose ledger it is. A new file is bound to it for good.
    simulated
        Whether its noise comes from a run's seed. A file is bound to that too: what protects
        nobody and what protects people must not share an account.

    Raises
    ------
    LedgerTrouble
        If the file can't be opened or written, is damaged, or belongs to another site or kind of noise.
    """

    def __init__(self, path: Path | str, site: str, simulated: bool = False) -> None:
        self.path, self.site, self.noise = Path(path), site, _NOISE[simulated]
        self.is_new = ledger_file.create(self.path, site, self.noise)
        ledger_file.probe(self.path)  # a round's work must not be lost for want of a place to note it
        self.events()

    def lookup(self, key: ReleaseKey | tuple[str, int, str, str, str]) -> bytes | None:
        """Return the stored bytes of a release that was already charged, to send them again; None if it wasn't."""
        found = self.stored(key)
        return None if found is None else found[1]

    def stored(self, key: ReleaseKey | tuple[str, int, str, str, str]) -> tuple[Charge, bytes] | None:
        """Return a release that was already charged: what it cost, and its stored bytes.

        Raises
        ------
        LedgerTrouble
            If the stored bytes are not the ones that were charged.
        """
        with ledger_file.reading(self.path) as db:
            numbers = {charge.key: charge for charge in self._charges(db)}
            charge = numbers.get(ReleaseKey(*key))
            if charge is None:
                return None
            row = db.execute("SELECT bytes FROM updates WHERE number = ?", (charge.number,)).fetchone()
        stored = b"" if row is None else bytes(row[0])
        if hashlib.sha256(stored).hexdigest() != charge.update_hash:
            raise LedgerTrouble(f"ledger {self.path}: the update of charge {charge.number} was altered; "
                                f"{ledger_file.RESTORE}")  # fmt: skip
        return charge, stored

    def charge(
        self, key: ReleaseKey, mechanism: Mechanism, steps: int, update: bytes, budgets: Sequence[Budget] = ()
    ) -> Charge:
        """Store `update` and its charge in one commit; only then may it be sent.

        The budgets are checked inside the same transaction, so that concurrent orders can't overspend.

        Raises
        ------
        Overspend
            If a budget would be exceeded.
        ChargedAlready
            If this key was charged before: resend what is `stored`.
        LedgerTrouble
            If the key is of another site, or the file fails.
        """
        if key.site != self.site:
            raise LedgerTrouble(
                f"ledger {self.path}: its site is '{self.site}', not '{key.site}'; use that site's own ledger"
            )
        with ledger_file.writing(self.path) as db:
            charges = self._charges(db)
            if any(charge.key == key for charge in charges):
                raise ChargedAlready(
                    f"ledger {self.path}: {key} is charged already; resend its stored update"
                )
            for budget in budgets:
                spending.refuse_overspend(charges, key.run_id, mechanism, steps, budget)
            digest = hashlib.sha256(update).hexdigest()
            draft = Charge(len(charges) + 1, key, mechanism, steps, time.time(), digest, "")
            charge = replace(draft, chain=link(head(charges), draft))
            ledger_file.insert(self.path, db, charge, update)
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
        charges = self.events()
        for budget in budgets:
            spending.refuse_overspend(charges, run_id, mechanism, steps, budget)

    def spent(self, delta: float, run_id: str | None = None) -> tuple[float | None, float]:
        """Return (epsilon for a window, epsilon for a participant) of a run, or of the file's lifetime."""
        return spending.spent(self.events(run_id), delta)

    def events(self, run_id: str | None = None) -> tuple[Charge, ...]:
        """Return the charges in order."""
        with ledger_file.reading(self.path) as db:
            charges = self._charges(db)
        return tuple(c for c in charges if run_id is None or c.key.run_id == run_id)

    def head(self) -> str:
        """Return the chain's last hash."""
        return head(self.events())

    def _charges(self, db: sqlite3.Connection) -> tuple[Charge, ...]:
        found = ledger_file.about(db, "site")
        if found != self.site:
            raise LedgerTrouble(
                f"ledger {self.path}: its site is '{found}', not '{self.site}'; use that site's own ledger"
            )
        noise = ledger_file.about(db, "noise")
        if noise != self.noise:
            raise LedgerTrouble(
                f"ledger {self.path}: its noise is '{noise}', not '{self.noise}'; a simulation's and an institution's "
                "account are never one file"
            )
        return ledger_file.read_charges(self.path, db)


def _contents(path: Path, db: sqlite3.Connection) -> Contents:
    simulated = ledger_file.about(db, "noise") == _NOISE[True]
    return Contents(path, ledger_file.about(db, "site"), ledger_file.read_charges(path, db), simulated)


def read(path: Path) -> Contents:
    """Read a ledger without changing a byte of it.

    Raises
    ------
    LedgerTrouble
        If there is none, or its charges don't follow from one another.
    """
    with ledger_file.reading(path) as db:
        return _contents(path, db)


def verify(path: Path, noted_head: str | None = None) -> tuple[Contents, tuple[str, ...]]:
    """Recompute the chain and every update's hash.

    Parameters
    ----------
    noted_head
        A head noted earlier: one of the charges must still carry it.

    Returns
    -------
    tuple
        The contents, and what is odd about them without being wrong.

    Raises
    ------
    LedgerTrouble
        Naming the first charge that doesn't fit.
    """
    with ledger_file.reading(path) as db:
        contents = _contents(path, db)
        left = {charge.number: charge.update_hash for charge in contents.charges}
        for number, update in db.execute("SELECT number, bytes FROM updates ORDER BY number"):
            if left.pop(number, None) != hashlib.sha256(update).hexdigest():
                raise LedgerTrouble(f"ledger {path}: the update of charge {number} was altered, or its charge "
                                    f"removed; {ledger_file.RESTORE}")  # fmt: skip
    if left:
        raise LedgerTrouble(
            f"ledger {path}: the update of charge {min(left)} was removed; {ledger_file.RESTORE}"
        )
    heads = [START, *(charge.chain for charge in contents.charges)]
    if noted_head is not None and noted_head not in heads:
        raise LedgerTrouble(f"ledger {path}: the noted head {noted_head[:12]} is not in its chain: charges were cut "
                            f"off or replaced; {ledger_file.RESTORE}")  # fmt: skip
    notes = [f"the clock went back before charge {number}" for number in clock_steps_back(contents.charges)]
    if noted_head is not None and noted_head != heads[-1]:
        notes.append(f"{len(heads) - 1 - heads.index(noted_head)} charges since the noted head")
    return contents, tuple(notes)
