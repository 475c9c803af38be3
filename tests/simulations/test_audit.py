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
        for key, steps in (("77", 9), (str(number), claims)):
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


def logged(folder: Path, absent: list[str | None], rounds: list[tuple[int, Mechanism, int]]) -> Path:
    """Return a run of three rounds of four steps, with these absences and (round, mechanism, steps) in its ledger."""
    run = finished_run(folder / "run", PERSON)
    path = run / "ledger" / "synth-a.sqlite"
    path.unlink()
    if rounds:
        ledger = Ledger(path, "synth-a")
        for place, (number, mechanism, steps) in enumerate(rounds):
            key = ReleaseKey("run", number, "synth-a", "code", f"w{place}")
            ledger.charge(key, mechanism, steps, b"update")
    report = json.loads((run / "report.json").read_text())
    log = [
        {"round": n + 1, "absent": {} if why is None else {"synth-a": why}} for n, why in enumerate(absent)
    ]
    report["training"] = {"rounds": log}
    (run / "report.json").write_text(json.dumps(report))
    return run


NO = "no answer"


@pytest.mark.parametrize(
    ("absent", "charged"),
    [([NO, None, None], (2, 3)), ([NO, None, None], (1, 2, 3)), ([NO, NO, NO], ()), ([None] * 3, (1, 2, 3))],
)
def test_planned_steps_of_missed_rounds_may_lack_in_the_ledger_and_are_named(
    tmp_path: Path, absent: list[str | None], charged: tuple[int, ...]
) -> None:
    (book,) = run_books(logged(tmp_path, absent, [(number, PERSON, 4) for number in charged]))
    assert recount(book).holds
    if len(charged) == 3:
        assert book.notes == ()
    elif charged:
        said = "the report's 12 steps are planned; took part in 2 of 3 rounds, 8 steps are charged"
        assert book.notes == (said,)
    else:
        assert book.notes[0].startswith("nothing was recounted")


@pytest.mark.parametrize(
    ("absent", "rounds", "words"),
    [
        ([None] * 3, [(2, PERSON, 4), (2, PERSON, 4), (3, PERSON, 4)], "round 1: took part, and no charge"),
        ([None] * 3, [(2, PERSON, 4), (2, PERSON, 4), (3, PERSON, 4)], "round 2: charged 2 times"),
        ([None, None, NO], [(2, PERSON, 4), (3, PERSON, 4)], "round 1: took part, and no charge"),
        (
            ["refused: not finite", None, None],
            [(2, PERSON, 4), (3, PERSON, 4)],
            "round 1: took part, and no charge",
        ),
        ([NO, NO, "refused: too large"], [], "steps: the report says 12, the ledger 0"),
        ([None] * 3, [(1, PERSON, 4), (2, PERSON, 4), (4, PERSON, 4)], "round 4: charged, and the run has 3"),
        ([None] * 3, [(1, PERSON, 1), (2, PERSON, 4), (3, PERSON, 7)], "steps of a round: the report says 4"),
        (
            [None] * 3,
            [(1, PERSON, 4), (2, Mechanism("participant", 0.4, 20.0, 8), 4), (3, PERSON, 4)],
            "sigma: the report says 2.0, the ledger 20.0",
        ),
        (
            [None] * 3,
            [(1, PERSON, 4), (2, Mechanism("participant", 0.1, 2.0, 8), 4), (3, PERSON, 4)],
            "q: the report says 0.4, the ledger 0.1",
        ),
        (
            [None] * 3,
            [(1, PERSON, 4), (2, Mechanism("window", 0.4, 2.0, 8), 4), (3, PERSON, 4)],
            "unit: the report says participant, the ledger window",
        ),
    ],
)
def test_one_right_charge_hides_no_wrong_one_and_one_round_no_other(
    tmp_path: Path, absent: list[str | None], rounds: list[tuple[int, Mechanism, int]], words: str
) -> None:
    (book,) = run_books(logged(tmp_path, absent, rounds))
    assert any(problem.startswith(words) for problem in book.problems), book.problems
    assert not recount(book).holds


def shared(folder: Path, order: str, told: dict[str, float]) -> Path:
    """Return run 8 (three rounds of four steps); its simulated ledger holds a charge per digit of `order`, a run each."""
    run, path = finished_run(folder / "run", PERSON), folder / "ledgers" / "synth-a.sqlite"
    path.parent.mkdir()
    ledger, rounds = Ledger(path, "synth-a", simulated=True), {digit: 0 for digit in order}
    for digit in order:
        rounds[digit] += 1
        ledger.charge(ReleaseKey(digit, rounds[digit], "synth-a", "code", "w"), PERSON, 4, b"update")
    report = json.loads((run / "report.json").read_text())
    report["privacy"]["sites"][0]["lifetime"] = told
    (run / "report.json").write_text(json.dumps(report), encoding="utf-8")
    note_run(run, 8)
    return run


@pytest.mark.parametrize(
    ("order", "events", "right"),
    [
        ("777888", 6, True),
        ("888777", 3, True),
        ("787878", 6, True),
        ("878787", 6, True),
        ("888777", 6, False),
    ],
)
def test_the_last_charge_that_a_site_counted_is_this_runs_or_of_a_run_beside_it(
    tmp_path: Path, order: str, events: int, right: bool
) -> None:
    spent = epsilon_participant([(PERSON, 4 * events)], DELTA)
    run = shared(tmp_path, order, {"epsilon_participant": spent, "events": events})
    books = run_books(run, tmp_path / "ledgers")
    assert [recount(book).holds for book in books] == [right, True]  # the run's claim, and the lifetime's
    assert right or "is the number in run-id right?" in books[0].problems[0]


def test_a_lifetime_epsilon_below_what_the_charges_cost_is_caught(tmp_path: Path) -> None:
    run = shared(tmp_path, "777888", {"epsilon_participant": 0.001, "events": 6})
    claim, lifetime = (recount(book) for book in run_books(run, tmp_path / "ledgers"))
    assert claim.holds
    assert not lifetime.holds
    assert "its first 6 charges, all runs" in lifetime.setting


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
