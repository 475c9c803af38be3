"""What an institution allows over its ledger's life, whatever the server asks for."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from client import private_round
from client.app import admit
from client.budget import charge_unbounded, lifetime, open_ledger
from client.ledger import Ledger, Overspend, verify
from client.order import Order
from client.policy import Policy
from client.private_round import train_privately
from client.site import Node
from transecg_core.config import RunConfig, parse
from transecg_core.model.heads import SiteModel, new_site_model, shared_state
from transecg_core.model.weights import digest
from transecg_core.training.local import TrainingSet, TrainLog

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = 20
COUNTS = (20.0, 20.0 * 48)


def config(**changes: object) -> RunConfig:
    options = {
        "cohort": "node", "sites": "hospital-a,hospital-b", "privacy": "participant", "tasks": "sex", "patch": 10,
        "num-server-rounds": 2, "local-steps": 1, "target-epsilon": 4.0, "start": "random",
    }  # fmt: skip
    return parse(options | {key.replace("_", "-"): value for key, value in changes.items()})


def node(folder: Path, max_epsilon: float | None) -> Node:
    policy = None if max_epsilon is None else Policy(max_lifetime_epsilon=max_epsilon)
    return Node(0, 1, "hospital-a", "ludb", folder, folder / "ledger.sqlite", PEOPLE, policy)


def order(run: str, number: int = 1) -> Order:
    return Order("hospital-a", number, run, None)


def data() -> TrainingSet:
    generator = torch.Generator().manual_seed(0)
    person = torch.arange(PEOPLE).repeat_interleave(2)
    return TrainingSet(torch.randn(40, 200, generator=generator), person, {"sex": person % 2})


def model(seed: int = 0, tasks: tuple[str, ...] = ("sex",), slots: int = 2) -> SiteModel:
    return new_site_model(10, tasks, seed, slots)


def spent(here: Node) -> float:
    found = lifetime(here, config(), Ledger(here.ledger or "", "hospital-a"))
    assert found is not None
    return found[0]


def test_the_lifetime_budget_outlives_runs(tmp_path: Path) -> None:
    here = node(tmp_path, max_epsilon=4.5)
    done = [train_privately(config(), here, model(k), data(), order("1", k), COUNTS) for k in (1, 2)]
    assert done[1].lifetime is not None
    after, events = done[1].lifetime
    assert events == 2
    assert 3.5 < after <= 4.0  # the whole run's target, for a person
    with pytest.raises(Overspend, match="lifetime"):
        train_privately(config(), here, model(3), data(), order("2"), COUNTS)
    assert spent(here) <= 4.0


def test_a_retry_sends_the_stored_bytes_without_a_new_charge(tmp_path: Path) -> None:
    here = node(tmp_path, max_epsilon=8.0)
    first, again = (train_privately(config(), here, model(), data(), order("1"), COUNTS) for _ in range(2))
    assert digest(first.shared) == digest(again.shared)
    assert again.lifetime is not None
    assert again.lifetime[1] == 1


def test_a_resend_reports_what_was_charged_not_what_the_run_says_now(tmp_path: Path) -> None:
    here, weaker = node(tmp_path, 8.0), config(target_epsilon=8.0, local_steps=3)
    first = train_privately(config(), here, model(), data(), order("1"), COUNTS)
    again = train_privately(weaker, here, model(), data(), order("1"), COUNTS)
    (charge,) = verify(tmp_path / "ledger.sqlite")[0].charges
    assert (
        (again.mechanism, again.steps) == (first.mechanism, first.steps) == (charge.mechanism, charge.steps)
    )
    (another := tmp_path / "another").mkdir()
    other = train_privately(weaker, node(another, 8.0), model(), data(), order("1"), COUNTS)
    assert (other.mechanism, other.steps) != (
        first.mechanism,
        first.steps,
    )  # it would have been another round


def test_the_same_order_twice_at_once_is_charged_once_and_sends_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one trains, its twin is trained, charged and sent; the noise of the two differs."""
    here, train, twins = node(tmp_path, 8.0), private_round._train, []

    def overtaken(*arguments: Any) -> TrainLog:
        if not twins:
            twins.append(None)
            twins[0] = train_privately(config(), here, model(), data(), order("1"), COUNTS)
        return train(*arguments)

    monkeypatch.setattr(private_round, "_train", overtaken)
    late = train_privately(config(), here, model(), data(), order("1"), COUNTS)
    assert digest(late.shared) == digest(twins[0].shared)
    assert len(verify(tmp_path / "ledger.sqlite")[0].charges) == 1


def test_the_last_round_can_be_asked_again_though_nothing_more_would_fit(tmp_path: Path) -> None:
    here = node(tmp_path, max_epsilon=4.0)
    for k in (1, 2):
        last = train_privately(config(), here, model(k), data(), order("1", k), COUNTS)
    again = train_privately(config(), here, model(2), data(), order("1", 2), COUNTS)
    assert digest(again.shared) == digest(last.shared)
    with pytest.raises(Overspend):
        train_privately(config(), here, model(3), data(), order("1", 2), COUNTS)


def test_a_retry_restores_the_head_that_stays_too(tmp_path: Path) -> None:
    both = config(tasks="sex,participant", participant_slots=8)
    here, people = node(tmp_path, 8.0), data()
    people.targets["participant"] = people.participant_N % 8
    first, again = (
        train_privately(both, here, model(0, ("participant", "sex"), 8), people, order("1"), COUNTS)
        for _ in range(2)
    )
    assert first.local
    assert all("participant" in name for name in first.local)
    assert not [name for name in first.shared if "participant" in name]
    assert digest(first.local) == digest(again.local)
    untrained = model(0, ("participant", "sex"), 8).state_dict()
    assert digest(first.local) != digest({name: untrained[name] for name in first.local})


def test_a_run_that_could_not_finish_is_refused_in_its_first_round(tmp_path: Path) -> None:
    """Some of its rounds would fit, the run doesn't: refused before anything is read, trained or charged."""
    here, long = node(tmp_path, max_epsilon=3.5), config(num_server_rounds=4)
    for ask in (
        lambda: admit(here, long, order("1", 0)),
        lambda: train_privately(long, here, model(), data(), order("1"), COUNTS),
    ):
        with pytest.raises(Overspend, match=r"; [1-3] of 4 rounds would fit") as error:
            ask()
        assert error.value.code == "budget: lifetime"
    assert verify(tmp_path / "ledger.sqlite")[0].charges == ()
    admit(here, config(num_server_rounds=4, target_epsilon=3.5), order("1", 0))


def test_a_run_s_description_may_be_asked_again_half_way(tmp_path: Path) -> None:
    here = node(tmp_path, max_epsilon=4.0)
    train_privately(config(), here, model(), data(), order("1"), COUNTS)
    admit(here, config(), order("1", 0))  # one round is left, not two
    with pytest.raises(Overspend, match="lifetime"):
        admit(here, config(), order("2", 0))


def test_a_round_without_a_guarantee_makes_the_lifetime_infinite_for_good(tmp_path: Path) -> None:
    free = node(tmp_path, max_epsilon=None)
    plain = config(noise="off")
    admit(free, plain, order("1", 0))
    assert charge_unbounded(free, plain, order("1"), shared_state(model())) == (math.inf, 1)
    with pytest.raises(Overspend, match="inf"):
        train_privately(config(), node(tmp_path, 1000.0), model(), data(), order("2"), COUNTS)


def test_a_budgeted_institution_releases_nothing_without_a_guarantee(tmp_path: Path) -> None:
    plain = config(noise="off")
    with pytest.raises(Overspend, match="allows no round without a guarantee") as error:
        admit(node(tmp_path, 8.0), plain, order("1", 0))
    assert error.value.code == "budget: guarantee"
    assert not (tmp_path / "ledger.sqlite").exists()
    with pytest.raises(Overspend, match="epsilon to inf"):  # had the first question not been asked
        train_privately(plain, node(tmp_path, 8.0), model(), data(), order("1"), COUNTS)
    assert verify(tmp_path / "ledger.sqlite")[0].charges == ()


def test_concurrent_orders_with_different_weights_do_not_overspend(tmp_path: Path) -> None:
    here, refused, sent = node(tmp_path, None), [], []

    def ask(seed: int) -> None:
        try:
            sent.append(train_privately(config(), here, model(seed), data(), order("1"), COUNTS))
        except Overspend:
            refused.append(seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == 2  # the run's epsilon pays for two rounds
    assert len(refused) == 2
    assert spent(here) <= 4.0


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("client.budget", "client.private_round"):
        monkeypatch.setattr(f"{module}.inside_simulation", lambda: True)


@pytest.mark.usefixtures("simulated")
def test_a_simulated_site_keeps_one_ledger_over_runs_where_it_is_told_to(tmp_path: Path) -> None:
    """The run's budget forgets the run before; the lifetime does not."""
    kept = config(cohort="synthetic", sites="auto", ledger=str(tmp_path / "kept"))
    fresh = config(cohort="synthetic", sites="auto")
    for run in ("1", "2"):
        (tmp_path / run).mkdir()
        for k in (1, 2):
            there = Order("synth-a", k, run, tmp_path / run)
            done = train_privately(kept, Node(0, 1), model(k), data(), there, COUNTS)
            assert train_privately(fresh, Node(0, 1), model(k), data(), there, COUNTS).lifetime is None
    life = open_ledger(Node(0, 1), kept, there)
    assert done.lifetime == (life.spent(kept.delta)[1], 4)
    assert life.spent(kept.delta, "1")[1] <= 4.0 < done.lifetime[0]
    assert len(verify(tmp_path / "2" / "ledger" / "synth-a.sqlite")[0].charges) == 2
    off = config(cohort="synthetic", sites="auto", ledger=str(tmp_path / "kept"), noise="off")
    train_privately(off, Node(0, 1), model(), data(), Order("synth-a", 1, "3", tmp_path / "2"), COUNTS)
    assert lifetime(Node(0, 1), kept, life) == (math.inf, 5)


DYING = """
import os, signal, sys
from pathlib import Path
import pytest
sys.path.insert(0, sys.argv[1])
from client import ledger_file
import test_budget as t
insert, when = ledger_file.insert, sys.argv[3]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if when == "before":  # the update is written, its commit isn't
    ledger_file.insert = lambda *arguments: (insert(*arguments), die())
here = t.node(Path(sys.argv[2]), 8.0)
sent = t.train_privately(t.config(), here, t.model(), t.data(), t.order("1"), t.COUNTS)
Path(sys.argv[2], "digest").write_text(t.digest(sent.shared))
die()  # after the commit: nothing was sent
"""


@pytest.mark.audit
@pytest.mark.parametrize(("when", "charged"), [("before", 0), ("after", 1)])
def test_a_kill_between_charge_and_send_never_undercounts(tmp_path: Path, when: str, charged: int) -> None:
    """Killed before the commit: nothing was sent, nothing is owed. After it: charged, and resent as it was."""
    argv = [sys.executable, "-c", DYING, str(Path(__file__).parent), str(tmp_path), when]
    assert (
        subprocess.run(argv, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode
        == -signal.SIGKILL
    )
    assert len(verify(tmp_path / "ledger.sqlite")[0].charges) == charged
    again = train_privately(config(), node(tmp_path, 8.0), model(), data(), order("1"), COUNTS)
    contents, _ = verify(tmp_path / "ledger.sqlite")
    assert len(contents.charges) == 1
    assert again.lifetime is not None
    assert again.lifetime[1] == 1
    if when == "after":
        assert digest(again.shared) == (tmp_path / "digest").read_text()
