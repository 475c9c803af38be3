"""Where training starts: random weights, or an encoder pretrained on synthetic people.

Noise hides small updates, so private training only works from a good start. This one costs no
privacy budget because it touches nobody's recording: people come from a public, frozen generator
(`transecg_core.cohorts.pretraining_people`), drawn apart from every federation's, with shifted
parameters. Two things must be said wherever its results are shown: aggregate figures of ECG-ID
and mitdb informed generator and recipe, and a federation of people from the same generator is
an easy case for it ("in-distribution pretraining, not evidence for real data").

The weights are a public constant: they depend on `RECIPE`, the patch length and the code, never on a
run's seed. They are made once per machine and kept in the cache folder as a safetensors file that
carries a checksum; a file that is damaged is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as deserialise
from safetensors.torch import save
from torch import Tensor

from transecg_core.cohorts.pretraining_people import Crowd, recordings
from transecg_core.cohorts.schema import BEATS, UNKNOWN, Recording, age_band
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.model.heads import load_shared, new_site_model, shared_state
from transecg_core.names import UTILITY_TASKS
from transecg_core.seeds import seed_for
from transecg_core.signals import preprocess, quality, rpeaks
from transecg_core.signals.cache import SCRATCH, default_dir, preprocessing_version
from transecg_core.signals.schema import R_OFFSET, WINDOW
from transecg_core.training.local import MISSING, TrainingSet, cosine, train_local

Say = Callable[[str], None]

PREFIX, SUFFIX = "pretrained-", ".safetensors"
_NAME = re.compile(rf"{PREFIX}[0-9a-f]{{32}}{re.escape(SUFFIX)}")
PATCHES = (5, 10)
"""Patch lengths that a run can have."""


@dataclass(frozen=True)
class Pretraining:
    """What the pretrained weights follow from, besides the code.

    Attributes
    ----------
    people, seconds
        Synthetic people, and the length of everybody's one record.
    cap
        Most windows of a person, ectopic beats first up to half of them.
    steps, batch_size, learning_rate
        As in `train_local`.
    seed
        Of people, initial weights, batches.
    """

    people: int
    seconds: float
    cap: int
    steps: int
    batch_size: int
    learning_rate: float
    seed: int

    @property
    def crowd(self) -> Crowd:
        """Who is trained on: apart from anybody a run's seed can draw."""
        return Crowd(self.people, self.seconds, seed_for(self.seed, "pretraining people"))


RECIPE = Pretraining(
    people=4000, seconds=12.0, cap=8, steps=1600, batch_size=64, learning_rate=2e-3, seed=20240
)
WARM_UP = 150
"""Steps in which the rate rises from 0: a transformer's first steps are its most fragile."""


def starting_weights(cfg: RunConfig, say: Say) -> dict[str, Tensor]:
    """Return the shared state that round 1 starts from, as `model.heads.shared_state` names it.

    Parameters
    ----------
    cfg
        ``start`` decides: ``random`` follows from the run's seed; ``synthetic`` is the same in every run.
    say
        Told when pretraining takes place, because it takes a minute.

    Raises
    ------
    UserError
        If the cache folder can't be written.
    """
    if cfg.start_from == "random":
        model = new_site_model(cfg.patch, cfg.task_names, seed_for(cfg.seed, "init"), participants=1)
        return shared_state(model)
    return pretrained_weights(cfg.patch, cfg.task_names, say)


def pretrained_weights(
    patch: int,
    tasks: tuple[str, ...],
    say: Say,
    *,
    recipe: Pretraining = RECIPE,
    cache_dir: Path | None = None,
) -> dict[str, Tensor]:
    """Return encoder and heads of `tasks` pretrained on synthetic people, from the cache where possible.

    Raises
    ------
    UserError
        If the cache folder can't be written.
    """
    path = cache_path(patch, recipe, cache_dir)
    state = load(path, patch)
    if state is None:
        if path.exists():
            say(f"{path.name} in the cache is damaged: pretraining again")
        say(f"pretraining on {recipe.people} synthetic people, once on this machine (about a minute)")
        state = pretrain(patch, recipe)
        _store(state, path)
    wanted = shared_state(new_site_model(patch, tasks, 0, participants=1))
    return {name: state[name] for name in wanted}


def pretrain(patch: int, recipe: Pretraining = RECIPE) -> dict[str, Tensor]:
    """Train encoder and the heads of all utility tasks; the same recipe gives the same weights."""
    data = training_data(recipe)
    model = new_site_model(patch, UTILITY_TASKS, seed_for(recipe.seed, "pretraining init"))
    falling = cosine(recipe.learning_rate, recipe.steps)
    train_local(
        model,
        data,
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        learning_rate=lambda step: falling(step) * min(1.0, (step + 1) / WARM_UP),
        first_step=0,
        seed=seed_for(recipe.seed, "pretraining batches"),
    )
    return shared_state(model)


def training_data(recipe: Pretraining) -> TrainingSet:
    """Return the windows of the recipe's people, all devices mixed, with every label."""
    parts = [_windows(recording, recipe.cap) for recording in recordings(recipe.crowd)]
    targets = {
        task: torch.from_numpy(np.concatenate([codes[task] for _, codes in parts])) for task in UTILITY_TASKS
    }
    x_NL = np.concatenate([x_KL for x_KL, _ in parts])
    person_N = np.repeat(np.arange(len(parts)), [len(x_KL) for x_KL, _ in parts])
    return TrainingSet(torch.from_numpy(x_NL), torch.from_numpy(person_N), targets)


def _windows(recording: Recording, cap: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Cut one record as `signals.windows` does, but without components; return windows (K, L) and codes (K,)."""
    labels = recording.labels
    if labels.beat_sample_B is None or labels.beat_class_B is None or recording.age is None:
        raise ValueError(f"{recording.record}: people for pretraining have all labels")
    x_T = preprocess.clean(recording.signal_mv, recording.fs_hz)
    r_B = rpeaks.detect(x_T)
    reference_A = preprocess.to_common_rate(labels.beat_sample_B, recording.fs_hz)
    beat_B, _ = rpeaks.match_labels(r_B, reference_A, labels.beat_class_B)
    inside_B = (r_B >= R_OFFSET) & (r_B - R_OFFSET + WINDOW <= x_T.shape[0])
    r_B, beat_B = r_B[inside_B], beat_B[inside_B].astype(np.int64)
    x_BL = x_T[r_B[:, None] + np.arange(-R_OFFSET, WINDOW - R_OFFSET)]
    ectopic_B = (beat_B != UNKNOWN) & (beat_B != BEATS.index("N"))
    good_B = quality.typical(x_BL, ectopic_B, quality.flat(x_BL))
    kept = np.flatnonzero(good_B & ectopic_B)[: cap // 2]
    kept = np.concatenate([kept, np.flatnonzero(good_B & ~ectopic_B)[: cap - len(kept)]])
    beat_K = beat_B[kept]
    codes = {
        "sex": np.full(kept.size, int(recording.sex == "M"), dtype=np.int64),
        "age": np.full(kept.size, age_band(recording.age), dtype=np.int64),
        "beat": np.where(beat_K == UNKNOWN, MISSING, beat_K),
        "diagnosis": np.full(kept.size, int(labels.diagnosis == "abnormal"), dtype=np.int64),
    }
    x_KL = x_BL[kept] - x_BL[kept].mean(axis=1, keepdims=True)
    return (x_KL / x_KL.std(axis=1, keepdims=True)).astype(np.float32), codes


@cache
def _code_version() -> str:
    """Return a hash of the code and libraries that turn a recipe into weights."""
    package = Path(__file__).parents[1]
    modules = [
        *sorted((package / "cohorts").glob("synthetic*.py")),
        *(package / "cohorts" / name for name in ("pretraining_people.py", "schema.py")),
        *(package / "model" / name for name in ("encoder.py", "heads.py")),
        *(package / "training" / name for name in ("local.py", "pretrain.py")),
    ]
    digest = hashlib.sha256(preprocessing_version().encode())
    for path in modules:
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    for library in ("torch", "timm", "numpy"):
        digest.update(f"{library}=={version(library)}\0".encode())
    return digest.hexdigest()


def cache_path(patch: int, recipe: Pretraining = RECIPE, cache_dir: Path | None = None) -> Path:
    """Return the file that holds the weights; its name is a hash of all they follow from."""
    key = f"{sorted(asdict(recipe).items())}\0{patch}\0{_code_version()}"
    root = default_dir() if cache_dir is None else cache_dir
    return root / f"{PREFIX}{hashlib.sha256(key.encode()).hexdigest()[:32]}{SUFFIX}"


def load(path: Path, patch: int) -> dict[str, Tensor] | None:
    """Return a file's weights; None if it isn't there, isn't whole, or doesn't fit the model."""
    try:
        # Read once: `safe_open` opens a path twice, and between the two another writer's file may take its place.
        data = path.read_bytes()
        state = dict(sorted(deserialise(data).items()))
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        said = header.get("__metadata__", {}).get("sha256")
        load_shared(new_site_model(patch, UTILITY_TASKS, 0), state)
    except (OSError, ValueError, SafetensorError):
        return None
    return state if said == _checksum(state) else None


def _checksum(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(f"{name}\0{state[name].dtype}\0{tuple(state[name].shape)}\0".encode())
        digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _store(state: Mapping[str, Tensor], path: Path) -> None:
    """Write beside the place and move there in one step: whoever reads meanwhile finds all or nothing.

    A killed writer leaves a scratch folder that the window cache sweeps.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=path.parent) as folder:
            scratch = Path(folder) / path.name
            with scratch.open("wb") as file:
                file.write(save(dict(state), {"sha256": _checksum(state)}))
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
    except OSError as error:
        raise UserError(f"cache: can't write {path.parent} ({error.strerror}); set TRANSECG_CACHE") from None


def cached_files(root: Path) -> tuple[list[Path], list[Path]]:
    """Return the cached weights that this code can use, and those that other code made."""
    current = {cache_path(patch, RECIPE, root) for patch in PATCHES}
    found = [path for path in sorted(root.glob(f"{PREFIX}*{SUFFIX}")) if _NAME.fullmatch(path.name)]
    found = [path for path in found if path.is_file() and not path.is_symlink()]
    return [path for path in found if path in current], [path for path in found if path not in current]
