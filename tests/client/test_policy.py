"""A site's policy file: what it may say, and that a slip of the pen is an error, never a rule that isn't there."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.policy import KEYS, Policy, policy_from, read_policy
from client.refusal import Refusal
from transecg_core.errors import UserError
from transecg_core.privacy.releases import NEEDED, releasable_names

FULL = """
max-lifetime-epsilon = 10
lifetime-delta = 1e-6
min-sigma = 1.5
max-rounds = 30
allowed-tasks = ["sex", "beat"]
allowed-releases = ["weights", "site"]
min-cohort = 50
units = ["participant"]
"""


def write(folder: Path, text: str) -> Path:
    (folder / "policy.toml").write_text(text, encoding="utf-8")
    return folder / "policy.toml"


def test_every_key_is_read(tmp_path: Path) -> None:
    policy = read_policy(write(tmp_path, FULL))
    assert policy == Policy(
        max_lifetime_epsilon=10.0, lifetime_delta=1e-6, min_sigma=1.5, max_rounds=30,
        allowed_tasks=("sex", "beat"), allowed_releases=("weights", "site"), min_cohort=50,
        units=("participant",),
    )  # fmt: skip
    assert all(f"{key} = " in FULL for key in KEYS)


def test_the_budget_alone_is_a_policy(tmp_path: Path) -> None:
    policy = read_policy(write(tmp_path, "max-lifetime-epsilon = 8.0"))
    assert policy == Policy(max_lifetime_epsilon=8.0)
    assert policy.units == ("participant", "window")


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("max-lifetime-epsilon = 0", "max-lifetime-epsilon=0: should be greater than 0"),
        ("max-lifetime-epsilon = -1.0", "max-lifetime-epsilon"),
        ("max-lifetime-epsilon = inf", "max-lifetime-epsilon=inf: should be a finite number"),
        ("max-lifetime-epsilon = nan", "max-lifetime-epsilon"),
        ("max-lifetime-epsilon = true", "max-lifetime-epsilon=True: should be a valid number"),
        ("max-lifetime-epsilon = '8'", "max-lifetime-epsilon='8': should be a valid number"),
        ("lifetime-delta = 0.0", "lifetime-delta"),
        ("lifetime-delta = 1.0", "lifetime-delta"),
        ("min-sigma = -0.1", "min-sigma"),
        ("max-rounds = 0", "max-rounds"),
        ("max-rounds = 2.5", "max-rounds=2.5: should be a valid integer"),
        ("min-cohort = 1", "min-cohort"),
        ("allowed-tasks = 'sex'", "allowed-tasks='sex': should be a list of names in quotes"),
        ("allowed-tasks = []", "at least one name; leave the key out to allow all"),
        ("allowed-tasks = ['sexx']", "no 'sexx' here; nearest valid: sex"),
        ("allowed-tasks = [1]", "allowed-tasks"),
        ("allowed-releases = ['wights']", "no 'wights' here; nearest valid: weights"),
        ("allowed-releases = ['signals']", "no 'signals' here"),  # never released, so it can't be allowed
        ("units = ['none']", "no 'none' here"),
        ("units = []", "units"),
        ("max-epsilon = 8.0", "unknown key 'max-epsilon'; nearest valid: max-lifetime-epsilon"),
        ("min-sigmas = 1.0", "unknown key 'min-sigmas'; nearest valid: min-sigma"),
        ("[min-sigma]", "min-sigma"),
        ("min-sigma = ", "not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path: Path, line: str, match: str) -> None:
    text = line if line.startswith("max-lifetime") else f"max-lifetime-epsilon = 8.0\n{line}"
    file = write(tmp_path, text)
    with pytest.raises(Refusal, match="policy") as error:
        read_policy(file)
    assert match in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.code == "policy: not readable"


@pytest.mark.parametrize("text", ["", "min-sigma = 2.0"])
def test_a_policy_without_a_lifetime_budget_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="max-lifetime-epsilon missing"):
        read_policy(write(tmp_path, text))


def test_files_that_hold_no_policy(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="No such file"):
        read_policy(tmp_path / "none.toml")
    with pytest.raises(Refusal, match="Is a directory"):
        read_policy(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refusal, match="not TOML in UTF-8"):
        read_policy(tmp_path / "bytes.toml")
    with pytest.raises(Refusal, match="over 100000 bytes"):
        read_policy(write(tmp_path, "#" * 200_000))
    with pytest.raises(Refusal, match=r"nested too deep|not TOML"):
        read_policy(write(tmp_path, "units = " + "[" * 50_000))


def test_what_every_reply_needs_can_be_allowed() -> None:
    assert set(releasable_names()) >= NEEDED
    assert policy_from({"max-lifetime-epsilon": 1, "allowed-releases": sorted(NEEDED)}).allowed_releases


def test_the_guide_s_example_is_a_policy_that_runs(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "budget.md").read_text(encoding="utf-8")
    policy = read_policy(write(tmp_path, guide.split("```toml\n")[1].split("```")[0]))
    assert set(policy.allowed_releases or ()) == NEEDED
