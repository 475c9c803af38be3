"""Every public option, in one validated model.

The options are flat and kebab-case because Flower's run config is flat. They are
parsed once, at the edge, by `parse`; everything inside works with the frozen
`RunConfig`, whose ``auto`` values are already resolved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from transecg_core.config_checks import check_privacy, check_sites, check_tasks
from transecg_core.errors import UserError
from transecg_core.names import (
    MAX_PEOPLE,
    SITES,
    TASK_SETS,
    TASKS,
    UTILITY_TASKS,
    Cohort,
    PrivacyUnit,
    Profile,
    Protocol,
    Trainable,
    nearest,
)
from transecg_core.recipes import FROM_SCRATCH, PRETRAINED, PROFILES, ProfileSettings, Recipe

Auto = Literal["auto"]
Count = Annotated[int, Field(ge=1, le=100_000)]


class RunConfig(BaseModel):
    """One run, fully specified; see ``docs/configuration.md`` for the table."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        allow_inf_nan=False,
    )

    cohort: Cohort = Field(
        "synthetic",
        description="embedded synthetic federation, public datasets, folders of your own, or each node's own data",
    )
    sites: str = Field(
        "auto",
        description="comma-separated site names; auto: the cohort's four, or all in the folder or file",
    )
    data_root: str = Field(
        "",
        description="folder that holds ecgiddb/, mitdb/, ... (cohort=real), or one folder per site (cohort=folder)",
    )
    sites_file: str = Field(
        "", description="TOML file: site name -> reader, path, lead, columns (cohort=folder)"
    )
    participants_per_site: Auto | Annotated[int, Field(ge=2, le=MAX_PEOPLE)] = Field(
        "auto", description="people drawn per synthetic site, or a cap on a real one; auto: profile, or all"
    )
    tasks: str = Field(
        "auto", description="comma-separated tasks, all, utility or auto (all, or utility under privacy)"
    )
    protocol: Protocol = Field("auto", description="how probes are kept apart from training windows")
    audit_split: Literal["halves", "none"] = Field(
        "halves", description="hold a random half of the people out"
    )
    audit_models: Auto | Annotated[int, Field(ge=0, le=256)] = Field(
        "auto", description="models of the same recipe that the audit trains on other coins, as references"
    )
    patch: Literal[5, 10] = Field(
        5, description="samples per token at 250 Hz; 5 (20 ms) resolves the components"
    )
    start: Literal["auto", "random", "synthetic"] = Field(
        "auto",
        description="starting weights: random, or pretrained on synthetic people (auto: under privacy)",
    )
    trainable: Auto | Trainable = Field("auto", description="which parameters training may move")
    num_server_rounds: Auto | Count = Field("auto", description="federated rounds")
    local_steps: Auto | Count = Field("auto", description="optimizer steps per site and round")
    batch_size: Auto | Annotated[int, Field(ge=1, le=4096)] = Field(
        "auto", description="windows per step (expected, under DP)"
    )
    learning_rate: Auto | Annotated[float, Field(gt=0, le=1)] = Field(
        "auto", description="peak AdamW step, cosine decay"
    )
    ema: Auto | Annotated[float, Field(ge=0, lt=1)] = Field(
        "auto", description="decay per round of the averaged model that is released; 0: the last one"
    )
    privacy: PrivacyUnit = Field("none", description="unit of differential privacy")
    target_epsilon: Annotated[float, Field(gt=0, le=1000)] = Field(
        8.0, description="run epsilon for that unit"
    )
    delta: Annotated[float, Field(ge=1e-10, lt=1)] = Field(1e-5, description="run delta; at most 1/(10 n)")
    clip_norm: Annotated[float, Field(gt=0, le=1000)] = Field(
        1.0, description="L2 bound of one unit's gradient"
    )
    noise: Literal["calibrated", "off"] = Field(
        "calibrated", description="off: clip only, no guarantee (reference arm)"
    )
    windows_per_draw: Auto | Annotated[int, Field(ge=1, le=10_000)] = Field(
        "auto", description="windows that a drawn participant contributes to a step (participant unit)"
    )
    participant_slots: Auto | Annotated[int, Field(ge=2, le=100_000)] = Field(
        "auto",
        description="classes of the participant head under privacy; auto: four per person on the roster",
    )
    ledger: str = Field(
        "",
        description="folder that keeps each simulated site's privacy ledger across runs; empty: one per run",
    )
    max_windows_per_participant: Annotated[int, Field(ge=1, le=10_000)] = Field(
        48, description="public cap on a person's training windows"
    )
    round_timeout: Annotated[float, Field(gt=0, le=86_400)] = Field(
        1800.0, description="seconds to wait for a round"
    )
    profile: Profile = Field("default", description="quick, default or full: see docs/configuration.md")
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        0, description="every random choice follows from it"
    )
    output_dir: str = Field("runs", description="folder that receives the run folder")

    @field_validator("sites", "tasks")
    @classmethod
    def _names(cls, value: str) -> str:
        names = [name.strip() for name in value.split(",")]
        if not all(names) or len(set(names)) != len(names):
            raise ValueError("distinct names separated by commas, or auto")
        return ",".join(names)

    @model_validator(mode="after")
    def _consistent(self) -> RunConfig:
        check_sites(self)
        check_tasks(self)
        check_privacy(self, defaults())
        return self

    @property
    def settings(self) -> ProfileSettings:
        """What the profile decides."""
        return PROFILES[self.profile]

    @property
    def sites_known(self) -> bool:
        """Whether the options alone say which sites there are; else `transecg_core.cohorts.resolved` does."""
        return self.sites != "auto" or self.cohort in SITES

    @property
    def site_names(self) -> tuple[str, ...]:
        """Expected sites, sorted: the order of every sum and table."""
        if not self.sites_known:
            raise RuntimeError("sites=auto of this cohort is what the disk holds: use cohorts.resolved(cfg)")
        return tuple(sorted(SITES[self.cohort] if self.sites == "auto" else self.sites.split(",")))

    @property
    def task_names(self) -> tuple[str, ...]:
        """Tasks in canonical order, with ``auto`` resolved."""
        if self.tasks == "auto":
            return UTILITY_TASKS if self.privacy != "none" else TASKS
        return TASK_SETS.get(self.tasks) or tuple(task for task in TASKS if task in self.tasks.split(","))

    @property
    def tasks_named(self) -> bool:
        """Whether the user named the tasks one by one, and so expects each of them to be trained."""
        return self.tasks != "auto" and self.tasks not in TASK_SETS

    @property
    def rounds(self) -> int:
        """Federated rounds, with ``auto`` resolved."""
        return self.settings.num_server_rounds if self.num_server_rounds == "auto" else self.num_server_rounds

    @property
    def start_from(self) -> Literal["random", "synthetic"]:
        """Where training starts, with ``auto`` resolved: pretraining takes longer than a whole quick run."""
        if self.start == "auto":
            return "random" if self.privacy == "none" or self.profile == "quick" else "synthetic"
        return self.start

    @property
    def recipe(self) -> Recipe:
        """What decides the options below where they are ``auto``."""
        return FROM_SCRATCH if self.start_from == "random" else PRETRAINED[self.privacy]

    @property
    def steps(self) -> int:
        """Local steps per site and round, with ``auto`` resolved."""
        if self.local_steps == "auto":
            return max(1, round(self.settings.local_steps * self.recipe.steps_share))
        return self.local_steps

    @property
    def trained_part(self) -> Trainable:
        """Which parameters training may move, with ``auto`` resolved."""
        return self.recipe.trainable if self.trainable == "auto" else self.trainable

    @property
    def batch(self) -> int:
        """Windows per step, with ``auto`` resolved."""
        return self.recipe.batch_size if self.batch_size == "auto" else self.batch_size

    @property
    def draw_windows(self) -> int:
        """Windows of a drawn unit in a step, with ``auto`` resolved; 1 unless the unit is a participant."""
        if self.privacy != "participant":
            return 1
        return self.recipe.windows_per_draw if self.windows_per_draw == "auto" else self.windows_per_draw

    @property
    def rate(self) -> float:
        """Peak learning rate, with ``auto`` resolved."""
        return self.recipe.learning_rate if self.learning_rate == "auto" else self.learning_rate

    @property
    def ema_decay(self) -> float:
        """Decay per round of the released average, with ``auto`` resolved."""
        return self.recipe.ema if self.ema == "auto" else self.ema

    @property
    def people(self) -> int | None:
        """Participants per synthetic site, or the cap on a real site (None: everybody)."""
        if self.participants_per_site != "auto":
            return self.participants_per_site
        return self.settings.synthetic_participants if self.cohort == "synthetic" else None


def option_names() -> tuple[str, ...]:
    """Return every public key, in declaration order."""
    return tuple(field.alias or name for name, field in RunConfig.model_fields.items())


def defaults() -> dict[str, str | int | float]:
    """Return key -> default, exactly as ``pyproject.toml`` must declare them."""
    return {field.alias or name: field.default for name, field in RunConfig.model_fields.items()}


def parse(options: Mapping[str, Any]) -> RunConfig:
    """Validate flat kebab-case options.

    Raises
    ------
    UserError
        One line with the key, what is wrong, and the nearest valid key or the remedy.
    """
    for key in options:
        if key not in option_names():
            raise UserError(f"unknown option '{key}'{nearest(key, option_names())}")
    try:
        return RunConfig.model_validate(dict(options))
    except ValidationError as error:
        raise UserError(_one_line(error)) from None


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    if not first["loc"]:
        return message
    key = str(first["loc"][0])
    found = [str(e["msg"]).removeprefix("Value error, ") for e in error.errors() if str(e["loc"][0]) == key]
    wanted = [message.removeprefix("Input should be ") for message in dict.fromkeys(found)]
    return f"{key}={first['input']!r}: should be {' or '.join(wanted)}"


def parse_text(pairs: Mapping[str, str]) -> RunConfig:
    """Validate options given as text (``key=value`` on a command line), typed by the schema.

    Raises
    ------
    UserError
        As `parse`.
    """
    return parse({key: _typed(key, text) for key, text in pairs.items()})


def _typed(key: str, text: str) -> str | int | float:
    """Return `text` as a number where the option takes one and `text` reads as one."""
    field = RunConfig.model_fields.get(key.replace("-", "_"))
    if field is None or field.annotation is str:
        return text
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else text
    return text


def resolve_paths(cfg: RunConfig, base: Path) -> RunConfig:
    """Return `cfg` with ``data-root``, ``sites-file``, ``ledger`` and ``output-dir`` made absolute against `base`."""
    paths = {name: getattr(cfg, name) for name in ("data_root", "sites_file", "ledger")}
    known = {name: path for name, path in paths.items() if path} | {"output_dir": cfg.output_dir}
    return cfg.model_copy(
        update={name: str((base / Path(path).expanduser()).resolve()) for name, path in known.items()}
    )
