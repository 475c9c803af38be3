"""The ledger: one commit per release, safe retries, refusals, and edits that show."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from client import ledger_file
from client.ledger import START, Budget, Charge, Ledger, Overspend, ReleaseKey, read, verify
from client.refusal import LedgerTrouble
from transecg_core.errors import UserError
from transecg_core.privacy.accounting import Mechanism, epsilon

PERSON = Mechanism("participant", 0.5, 4.0, 48)
WINDOW = Mechanism("window", 0.03, 2.0, 8)
DELTA = 1e-5


def key(round_: int = 1, run: str = "run", inputs: str = "w0") -> ReleaseKey:
    return ReleaseKey(run, round_, "synth-a", "code", inputs)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", site="synth-a")


def test_a_retry_gets_the_stored_bytes_without_a_new_charge(ledger: Ledger) -> None:
    assert ledger.lookup(key()) is None
    ledger.charge(key(), PERSON, 40, b"update")
    assert Ledger(ledger.path, site="synth-a").lookup(key()) == b"update"
    with pytest.raises(UserError, match="charged already"):
        ledger.charge(key(), PERSON, 40, b"another update")
    assert ledger.lookup(key()) == b"update"
    assert len(ledger.events()) == 1


def test_anything_else_is_a_new_charge(ledger: Ledger) -> None:
    others = [key(), key(2), key(inputs="w1"), key(run="again"), key()._replace(code_hash="new code")]
    for k in others:
        assert ledger.lookup(k) is None
        ledger.charge(k, PERSON, 40, b"update")
    assert ledger.spent(DELTA)[1] == epsilon([(PERSON, 200)], DELTA)
    assert ledger.spent(DELTA, run_id="run")[1] == epsilon([(PERSON, 160)], DELTA)
    assert [c.key for c in ledger.events()] == others


def test_rounds_compose_and_a_per_round_reset_would_show(ledger: Ledger) -> None:
    for round_ in range(1, 13):
        ledger.charge(key(round_), WINDOW, 40, b"update")
    window, person = ledger.spent(DELTA)
    assert window == epsilon([(WINDOW, 480)], DELTA)
    assert window > 2 * epsilon([(WINDOW, 40)], DELTA)
    assert person > 5 * window


def test_window_epsilon_is_none_beside_a_participant_charge(ledger: Ledger) -> None:
    assert ledger.spent(DELTA) == (0.0, 0.0)
    ledger.charge(key(1), WINDOW, 10, b"u")
    ledger.charge(key(2), PERSON, 10, b"u")
    window, person = ledger.spent(DELTA)
    assert window is None
    assert person > epsilon([(PERSON, 10)], DELTA)


def test_projected_overspend_is_refused_and_charges_nothing(ledger: Ledger) -> None:
    life = [Budget(epsilon([(PERSON, 100)], DELTA), DELTA)]
    run = [Budget(life[0].epsilon, DELTA, scope="run")]
    mine = key(1)[0]
    ledger.refuse_overspend(mine, PERSON, 100, life)
    ledger.charge(key(1), PERSON, 60, b"u", life)
    with pytest.raises(Overspend, match="lifetime"):
        ledger.refuse_overspend(mine, PERSON, 41, life)
    ledger.refuse_overspend(mine, PERSON, 40, life)
    ledger.refuse_overspend("a fresh run", PERSON, 100, run)  # the run's budget forgets other runs
    with pytest.raises(Overspend, match="lifetime"):
        ledger.refuse_overspend("a fresh run", PERSON, 100, [*run, *life])  # the lifetime's does not
    with pytest.raises(Overspend, match="nothing was charged"):
        ledger.charge(key(2), PERSON, 41, b"u", run)
    assert len(ledger.events()) == 1
    ledger.charge(key(2), PERSON, 40, b"u", life)


def test_no_noise_exceeds_every_budget(ledger: Ledger) -> None:
    with pytest.raises(Overspend):
        ledger.refuse_overspend("run", Mechanism("participant", 0.5, 0.0, 48), 1, [Budget(1e9, DELTA)])


def test_update_and_charge_commit_together_or_not_at_all(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.charge(key(1), PERSON, 40, b"u")
    head = ledger.head()

    insert = ledger_file.insert

    def interrupted(path: Path, db: sqlite3.Connection, charge: Charge, update: bytes) -> None:
        insert(path, db, charge, update)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger_file, "insert", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ledger.charge(key(2), PERSON, 40, b"u")
    assert ledger.head() == head
    assert ledger.lookup(key(2)) is None
    ledger.charge(key(2), PERSON, 40, b"u")
    verify(ledger.path)


def test_two_writers_at_once_lose_nothing_and_never_overspend(ledger: Ledger) -> None:
    budget = Budget(epsilon([(PERSON, 50)], DELTA), DELTA)
    refused = []

    def write(run: str) -> None:
        for round_ in range(1, 5):
            try:
                Ledger(ledger.path, "synth-a").charge(key(round_, run), PERSON, 10, b"u", [budget])
            except Overspend:
                refused.append(run)

    threads = [threading.Thread(target=write, args=(run,)) for run in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.events()) == 5
    assert len(refused) == 3
    verify(ledger.path)


EDITS = {
    "fewer steps": "UPDATE charges SET steps = 1 WHERE number = 2",
    "more noise": "UPDATE charges SET sigma = 9.0 WHERE number = 1",
    "another time": "UPDATE charges SET unix_time = 0 WHERE number = 3",
    "another input": "UPDATE charges SET input_hash = 'w9' WHERE number = 2",
    "removed": "DELETE FROM charges WHERE number = 2",
    "renumbered": "UPDATE charges SET number = 7 WHERE number = 3",
    "no unit": "UPDATE charges SET unit = 'nobody' WHERE number = 1",
    "no number": "UPDATE charges SET q = 'often' WHERE number = 1",
}


def edit(path: Path, statement: str) -> None:
    db = sqlite3.connect(path)
    db.executescript(statement)
    db.close()


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    for round_ in (1, 2, 3):
        ledger.charge(key(round_), PERSON, 40, f"update {round_}".encode())
    verify(ledger.path)
    return ledger


@pytest.mark.parametrize("what", sorted(EDITS))
def test_nothing_is_read_or_spent_from_an_edited_ledger(three: Ledger, what: str) -> None:
    edit(three.path, EDITS[what])
    before = three.path.read_bytes()
    for ask in (
        lambda: verify(three.path),
        lambda: read(three.path),
        lambda: Ledger(three.path, "synth-a"),
        lambda: three.spent(DELTA),
        lambda: three.charge(key(4), PERSON, 40, b"u"),
    ):
        with pytest.raises(UserError, match=r"charge (\d was altered|is not readable)") as error:
            ask()
        assert "\n" not in str(error.value)
    assert three.path.read_bytes() == before


@pytest.mark.parametrize(
    "statement", ["UPDATE updates SET bytes = x'00' WHERE number = 2", "DELETE FROM updates WHERE number = 2"]
)
def test_an_altered_stored_update_is_not_sent(three: Ledger, statement: str) -> None:
    edit(three.path, statement)
    with pytest.raises(UserError, match=r"the update of charge 2 was (altered|removed)"):
        verify(three.path)
    with pytest.raises(UserError, match="charge 2 was altered"):
        three.lookup(key(2))
    assert three.lookup(key(1)) == b"update 1"


def test_a_noted_head_shows_charges_cut_off_the_end(three: Ledger) -> None:
    noted, earlier = three.head(), three.events()[0].chain
    assert verify(three.path, noted)[1] == ()
    assert verify(three.path, earlier)[1] == ("2 charges since the noted head",)
    assert verify(three.path, START)[1] == ("3 charges since the noted head",)
    edit(three.path, "DELETE FROM updates WHERE number = 3; DELETE FROM charges WHERE number = 3")
    verify(three.path)  # the chain alone can't know
    with pytest.raises(UserError, match="charges were cut off"):
        verify(three.path, noted)


def test_a_cut_that_leaves_its_update_behind_is_noticed_at_once(three: Ledger) -> None:
    edit(three.path, "DELETE FROM charges WHERE number = 3")
    with pytest.raises(UserError, match="update of charge 3 was altered, or its charge removed"):
        verify(three.path)


def test_a_clock_that_goes_backwards_changes_no_sum_and_is_noted(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.charge(key(1), PERSON, 40, b"u")
    monkeypatch.setattr("client.ledger.time.time", lambda: 0.0)
    ledger.charge(key(2), PERSON, 40, b"u")
    assert ledger.spent(DELTA)[1] == epsilon([(PERSON, 80)], DELTA)
    assert verify(ledger.path)[1] == ("the clock went back before charge 2",)


def test_another_site_s_ledger_is_refused(ledger: Ledger) -> None:
    before = ledger.path.read_bytes()
    with pytest.raises(UserError, match="its site is 'synth-a', not 'synth-b'"):
        Ledger(ledger.path, site="synth-b")
    with pytest.raises(UserError, match="its site is 'synth-a', not 'synth-b'"):
        ledger.charge(key()._replace(site="synth-b"), PERSON, 40, b"u")
    assert ledger.path.read_bytes() == before


FORGETFUL = """CREATE TRIGGER forget AFTER INSERT ON updates BEGIN
    DELETE FROM updates WHERE number = new.number; DELETE FROM charges WHERE number = new.number; END"""
CHEAPER = """CREATE TRIGGER cheaper AFTER INSERT ON updates BEGIN
    UPDATE charges SET sigma = 99 WHERE number = new.number; END"""
EMPTIED = """CREATE TRIGGER emptied AFTER INSERT ON updates BEGIN
    UPDATE updates SET bytes = x'' WHERE number = new.number; END"""
FOREIGN = {
    "trigger": FORGETFUL,
    "view": "CREATE VIEW v AS SELECT * FROM charges",
    "index": "CREATE INDEX i ON charges (sigma)",
    "table": "CREATE TABLE t (x)",
    "another constraint": """ALTER TABLE about RENAME TO old;
        CREATE TABLE about (key TEXT PRIMARY KEY ON CONFLICT REPLACE, value TEXT NOT NULL) WITHOUT ROWID;
        INSERT INTO about SELECT * FROM old; DROP TABLE old""",
}


@pytest.mark.parametrize("what", sorted(FOREIGN))
def test_a_ledger_with_anything_but_its_own_schema_is_refused(ledger: Ledger, what: str) -> None:
    edit(ledger.path, FOREIGN[what])
    before = ledger.path.read_bytes()
    for ask in (
        lambda: verify(ledger.path),
        lambda: Ledger(ledger.path, "synth-a"),
        lambda: ledger.charge(key(), PERSON, 40, b"u"),
    ):
        with pytest.raises(LedgerTrouble, match="is not as it was made"):
            ask()
    assert ledger.path.read_bytes() == before


@pytest.mark.parametrize("trigger", [FORGETFUL, CHEAPER, EMPTIED], ids=["forget", "cheaper", "emptied"])
def test_a_charge_that_is_not_kept_as_written_is_never_committed(
    ledger: Ledger, trigger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second line: it holds even where the schema isn't looked at."""
    edit(ledger.path, trigger)
    with monkeypatch.context() as patch:
        patch.setattr(ledger_file, "_check_kind", lambda *_: None)
        with pytest.raises(LedgerTrouble, match=r"charge 1 was (not kept as written|altered or removed)"):
            ledger.charge(key(), PERSON, 40, b"u")
    edit(ledger.path, f"DROP TRIGGER {trigger.split()[2]}")
    assert ledger.events() == ()
