"""A site's own rules, read from a file at the site: what no server may ask for.

Nothing here comes from the server. What such rules are worth while the server ships the code that
reads them is said in docs/budget.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from client.refusal import Refusal
from transecg_core.errors import UserError
from transecg_core.names import TASKS, nearest
from transecg_core.privacy.accounting import SMALLEST_DELTA
from transecg_core.privacy.releases import releasable_names
from transecg_core.toml_file import read_toml

LIFETIME_DELTA = 1e-5
"""Delta of the lifetime budget unless the policy says otherwise, whatever delta a run asks for."""
UNITS = ("participant", "window")
MAX_BYTES = 100_000


def _list(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError("a list of names in quotes")
    return tuple(value)


Names = Annotated[tuple[str, ...], BeforeValidator(_list)]
Whole = Annotated[int, Field(strict=True)]
Real = Annotated[float, Field(strict=True)]


class Policy(BaseModel):
    """What a site allows, over its ledger's life and in each run.

    ``max-epsilon=X`` in the node config is the policy that holds ``max-lifetime-epsilon = X`` alone.

    Attributes
    ----------
    max_lifetime_epsilon, lifetime_delta
        The most that a person may lose over the ledger's life. A run without a guarantee is never allowed.
    min_sigma
        Least noise multiplier (noise standard deviation / clip norm).
    max_rounds
        Most rounds of one run; None: no bound but the budget.
    allowed_tasks, allowed_releases
        Names; None: all.
    min_cohort
        Least number of people, declared and found.
    units
        Allowed units of privacy.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
    )  # fmt: skip

    max_lifetime_epsilon: Annotated[Real, Field(gt=0)]
    lifetime_delta: Annotated[Real, Field(ge=SMALLEST_DELTA, lt=1)] = LIFETIME_DELTA
    min_sigma: Annotated[Real, Field(ge=0)] = 0.0
    max_rounds: Annotated[Whole, Field(ge=1)] | None = None
    allowed_tasks: Names | None = None
    allowed_releases: Names | None = None
    min_cohort: Annotated[Whole, Field(ge=2)] = 2
    units: Names = UNITS

    @field_validator("allowed_tasks")
    @classmethod
    def _tasks(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _known(names, TASKS)

    @field_validator("allowed_releases")
    @classmethod
    def _releases(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _known(names, releasable_names())

    @field_validator("units")
    @classmethod
    def _units(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _known(names, UNITS) or ()


def _known(names: tuple[str, ...] | None, valid: Sequence[str]) -> tuple[str, ...] | None:
    if names is not None and not names:
        raise ValueError("at least one name; leave the key out to allow all")
    for name in names or ():
        if name not in valid:
            raise ValueError(f"no '{name}' here{nearest(name, valid)}")
    return names


KEYS = tuple(field.alias or name for name, field in Policy.model_fields.items())


def read_policy(file: Path) -> Policy:
    """Read a policy file (TOML).

    Raises
    ------
    Refusal
        With the file, the key, and what it should be.
    """
    try:
        return policy_from(_document(file))
    except UserError as error:
        raise Refusal("policy: not readable", f"policy {file}: {error}") from None


def policy_from(document: dict[str, Any]) -> Policy:
    """Return the policy that `document` spells out.

    Raises
    ------
    UserError
        With the key, and what it should be.
    """
    for key in document:
        if key not in KEYS:
            raise UserError(f"unknown key '{key}'{nearest(key, KEYS)}")
    if "max-lifetime-epsilon" not in document:
        raise UserError(
            "max-lifetime-epsilon missing; a policy without a lifetime budget would bound nothing"
        )
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        message = str(first["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
        raise UserError(f"{first['loc'][0]}={first['input']!r}: should be {message}") from None


def _document(file: Path) -> dict[str, Any]:
    try:
        return read_toml(file, MAX_BYTES, "a few keys")
    except ValueError as error:
        raise UserError(str(error)) from None
