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
from transecg_core.report.folder import note_run

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


def outliving(folder: Path, number: int, *, sites: tuple[str, ...] = ("synth-a",), claims: int = 4) -> Path:
    """Return a run whose ledgers, in ``ledgers`` beside it, also hold another run; `claims` of steps a round."""
    (folder / "ledgers").mkdir(parents=True, exist_ok=True)
    run = finished_run(folder / f"run-{number}", PERSON)
    report = json.loads((run / "report.json").read_text())
    (row,) = report["privacy"]["sites"]
    rows = []
    for site in sites:
        ledger = Ledger(folder / "ledgers" / f"{site}.sqlite", site)
        for key, steps in ((str(number), claims), ("77", 9)):
            for one in (1, 2, 3):
                name = key if key != "77" else f"77{number}"
                ledger.charge(ReleaseKey(name, one, site, "code", f"w{one}"), PERSON, steps, b"update")
        life = {"epsilon_participant": 1.0, "events": len(ledger.events())}
        rows.append({**row, "name": site, "lifetime": life})
    report["privacy"]["sites"] = rows
    (run / "report.json").write_text(json.dumps(report), encoding="utf-8")
    (run / "ledger" / "synth-a.sqlite").unlink()
    note_run(run, number)
    return run


def test_of_ledgers_that_outlive_their_runs_only_the_run_s_own_charges_count(tmp_path: Path) -> None:
    runs = [outliving(tmp_path, number) for number in (31, 32)]
    for run in runs:
        (book,) = run_books(run, tmp_path / "ledgers")
        assert book.charges == ((PERSON, 4),) * 3
        assert recount(book).holds
    assert len(Ledger(tmp_path / "ledgers" / "synth-a.sqlite", "synth-a").events()) == 12


def test_a_claim_below_the_run_s_own_charges_in_a_lifetime_ledger_is_caught(tmp_path: Path) -> None:
    run = outliving(tmp_path, 31, claims=5)
    (book,) = run_books(run, tmp_path / "ledgers")
    assert book.problems == ("steps: the report says 12, the ledger 15",)
    assert not recount(book).holds


def test_a_lifetime_ledger_that_lost_charges_is_caught(tmp_path: Path) -> None:
    run = outliving(tmp_path, 31)
    later = json.loads((run / "report.json").read_text())
    later["privacy"]["sites"][0]["lifetime"]["events"] = 7
    (run / "report.json").write_text(json.dumps(later))
    (book,) = run_books(run, tmp_path / "ledgers")
    assert book.problems == ("the site counted 7 charges, its ledger holds 6: charges are missing",)


def test_one_site_s_ledger_recounts_its_own_row_and_says_so(tmp_path: Path) -> None:
    run = outliving(tmp_path, 31, sites=("synth-a", "synth-b", "synth-c"))
    (book,) = run_books(run, tmp_path / "ledgers" / "synth-b.sqlite")
    assert book.setting.startswith("site synth-b, 3 charges of run 31")
    assert book.notes == ("not recounted, for want of their ledgers: synth-a, synth-c",)
    strange = Ledger(tmp_path / "elsewhere.sqlite", "elsewhere")
    with pytest.raises(UserError, match="of site 'elsewhere', which is not in the run's report"):
        run_books(run, strange.path)


def test_another_site_s_ledger_under_a_site_s_name_contradicts_its_claim(tmp_path: Path) -> None:
    run = outliving(tmp_path, 31, sites=("synth-a", "synth-b"))
    (tmp_path / "ledgers" / "synth-b.sqlite").replace(tmp_path / "ledgers" / "synth-a.sqlite")
    outliving(tmp_path / "again", 31, sites=("synth-b",))
    (tmp_path / "again" / "ledgers" / "synth-b.sqlite").replace(tmp_path / "ledgers" / "synth-b.sqlite")
    a, b = run_books(run, tmp_path / "ledgers")
    assert "it is of site 'synth-b', not 'synth-a'" in a.problems[0]
    assert not b.problems


def test_without_the_run_s_number_or_its_ledgers_it_is_one_line(tmp_path: Path) -> None:
    run = outliving(tmp_path, 31)
    with pytest.raises(UserError, match="name it with --ledger"):
        run_books(run)
    with pytest.raises(UserError, match=r"no ledger of site 'synth-a' in .*nowhere"):
        run_books(run, tmp_path / "nowhere")
    (run / "run-id").unlink()
    with pytest.raises(UserError, match="run-id: no run number in it"):
        run_books(run, tmp_path / "ledgers")
    with pytest.raises(UserError, match="give its folder too"):
        audit.command(None, 1, False, tmp_path / "ledgers")


@pytest.mark.parametrize(
    ("missed", "charged", "holds"), [(1, 2, True), (1, 3, True), (2, 0, False), (3, 0, True)]
)
def test_planned_steps_of_missed_rounds_may_lack_in_the_ledger_and_are_named(
    tmp_path: Path, missed: int, charged: int, holds: bool
) -> None:
    run = finished_run(tmp_path / "run", PERSON)
    path = run / "ledger" / "synth-a.sqlite"
    path.unlink()
    if charged or missed < 3:
        ledger = Ledger(path, "synth-a")
        for number in range(charged):
            ledger.charge(ReleaseKey("run", number + 1, "synth-a", "code", "w"), PERSON, 4, b"update")
    report = json.loads((run / "report.json").read_text())
    absent = [{"synth-a": "no answer"} if number < missed else {} for number in range(3)]
    report["training"] = {"rounds": [{"round": n + 1, "absent": a} for n, a in enumerate(absent)]}
    (run / "report.json").write_text(json.dumps(report))
    (book,) = run_books(run)
    assert recount(book).holds == holds
    named = f"the report's 12 steps are planned; took part in {3 - missed} of 3 rounds, {4 * charged} steps are charged"
    assert book.notes == ((named,) if charged < 3 else ())


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
