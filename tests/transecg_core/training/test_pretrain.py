"""Pretraining on synthetic people: a public constant start, kept in a cache that can't go wrong silently."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from transecg_core.cohorts import pretraining_people, synthetic
from transecg_core.config import parse
from transecg_core.errors import UserError
from transecg_core.model.heads import load_shared, new_site_model, shared_state
from transecg_core.training import pretrain
from transecg_core.training.pretrain import (
    Pretraining,
    cache_path,
    load,
    pretrained_weights,
    starting_weights,
)
from transecg_core.utility import predict

SMALL = Pretraining(people=12, seconds=8.0, cap=4, steps=3, batch_size=8, learning_rate=1e-3, seed=5)
TASKS = ("sex", "age", "beat", "diagnosis")


def quiet(_: str) -> None:
    return None


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def small() -> dict[str, Tensor]:
    return pretrain.pretrain(10, SMALL)


def test_weights_follow_from_the_recipe_alone(small: dict[str, Tensor]) -> None:
    torch.manual_seed(99)
    assert equal(small, pretrain.pretrain(10, SMALL))
    assert not equal(small, pretrain.pretrain(10, replace(SMALL, seed=6)))


def test_synthetic_start_is_the_same_for_every_seed_and_random_is_not(
    small: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pretrain, "default_dir", lambda: tmp_path)
    pretrain._store(small, cache_path(10))
    options = {"patch": 10, "privacy": "participant"}
    zero, one = (starting_weights(parse({**options, "start": "synthetic", "seed": s}), quiet) for s in (0, 1))
    assert equal(zero, one)
    assert equal(zero, small)
    zero, one = (starting_weights(parse({**options, "start": "random", "seed": s}), quiet) for s in (0, 1))
    assert not equal(zero, one)


def test_start_holds_the_heads_of_the_run_and_never_a_participant_head(
    small: dict[str, Tensor], tmp_path: Path
) -> None:
    pretrain._store(small, cache_path(10, SMALL, tmp_path))
    tasks = ("participant", "beat")
    state = pretrained_weights(10, tasks, quiet, recipe=SMALL, cache_dir=tmp_path)
    model = new_site_model(10, tasks, 3, participants=7)
    assert list(state) == list(shared_state(model))
    assert {name.split(".")[1] for name in state if name.startswith("heads.")} == {"beat"}
    load_shared(model, state)


def test_second_start_reads_the_cache(tmp_path: Path) -> None:
    said: list[str] = []
    first = pretrained_weights(10, TASKS, said.append, recipe=SMALL, cache_dir=tmp_path)
    assert len(said) == 1
    second = pretrained_weights(10, TASKS, said.append, recipe=SMALL, cache_dir=tmp_path)
    assert len(said) == 1
    assert equal(first, second)
    assert [path.name for path in tmp_path.iterdir()] == [cache_path(10, SMALL, tmp_path).name]


def test_other_recipe_patch_or_code_is_another_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paths = {
        cache_path(10, SMALL, tmp_path),
        cache_path(5, SMALL, tmp_path),
        cache_path(10, replace(SMALL, steps=4), tmp_path),
    }
    monkeypatch.setattr(pretrain, "_code_version", lambda: "other code")
    paths.add(cache_path(10, SMALL, tmp_path))
    assert len(paths) == 4


def spoil_bytes(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def spoil_length(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def spoil_shape(path: Path) -> None:
    state = load_file(path)
    state["encoder.norm.bias"] = torch.zeros(3)
    save_file(state, path, {"sha256": pretrain._checksum(state)})


def spoil_finiteness(path: Path) -> None:
    state = load_file(path)
    state["encoder.norm.bias"][0] = float("nan")
    save_file(state, path, {"sha256": pretrain._checksum(state)})


def spoil_checksum(path: Path) -> None:
    save_file(load_file(path), path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "spoil", [spoil_bytes, spoil_length, spoil_shape, spoil_finiteness, spoil_checksum, empty]
)
def test_damaged_file_is_noticed_and_made_again(
    spoil: object, small: dict[str, Tensor], tmp_path: Path
) -> None:
    path = cache_path(10, SMALL, tmp_path)
    pretrain._store(small, path)
    assert load(path, 10) is not None
    spoil(path)  # type: ignore[operator]
    assert load(path, 10) is None
    said: list[str] = []
    state = pretrained_weights(10, TASKS, said.append, recipe=SMALL, cache_dir=tmp_path)
    assert "damaged" in said[0]
    assert equal(state, small)
    assert load(path, 10) is not None


def test_folder_that_cant_be_written_is_one_line(small: dict[str, Tensor], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UserError, match="TRANSECG_CACHE"):
        pretrain._store(small, blocked / "pretrained-0.safetensors")


def test_two_writers_and_a_reader_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pretrained-0.safetensors"
    states = [
        {
            name: torch.full_like(value, fill)
            for name, value in shared_state(new_site_model(10, TASKS, 0)).items()
        }
        for fill in (0.0, 0.5)
    ]

    def write(state: dict[str, Tensor]) -> None:
        for _ in range(10):
            pretrain._store(state, path)

    pretrain._store(states[0], path)
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, state) for state in states]
        seen = [load(path, 10)]
        while not all(writer.done() for writer in writers):
            seen.append(load(path, 10))
        for writer in writers:
            writer.result()
    assert all(state is not None and any(equal(state, whole) for whole in states) for state in seen)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_people_are_nobody_of_any_federation() -> None:
    """A person follows from seed and name: no run can have this seed, no site gives these names."""
    with pytest.raises(UserError, match="seed"):
        parse({"seed": pretrain.RECIPE.crowd.seed})
    people = list(pretraining_people.recordings(SMALL.crowd))
    assert len({recording.signal_mv.tobytes() for recording in people}) == SMALL.people
    assert pretraining_people.SITE not in synthetic.SITES


def test_training_windows_are_as_a_sites() -> None:
    data = pretrain.training_data(replace(SMALL, people=30))
    x_NL = data.x_NL.numpy()
    assert x_NL.dtype == np.float32
    assert np.allclose(x_NL.mean(axis=1), 0, atol=1e-4)
    assert np.allclose(x_NL.std(axis=1), 1, atol=1e-3)
    assert torch.bincount(data.participant_N).max() <= SMALL.cap
    for task in TASKS:
        seen = set(data.targets[task].tolist()) - {-100}
        assert seen == set(range(new_site_model(10, TASKS, 0).heads[task].out_features))  # type: ignore[arg-type]


@pytest.mark.audit
def test_pretrained_weights_know_beats_of_people_they_never_saw() -> None:
    """The shipped recipe, on others of its own crowd: .74 where guessing gives .33 and random weights little more."""
    model, blank = (new_site_model(10, TASKS, 0) for _ in range(2))
    load_shared(model, pretrained_weights(10, TASKS, quiet))
    test = pretrain.training_data(replace(pretrain.RECIPE, people=80, seed=77))
    truth = test.targets["beat"].numpy()
    known = truth >= 0
    recalls = [
        np.mean([(predict(m, test.x_NL.numpy(), "beat").argmax(1)[truth == c] == c).mean() for c in range(3)])
        for m in (model, blank)
    ]
    assert known.sum() > 500
    assert recalls[0] > 0.65
    assert recalls[1] < 0.5
