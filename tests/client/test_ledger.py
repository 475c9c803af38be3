"""The ledger: one commit per release, safe retries, refusals, and edits that show."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from client.ledger import Budget, Charge, Ledger, Overspend, ReleaseKey
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
    ledger.charge(*key(), PERSON, 40, b"update")
    assert Ledger(ledger.path, site="synth-a").lookup(key()) == b"update"
    with pytest.raises(UserError, match="charged already"):
        ledger.charge(*key(), PERSON, 40, b"another update")
    assert ledger.lookup(key()) == b"update"
    assert len(ledger.events()) == 1


def test_anything_else_is_a_new_charge(ledger: Ledger) -> None:
    others = [key(), key(2), key(inputs="w1"), key(run="again"), key()._replace(code_hash="new code")]
    for k in others:
        assert ledger.lookup(k) is None
        ledger.charge(*k, PERSON, 40, b"update")
    assert ledger.spent(DELTA)[1] == epsilon([(PERSON, 200)], DELTA)
    assert ledger.spent(DELTA, run_id="run")[1] == epsilon([(PERSON, 160)], DELTA)
    assert [c.key for c in ledger.events()] == others


def test_rounds_compose_and_a_per_round_reset_would_show(ledger: Ledger) -> None:
    for round_ in range(1, 13):
        ledger.charge(*key(round_), WINDOW, 40, b"update")
    window, person = ledger.spent(DELTA)
    assert window == epsilon([(WINDOW, 480)], DELTA)
    assert window > 2 * epsilon([(WINDOW, 40)], DELTA)
    assert person > 5 * window


def test_window_epsilon_is_none_beside_a_participant_charge(ledger: Ledger) -> None:
    assert ledger.spent(DELTA) == (0.0, 0.0)
    ledger.charge(*key(1), WINDOW, 10, b"u")
    ledger.charge(*key(2), PERSON, 10, b"u")
    window, person = ledger.spent(DELTA)
    assert window is None
    assert person > epsilon([(PERSON, 10)], DELTA)


def test_projected_overspend_is_refused_and_charges_nothing(ledger: Ledger) -> None:
    life = [Budget(epsilon([(PERSON, 100)], DELTA), DELTA)]
    run = [Budget(life[0].epsilon, DELTA, scope="run")]
    mine = key(1)[0]
    ledger.refuse_overspend(mine, PERSON, 100, life)
    ledger.charge(*key(1), PERSON, 60, b"u", life)
    with pytest.raises(Overspend, match="lifetime"):
        ledger.refuse_overspend(mine, PERSON, 41, life)
    ledger.refuse_overspend(mine, PERSON, 40, life)
    ledger.refuse_overspend("a fresh run", PERSON, 100, run)  # the run's budget forgets other runs
    with pytest.raises(Overspend, match="lifetime"):
        ledger.refuse_overspend("a fresh run", PERSON, 100, [*run, *life])  # the lifetime's does not
    with pytest.raises(Overspend, match="nothing was charged"):
        ledger.charge(*key(2), PERSON, 41, b"u", run)
    assert len(ledger.events()) == 1
    ledger.charge(*key(2), PERSON, 40, b"u", life)


def test_no_noise_exceeds_every_budget(ledger: Ledger) -> None:
    with pytest.raises(Overspend):
        ledger.refuse_overspend("run", Mechanism("participant", 0.5, 0.0, 48), 1, [Budget(1e9, DELTA)])


def test_update_and_charge_commit_together_or_not_at_all(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.charge(*key(1), PERSON, 40, b"u")
    head = ledger.head()

    insert = Ledger._insert

    def interrupted(db: sqlite3.Connection, charge: Charge, update: bytes) -> None:
        insert(db, charge, update)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_insert", staticmethod(interrupted))
        with pytest.raises(KeyboardInterrupt):
            ledger.charge(*key(2), PERSON, 40, b"u")
    assert ledger.head() == head
    assert ledger.lookup(key(2)) is None
    ledger.charge(*key(2), PERSON, 40, b"u")
    ledger.verify()


def test_a_writer_killed_mid_transaction_leaves_the_ledger_as_it_was(ledger: Ledger) -> None:
    ledger.charge(*key(1), PERSON, 40, b"u")
    code = (
        "import sys, time\nfrom client.ledger import Ledger\n"
        "ledger = Ledger(sys.argv[1])\n"
        "with ledger._transaction() as db:\n"
        "    db.execute('DELETE FROM updates')\n"
        "    print('inside', flush=True)\n    time.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(ledger.path)], stdout=subprocess.PIPE, cwd=root, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "inside\n"
        os.kill(writer.pid, signal.SIGKILL)
    ledger.verify()
    assert len(ledger.events()) == 1
    ledger.charge(*key(2), PERSON, 40, b"u")


def test_two_writers_at_once_lose_nothing_and_never_overspend(ledger: Ledger) -> None:
    budget = Budget(epsilon([(PERSON, 50)], DELTA), DELTA)
    refused = []

    def write(run: str) -> None:
        for round_ in range(1, 5):
            try:
                Ledger(ledger.path).charge(*key(round_, run), PERSON, 10, b"u", [budget])
            except Overspend:
                refused.append(run)

    threads = [threading.Thread(target=write, args=(run,)) for run in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.events()) == 5
    assert len(refused) == 3
    ledger.verify()


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE charges SET steps = 1 WHERE number = 2",
        "UPDATE charges SET sigma = 9.0 WHERE number = 1",
        "UPDATE charges SET unix_time = 0 WHERE number = 3",
        "UPDATE charges SET input_hash = 'w9' WHERE number = 2",
        "DELETE FROM charges WHERE number = 2",
        "UPDATE updates SET bytes = x'00' WHERE number = 2",
        "DELETE FROM updates WHERE number = 3",
        "UPDATE charges SET number = 7 WHERE number = 3",
    ],
)
def test_an_edited_ledger_is_noticed(ledger: Ledger, edit: str) -> None:
    for round_ in (1, 2, 3):
        ledger.charge(*key(round_), PERSON, 40, b"update")
    ledger.verify()
    with sqlite3.connect(ledger.path) as db:
        db.execute(edit)
    db.close()
    with pytest.raises(UserError, match=r"charge [1-3] was altered or removed"):
        ledger.verify()


def test_an_altered_stored_update_is_not_sent(ledger: Ledger) -> None:
    ledger.charge(*key(), PERSON, 40, b"update")
    with sqlite3.connect(ledger.path) as db:
        db.execute("UPDATE updates SET bytes = x'00'")
    db.close()
    with pytest.raises(UserError, match="altered"):
        ledger.lookup(key())


def test_the_head_shows_charges_cut_off_the_end(ledger: Ledger) -> None:
    for round_ in (1, 2):
        ledger.charge(*key(round_), PERSON, 40, b"update")
    noted = ledger.head()
    with sqlite3.connect(ledger.path) as db:
        db.execute("DELETE FROM charges WHERE number = 2")
    db.close()
    ledger.verify()
    assert ledger.head() != noted


def test_a_clock_that_goes_backwards_changes_no_sum(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.charge(*key(1), PERSON, 40, b"u")
    monkeypatch.setattr("client.ledger.time.time", lambda: 0.0)
    ledger.charge(*key(2), PERSON, 40, b"u")
    assert ledger.spent(DELTA)[1] == epsilon([(PERSON, 80)], DELTA)
    ledger.verify()


def test_another_site_s_ledger_is_refused(ledger: Ledger) -> None:
    with pytest.raises(UserError, match="its site is 'synth-a', not 'synth-b'"):
        Ledger(ledger.path, site="synth-b")


def test_files_that_are_no_ledger_get_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"not a database" * 100)
    for path in (tmp_path / "text", tmp_path / "missing" / "ledger.sqlite", tmp_path):
        with pytest.raises(UserError) as error:
            Ledger(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_a_truncated_ledger_is_refused(ledger: Ledger) -> None:
    ledger.charge(*key(), PERSON, 40, b"u" * 20_000)
    data = ledger.path.read_bytes()
    ledger.path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"ledger\.sqlite"):
        ledger.lookup(key())


def test_a_locked_ledger_is_refused_after_waiting(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.ledger._WAIT_S", 0.1)
    holder = sqlite3.connect(ledger.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(UserError, match="locked"):
            ledger.charge(*key(), PERSON, 40, b"u")
    finally:
        holder.close()
    assert ledger.events() == ()
