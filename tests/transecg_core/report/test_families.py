"""Every attack stands in the family that asks its question."""

from __future__ import annotations

import pytest

from transecg_core.report.families import FAMILIES, by_family, family_of, not_measured
from transecg_core.risk.registry import ATTACKS

KNOWN = {
    ("A", "raw-correlation"): "signal",
    ("A", "pca"): "signal",
    ("A", "pca-lda"): "signal",
    ("A", "fiducial"): "signal",
    ("A", "random-init"): "untrained",
    ("A", "pretrained-start"): "untrained",
    ("A", "cross-site raw-correlation"): "cross-site",
    ("A", "shortcut: heart rate"): "shortcut",
    ("A", "worst people: fiducial"): "worst",
    ("A", "something new"): "other",
    ("B", "identification"): "identification",
    ("B", "open-world identification"): "open-world",
    ("B", "cross-site identification"): "cross-site",
    ("B", "adaptive identification"): "adaptive",
    ("B", "sex inference"): "attributes",
    ("B", "source-site inference"): "source",
    ("B", "shortcut: within-site identification"): "shortcut",
    ("B", "worst people: identification"): "worst",
    ("C", "shared-head-loss"): "membership",
    ("C", "shadow-membership (LiRA)"): "shadow",
    ("C", "round-gradients"): "rounds",
    ("C", "global-losses"): "rounds",
    ("C", "update-inversion"): "inversion",
    ("C", "cross-site linkage-gap"): "gap",
    ("C", "worst people: shared-head-loss"): "worst",
}


@pytest.mark.parametrize(("kind", "name"), KNOWN, ids=lambda value: str(value))
def test_a_name_has_its_family(kind: str, name: str) -> None:
    assert family_of({"kind": kind, "name": name}).key == KNOWN[kind, name]


def test_no_attack_of_the_registry_is_among_the_others() -> None:
    lost = [a.name for a in ATTACKS if family_of({"kind": a.kind, "name": a.name}).key == "other"]
    assert lost == []


def test_rows_keep_their_order_and_none_is_lost() -> None:
    rows = [{"kind": kind, "name": name} for kind, name in KNOWN]
    grouped = [by_family(rows, kind) for kind in "ABC"]
    assert sum(len(own) for families in grouped for _, own in families) == len(rows)
    order = [FAMILIES.index(family) for families in grouped for family, _ in families]
    assert order == sorted(order)
    assert [row["name"] for row in grouped[0][0][1]] == ["raw-correlation", "pca", "pca-lda", "fiducial"]


def test_families_without_a_figure_are_named() -> None:
    rows = [{"kind": kind, "name": name, "main": None if "LiRA" in name else 0.5} for kind, name in KNOWN]
    assert not_measured(rows) == ("C membership, with models of one's own",)
    assert len(not_measured([])) == len([f for f in FAMILIES if f.kind in "BC" and f.key != "other"])
