"""Books for the recount that only a run can give: one kept by the client's own code, and a finished run's."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from client.ledger import Charge, Contents, Ledger, read, verify
from client.order import Order
from client.refusal import LedgerTrouble
from client.site import Node
from simulations.reconciled import Absences, contradictions, lifetime_problems, planned_only
from transecg_core.config import parse_text
from transecg_core.errors import UserError
from transecg_core.model.heads import new_site_model
from transecg_core.privacy.account import sampling
from transecg_core.privacy.accounting import Unit
from transecg_core.privacy.audit.books import idle_site
from transecg_core.privacy.audit.least import Charges
from transecg_core.privacy.audit.observe import Seen, watching
from transecg_core.privacy.audit.recount import Book
from transecg_core.report.folder import noted_run

_SITE = "audit"
_PEOPLE = 40.0
_OPTIONS = {
    "privacy": "participant", "num-server-rounds": "3", "local-steps": "4", "target-epsilon": "8",
    "trainable": "full", "batch-size": "64", "start": "random",
}  # fmt: skip


def client_book() -> Book:
    """Let the client's own round code train, charge and store at an idle site, and watch it."""
    from client.private_round import train_privately  # Opacus takes seconds to import

    cfg = parse_text(_OPTIONS)
    counts = (_PEOPLE, _PEOPLE * cfg.max_windows_per_participant)
    model = new_site_model(cfg.patch, ("sex",), 0)
    seen: list[Seen] = []
    with TemporaryDirectory() as folder:
        path = Ledger(Path(folder) / "ledger.sqlite", _SITE).path
        node = Node(0, 1, site=_SITE, ledger=path, people=int(_PEOPLE))
        for number in range(1, cfg.rounds + 1):
            with watching(cfg.clip_norm, sampling(cfg, *counts)[1]) as watch:
                train_privately(cfg, node, model, idle_site(), Order(_SITE, number, "audit", None), counts)
            seen.append(watch.seen)
        charges = _spent(read(path).charges)
    setting = f"client code and ledger, {cfg.rounds} rounds of {cfg.steps} steps, system generator, delta {cfg.delta:g}"
    return Book(setting, charges, cfg.target_epsilon, cfg.delta, seen=tuple(seen))


def run_books(folder: Path, ledgers: Path | None = None) -> list[Book]:
    """Return the books of a finished run: each site's ledger against its row in the report.

    Parameters
    ----------
    ledgers
        Where ledgers lie that outlive the run: a folder of ``SITE.sqlite``, or one site's file. Only the
        charges of this run count. None: the run folder's own, which hold nothing else.

    Raises
    ------
    UserError
        If the folder is no run's, the run claims nothing, or a ledger is missing. A damaged or altered one
        is no refusal: it contradicts its site's claim.
    """
    report = _report(folder)
    privacy = report["privacy"]
    if privacy["accountant"] is None:
        raise UserError(
            f"{folder}: the run claims no privacy (unit {privacy['unit']}); there is nothing to recount"
        )
    run = None if ledgers is None else noted_run(folder)
    rows, rounds = {row["name"]: row for row in privacy["sites"]}, _rounds(report)
    where, notes = _places(folder / "ledger" if ledgers is None else ledgers, rows)
    books = [
        _site_books(rows[site], privacy["unit"], path, run, tuple(absent.get(site) for absent in rounds))
        for site, path in where.items()
    ]
    return [replace(book, notes=(*book.notes, *notes)) for book in chain.from_iterable(books)]


def _places(ledgers: Path, sites: Collection[str]) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return site -> ledger below `ledgers`, and a note where that is one site's file and there are others."""
    if not ledgers.is_file():
        return {site: ledgers / f"{site}.sqlite" for site in sites}, ()
    site = read(ledgers).site
    if site not in sites:
        raise UserError(f"--ledger {ledgers}: it is of site '{site}', which is not in the run's report")
    others = sorted(set(sites) - {site})
    missing = (f"not recounted, for want of their ledgers: {', '.join(others)}",) if others else ()
    return {site: ledgers}, missing


def _site_books(
    row: Mapping[str, Any], unit: str, path: Path, run: str | None, absent: Absences
) -> list[Book]:
    """Return one book for the person, one for the window where that was the unit, and one for a told lifetime.

    Parameters
    ----------
    run
        Whose charges count; None: all, as they are all this run's.
    """
    if row["epsilon_participant"] is None:
        raise UserError(f"site '{row['name']}': the report claims no epsilon; there is nothing to recount")
    try:
        contents = _contents(row["name"], path, absent)
    except LedgerTrouble as trouble:
        setting = f"site {row['name']}, a ledger that can't be believed, delta {row['delta']:g}"
        problem = (str(trouble),)
        return [Book(setting, (), row["epsilon_participant"], row["delta"], problems=problem)]
    own = [charge for charge in contents.charges if run is None or charge.key.run_id == run]
    problems = contradictions(row, unit, own, absent)
    problems += () if run is None else lifetime_problems(row, run, contents.charges)
    notes = planned_only(row, own, absent)
    setting = (
        f"site {row['name']}, {len(own)} charges{'' if run is None else f' of run {run}'}, {row['steps']} steps"
        f"{', simulated noise' if contents.simulated else ''}"
    )
    units: list[tuple[Unit, str, str]] = [("participant", "a person", "epsilon_participant")]
    units += [("window", "a window", "epsilon_window")] if row["epsilon_window"] is not None else []
    books = [
        Book(f"{setting}, {words}, delta {row['delta']:g}", _spent(own), row[key], row["delta"], one,
             problems=problems, notes=notes)
        for one, words, key in units
    ]  # fmt: skip
    return books + ([] if run is None else _lifetime(row, contents))


def _lifetime(row: Mapping[str, Any], contents: Contents) -> list[Book]:
    """Return a book for what the site told of its ledger's whole life, where the delta of that is known.

    An institution's lifetime stands at a delta of its own, which no report holds.
    """
    told = row.get("lifetime")
    if told is None or told["epsilon_participant"] is None or not contents.simulated:
        return []
    charges = contents.charges[: told["events"]]
    setting = (
        f"site {row['name']}, its first {len(charges)} charges, all runs, a person, delta {row['delta']:g}"
    )
    return [Book(setting, _spent(charges), told["epsilon_participant"], row["delta"])]


def _contents(site: str, path: Path, absent: Absences) -> Contents:
    """Return what a site's ledger holds; nothing, where it never took part and so has none."""
    if path.is_file():
        contents, _ = verify(path)
        if contents.site != site:
            raise LedgerTrouble(f"ledger {path}: it is of site '{contents.site}', not '{site}'")
        return contents
    if absent and None not in absent:
        return Contents(path, site, ())
    raise UserError(
        f"no ledger of site '{site}' in {path.parent}; one that outlives its run (ledger=DIR, or an institution's) "
        "stays where it is: name it with --ledger"
    )


def _spent(charges: Sequence[Charge]) -> Charges:
    return tuple((charge.mechanism, charge.steps) for charge in charges)


def _report(folder: Path) -> dict[str, Any]:
    path = folder / "report.json"
    if not path.is_file():
        raise UserError(f"{folder}: no report.json in it; give the folder of a finished run")
    try:
        report: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable ({error}); give the folder of a finished run") from None
    privacy = report.get("privacy") if isinstance(report, dict) else None
    if not isinstance(privacy, dict) or not {"accountant", "unit", "sites"} <= privacy.keys():
        raise UserError(f"{path}: not a report of this program; give the folder of a finished run")
    return dict(report)


def _rounds(report: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return, round by round, the sites that were absent."""
    training = report.get("training")
    return [row["absent"] for row in training["rounds"]] if training else []
