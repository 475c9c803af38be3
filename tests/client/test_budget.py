"""What an institution allows over its ledger's life, whatever the server asks for."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest
import torch

from client.budget import charge_unbounded, digest, lifetime, refuse_unbounded
from client.ledger import Ledger, Overspend
from client.order import Order
from client.private_round import train_privately
from client.site import Node
from transecg_core.config import RunConfig, parse
from transecg_core.model.heads import SiteModel, new_site_model, shared_state
from transecg_core.training.local import TrainingSet

COUNTS = (20.0, 20.0 * 48)


def config(**changes: object) -> RunConfig:
    options = {
        "cohort": "node", "sites": "hospital-a,hospital-b", "privacy": "participant", "tasks": "sex", "patch": 10,
        "num-server-rounds": 2, "local-steps": 1, "target-epsilon": 4.0,
    }  # fmt: skip
    return parse(options | {key.replace("_", "-"): value for key, value in changes.items()})


def node(folder: Path, max_epsilon: float | None) -> Node:
    return Node(0, 1, "hospital-a", "ludb", folder, folder / "ledger.sqlite", 20, max_epsilon)


def order(run: str, number: int = 1) -> Order:
    return Order("hospital-a", number, run, None)


def data() -> TrainingSet:
    generator = torch.Generator().manual_seed(0)
    person = torch.arange(20).repeat_interleave(2)
    return TrainingSet(torch.randn(40, 200, generator=generator), person, {"sex": person % 2})


def model(seed: int = 0) -> SiteModel:
    return new_site_model(10, ("sex",), seed)


def test_the_lifetime_budget_outlives_runs(tmp_path: Path) -> None:
    here = node(tmp_path, max_epsilon=4.5)
    done = [train_privately(config(), here, model(k), data(), order("1", k), COUNTS) for k in (1, 2)]
    assert done[1].lifetime is not None
    spent, events = done[1].lifetime
    assert events == 2
    assert 3.5 < spent <= 4.0  # the whole run's target, for a person
    with pytest.raises(Overspend, match="lifetime"):
        train_privately(config(), here, model(3), data(), order("2"), COUNTS)
    assert lifetime(here, Ledger(here.ledger or "", site="hospital-a"))[0] <= 4.0  # type: ignore[index]


def test_a_retry_sends_the_stored_bytes_without_a_new_charge(tmp_path: Path) -> None:
    here = node(tmp_path, max_epsilon=8.0)
    first, again = (train_privately(config(), here, model(), data(), order("1"), COUNTS) for _ in range(2))
    assert digest(first.shared) == digest(again.shared)
    assert again.lifetime is not None
    assert again.lifetime[1] == 1


@pytest.mark.parametrize("changes", [{"privacy": "participant", "noise": "off"}])
def test_a_budgeted_institution_trains_nothing_without_a_guarantee(tmp_path: Path, changes: dict) -> None:
    with pytest.raises(Overspend, match="max-epsilon=8 allows no round without a guarantee"):
        train_privately(config(**changes), node(tmp_path, 8.0), model(), data(), order("1"), COUNTS)
    with pytest.raises(Overspend, match="privacy=participant"):
        refuse_unbounded(node(tmp_path, 8.0), order("1"))
    assert not (tmp_path / "ledger.sqlite").exists()


def test_a_round_without_a_guarantee_makes_the_lifetime_infinite_for_good(tmp_path: Path) -> None:
    free = node(tmp_path, max_epsilon=None)
    refuse_unbounded(free, order("1"))
    assert charge_unbounded(free, order("1"), shared_state(model())) == (math.inf, 1)
    with pytest.raises(Overspend, match="inf"):
        train_privately(config(), node(tmp_path, 1000.0), model(), data(), order("2"), COUNTS)


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
    assert lifetime(here, Ledger(here.ledger or "", site="hospital-a"))[0] <= 4.0  # type: ignore[index]
