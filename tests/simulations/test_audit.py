"""``transecg audit RUN_FOLDER``: a report against its ledgers; and the client's own books."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer

from client.ledger import Ledger, ReleaseKey
from simulations.commands import audit
from simulations.recounted import client_book, run_books
from transecg_core.errors import UserError
from transecg_core.privacy.accounting import Mechanism, epsilon, epsilon_participant
from transecg_core.privacy.audit.recount import recount

DELTA = 1e-5
PERSON = Mechanism("participant", 0.4, 2.0, 8)
WINDOW = Mechanism("window", 0.1, 2.0, 4)


def finished_run(folder: Path, mechanism: Mechanism, **changed: Any) -> Path:
    (folder / "ledger").mkdir(parents=True)
    ledger = Ledger(folder / "ledger" / "synth-a.sqlite", "synth-a")
    for number in (1, 2, 3):
        ledger.charge(ReleaseKey("run", number, "synth-a", "code", f"w{number}"), mechanism, 4, b"update")
    charges = [(mechanism, 12)]
    row = {
        "name": "synth-a", "sigma": mechanism.sigma, "q": mechanism.q, "steps": 12, "delta": DELTA,
        "max_windows_per_participant": mechanism.max_windows,
        "epsilon_participant": epsilon_participant(charges, DELTA),
        "epsilon_window": epsilon(charges, DELTA) if mechanism.unit == "window" else None,
        **changed,
    }  # fmt: skip
    privacy = {"unit": mechanism.unit, "accountant": "PLD", "sites": [row]}
    (folder / "report.json").write_text(json.dumps({"privacy": privacy}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("mechanism", "claims"), [(PERSON, 1), (WINDOW, 2)])
def test_a_right_run_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mechanism: Mechanism, claims: int
) -> None:
    audit.command(finished_run(tmp_path / "run", mechanism), 1, True)
    body = json.loads(capsys.readouterr().out)
    assert [claim["holds"] for claim in body["claims"]] == [True] * claims
    assert body["passed"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"epsilon_participant": epsilon([(PERSON, 4)], DELTA)}, "NO"),  # one round's, sold as the run's
        ({"steps": 8}, "steps: the report says 8, the ledger 12"),
        ({"sigma": 4.0}, "sigma: the report says 4.0, the ledger 2.0"),
        ({"q": 0.2}, "q: the report says 0.2, the ledger 0.4"),
    ],
)
def test_a_wrong_report_ends_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(typer.Exit) as left:
        audit.command(finished_run(tmp_path / "run", PERSON, **changed), 1, False)
    assert left.value.exit_code == 1
    assert words in capsys.readouterr().out


def test_what_cannot_be_recounted_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no report\.json"):
        run_books(tmp_path)
    (tmp_path / "report.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="not a report"):
        run_books(tmp_path)
    (tmp_path / "report.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="not readable"):
        run_books(tmp_path)
    plain: dict[str, Any] = {"privacy": {"unit": "none", "accountant": None, "sites": []}}
    (tmp_path / "report.json").write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(UserError, match="claims no privacy"):
        run_books(tmp_path)


@pytest.mark.parametrize("harm", ["cut", "altered"])
def test_a_damaged_or_altered_ledger_contradicts_its_claim(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    folder = finished_run(tmp_path / "run", PERSON)
    path = folder / "ledger" / "synth-a.sqlite"
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    else:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE charges SET sigma = 9 WHERE number = 1")
    with pytest.raises(typer.Exit) as left:
        audit.command(folder, 1, True)
    assert left.value.exit_code == 1
    (claim,) = json.loads(capsys.readouterr().out)["claims"]
    assert not claim["holds"]
    assert "ledger" in str(claim)


def test_a_missing_ledger_is_refused(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run", PERSON)
    path = folder / "ledger" / "synth-a.sqlite"
    path.unlink()
    with pytest.raises(UserError, match="no ledger of site 'synth-a'"):
        run_books(folder)


def test_the_client_s_own_books_are_right() -> None:
    book = client_book()
    claim = recount(book)
    assert claim.holds, claim
    assert claim.lower_bound > 0.99 * book.claimed
