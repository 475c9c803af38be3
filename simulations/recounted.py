"""Books for the recount that only a run can give: one kept by the client's own code, and a finished run's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from client.ledger import Ledger, read, verify
from client.order import Order
from client.refusal import LedgerTrouble
from client.site import Node
from transecg_core.config import parse_text
from transecg_core.errors import UserError
from transecg_core.model.heads import new_site_model
from transecg_core.privacy.account import sampling
from transecg_core.privacy.audit.books import idle_site
from transecg_core.privacy.audit.least import Charges
from transecg_core.privacy.audit.observe import Seen, watching
from transecg_core.privacy.audit.recount import Book

_SITE = "audit"
_PEOPLE = 40.0
_OPTIONS = {
    "privacy": "participant", "num-server-rounds": "3", "local-steps": "4", "target-epsilon": "8",
    "trainable": "full", "batch-size": "64", "start": "random",
}  # fmt: skip
_SAME = 1e-9
"""Part by which a number may change on its way through the report."""


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
        charges = _charges(path)
    setting = f"client code and ledger, {cfg.rounds} rounds of {cfg.steps} steps, system generator, delta {cfg.delta:g}"
    return Book(setting, charges, cfg.target_epsilon, cfg.delta, seen=tuple(seen))


def run_books(folder: Path) -> list[Book]:
    """Return the books of a finished run: each site's ledger in the run folder against its row in the report.

    Raises
    ------
    UserError
        If the folder is no run's, the run claims nothing, or a ledger is missing. A damaged or altered one
        is no refusal: it contradicts its site's claim.
    """
    privacy = _privacy(folder)
    if privacy["accountant"] is None:
        raise UserError(
            f"{folder}: the run claims no privacy (unit {privacy['unit']}); there is nothing to recount"
        )
    out = []
    for row in privacy["sites"]:
        path = folder / "ledger" / f"{row['name']}.sqlite"
        if not path.is_file():
            raise UserError(
                f"no ledger of site '{row['name']}' in {path.parent}; a ledger that outlives its run stays "
                "where it is: check it there with transecg budget verify"
            )
        try:
            contents, _ = verify(path)
            out += _site_books(row, _charges(path), contents.simulated)
        except LedgerTrouble as trouble:
            setting = f"site {row['name']}, a ledger that can't be believed, delta {row['delta']:g}"
            problem = (str(trouble),)
            out.append(Book(setting, (), row["epsilon_participant"], row["delta"], problems=problem))
    return out


def _site_books(row: Mapping[str, Any], charges: Charges, simulated: bool) -> list[Book]:
    """Return one book for the person, and one for the window where that was the unit."""
    if row["epsilon_participant"] is None:
        raise UserError(f"site '{row['name']}': the report claims no epsilon; there is nothing to recount")
    problems = _differences(row, charges)
    setting = f"site {row['name']}, {len(charges)} charges, {row['steps']} steps{', simulated noise' if simulated else ''}"
    books = [
        Book(f"{setting}, a person, delta {row['delta']:g}", charges, row["epsilon_participant"], row["delta"],
             problems=problems)
    ]  # fmt: skip
    if row["epsilon_window"] is not None:
        books.append(
            Book(f"{setting}, a window, delta {row['delta']:g}", charges, row["epsilon_window"], row["delta"],
                 "window", problems=problems)
        )  # fmt: skip
    return books


def _differences(row: Mapping[str, Any], charges: Charges) -> tuple[str, ...]:
    """Return where report and ledger say different things about what was run."""
    ledger = {
        "steps": sum(steps for _, steps in charges),
        "sigma": min((m.sigma for m, _ in charges), default=None),
        "q": max((m.q for m, _ in charges), default=None),
        "max_windows_per_participant": max((m.max_windows for m, _ in charges), default=None),
    }
    return tuple(
        f"{key}: the report says {row[key]}, the ledger {found}"
        for key, found in ledger.items()
        if found is None or row[key] is None or abs(row[key] - found) > _SAME * abs(found)
    )


def _charges(path: Path) -> Charges:
    return tuple((charge.mechanism, charge.steps) for charge in read(path).charges)


def _privacy(folder: Path) -> dict[str, Any]:
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
    return privacy
