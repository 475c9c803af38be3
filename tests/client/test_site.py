"""Which data a node may be made to read, and by whom."""

from __future__ import annotations

from pathlib import Path

import pytest

import client.site
from client.budget import ledger_path
from client.order import Order
from client.policy import Policy
from client.site import INLINE_ENGINE, Node, inside_simulation, open_node_site, read_node
from transecg_core.config import parse
from transecg_core.errors import UserError
from transecg_core.sites import applied


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that belongs to no simulation engine, as an institution's ClientApp does."""
    monkeypatch.delenv(INLINE_ENGINE, raising=False)
    monkeypatch.delitem(__import__("sys").modules, "ray", raising=False)
    assert not inside_simulation()


DECLARED = {"site": "hospital-a", "reader": "ludb", "data-dir": "/data/ludb", "ledger": "/data/l.sqlite",
            "people": 200, "max-epsilon": 8.0}  # fmt: skip


def test_an_institution_declares_everything() -> None:
    node = read_node(DECLARED | {"partition-id": 3, "num-partitions": 4})
    assert node == Node(
        3,
        4,
        "hospital-a",
        "ludb",
        Path("/data/ludb"),
        Path("/data/l.sqlite"),
        200,
        Policy(max_lifetime_epsilon=8.0),
    )


BY_FILE = {key: value for key, value in DECLARED.items() if key not in ("reader", "data-dir")} | {
    "sites-file": "/data/sites.toml"
}


def test_a_sites_file_stands_in_place_of_reader_and_folder() -> None:
    node = read_node(BY_FILE)
    assert (node.reader, node.data_dir, node.sites_file) == (None, None, Path("/data/sites.toml"))
    assert read_node(DECLARED | {"reader": "folder"}).reader == "folder"


@pytest.mark.parametrize("key", sorted(BY_FILE))
def test_half_a_declaration_by_file_is_refused(key: str) -> None:
    with pytest.raises(UserError, match="missing"):
        read_node({k: v for k, v in BY_FILE.items() if k != key})


@pytest.mark.parametrize("key", ["reader", "data-dir"])
def test_a_node_declares_its_data_once(key: str) -> None:
    with pytest.raises(UserError, match=f"sites-file stands in place of {key}; give one"):
        read_node(BY_FILE | {key: DECLARED[key]})


def test_a_node_finds_its_site_in_its_file(tmp_path: Path) -> None:
    cfg = parse({"cohort": "node", "sites": "hospital-a,hospital-b"})
    node = read_node(BY_FILE | {"sites-file": str(tmp_path / "sites.toml")})
    with pytest.raises(UserError, match="No such file"):
        open_node_site(node, cfg, "hospital-a")
    (tmp_path / "sites.toml").write_text("[hospital-b]\nreader = 'ludb'\npath = 'b'\n")
    with pytest.raises(UserError, match=r"no site 'hospital-a'; add \[hospital-a\]"):
        open_node_site(node, cfg, "hospital-a")
    with pytest.raises(UserError, match="serves site 'hospital-a', not 'hospital-b'"):
        open_node_site(node, cfg, "hospital-b")
    (tmp_path / "sites.toml").write_text("[hospital-a]\nreader = 'ludb'\npath = 'a'\n")
    with pytest.raises(UserError, match=f"no folder {tmp_path / 'a'}"):
        open_node_site(node, cfg, "hospital-a")


@pytest.mark.parametrize("key", sorted(DECLARED))
def test_a_half_declared_node_is_refused(key: str) -> None:
    with pytest.raises(UserError, match=f"{key} missing"):
        read_node({k: v for k, v in DECLARED.items() if k != key})


def test_a_misspelt_key_is_refused_not_ignored() -> None:
    with pytest.raises(UserError, match="unknown key 'polcy'; nearest valid: policy"):
        read_node(DECLARED | {"polcy": "/data/policy.toml"})


def test_a_policy_file_stands_in_place_of_max_epsilon(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("max-lifetime-epsilon = 4\nmin-sigma = 2.0\n")
    by_policy = {key: value for key, value in DECLARED.items() if key != "max-epsilon"}
    by_policy["policy"] = str(tmp_path / "policy.toml")
    assert read_node(by_policy).policy == Policy(max_lifetime_epsilon=4.0, min_sigma=2.0)
    with pytest.raises(UserError, match="policy stands in place of max-epsilon; give one"):
        read_node(by_policy | {"max-epsilon": 8.0})
    with pytest.raises(UserError, match=r"policy=policy\.toml must be an absolute path"):
        read_node(by_policy | {"policy": "policy.toml"})


def test_a_lifetime_delta_too_large_for_the_roster_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="set lifetime-delta in a policy file"):
        read_node(DECLARED | {"people": 20_000})
    (tmp_path / "policy.toml").write_text("max-lifetime-epsilon = 4\nlifetime-delta = 5e-6\n")
    large = {key: value for key, value in DECLARED.items() if key != "max-epsilon"} | {"people": 20_000}
    assert read_node(large | {"policy": str(tmp_path / "policy.toml")}).policy is not None


@pytest.mark.parametrize(
    ("declared", "key"), [(DECLARED, "data-dir"), (DECLARED, "ledger"), (BY_FILE, "sites-file")]
)
def test_relative_paths_are_refused(declared: dict, key: str) -> None:
    with pytest.raises(UserError, match="absolute"):
        read_node(declared | {key: "somewhere"})


@pytest.mark.parametrize(
    ("key", "value"),
    [("people", 1), ("people", True), ("people", "many"), ("max-epsilon", 0.0), ("max-epsilon", -1.0),
     ("max-epsilon", float("inf")), ("max-epsilon", float("nan")), ("max-epsilon", "all"),
     ("site", "../x"), ("site", "pooled"), ("reader", "edf"),
     ("reader", 3)],
)  # fmt: skip
def test_wrong_declarations_are_refused_by_key(key: str, value: object) -> None:
    with pytest.raises(UserError, match=key):
        read_node(DECLARED | {key: value})


@pytest.mark.parametrize("rules", ["max-epsilon", "none", "policy"])
def test_an_institution_may_withhold_the_attribution_under_every_rule(tmp_path: Path, rules: str) -> None:
    (tmp_path / "policy.toml").write_text("max-lifetime-epsilon = 8.0")
    declared = {key: value for key, value in DECLARED.items() if key != "max-epsilon"} | {
        "max-epsilon": {"max-epsilon": 8.0},
        "none": {"max-epsilon": "none"},
        "policy": {"policy": str(tmp_path / "policy.toml")},
    }[rules]
    assert read_node(declared | {"attribution": "withheld"}).withheld == ("attribution",)
    assert read_node(declared | {"attribution": "sent"}) == read_node(declared)
    assert read_node(declared).withheld == ()


@pytest.mark.parametrize("value", ["Withheld", "none", "", False, 0])
def test_a_misspelt_withholding_is_refused_not_taken_for_sending(value: object) -> None:
    with pytest.raises(UserError, match=f"attribution={value} must be 'sent' or 'withheld'"):
        read_node(DECLARED | {"attribution": value})


def test_an_institution_may_allow_training_without_privacy() -> None:
    assert read_node(DECLARED | {"max-epsilon": "none"}).policy is None


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize(
    "options",
    [
        {"cohort": "real", "data-root": "{0}"},
        {"cohort": "folder", "data-root": "{0}"},
        {"cohort": "folder", "data-root": "{0}", "sites": "ludb,mitdb"},
        {"cohort": "folder", "sites-file": "{0}/sites.toml"},
    ],
)
def test_a_server_may_not_choose_which_folder_a_supernode_reads(
    tmp_path: Path, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.site, "open_site", lambda *a: pytest.fail("the node looked at its disk"))
    cfg = parse({key: value.format(tmp_path) for key, value in options.items()})
    with pytest.raises(UserError, match="may not choose which folder"):
        open_node_site(Node(0, 1), cfg, "ludb")
    with pytest.raises(UserError, match="serves its own data"):
        open_node_site(read_node(DECLARED), cfg, "hospital-a")


def test_a_node_serves_its_own_site_only() -> None:
    cfg = parse({"cohort": "node", "sites": "hospital-a,hospital-b"})
    with pytest.raises(UserError, match="serves site 'hospital-a', not 'hospital-b'"):
        open_node_site(read_node(DECLARED), cfg, "hospital-b")
    with pytest.raises(UserError, match="declares no site"):
        open_node_site(Node(0, 1), cfg, "hospital-b")
    with pytest.raises(UserError, match="cohort=node"):
        open_node_site(read_node(DECLARED), parse({}), "synth-a")


@pytest.mark.usefixtures("outside")
def test_outside_a_simulation_the_ledger_is_the_sites_own(tmp_path: Path) -> None:
    order = Order("hospital-a", 1, "1", tmp_path)
    cfg, named = parse({"privacy": "participant"}), parse({"privacy": "participant", "ledger": str(tmp_path)})
    assert ledger_path(read_node(DECLARED), named, order) == Path("/data/l.sqlite")
    for asked in (cfg, named):  # the server can't name one, by run folder or by option
        with pytest.raises(UserError, match="privacy needs a ledger"):
            ledger_path(Node(0, 1), asked, order)


def test_nobody_is_held_out_where_nobody_audits() -> None:
    assert applied(parse({"cohort": "node", "sites": "a,b"})).audit_split == "none"
    assert applied(parse({})).audit_split == "halves"
