"""Reports as a run would write them: rich, sparse, private."""

# ruff: noqa: E501  (rows of figures read better in one line)

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_attribution import SITES, parts

from transecg_core.config import parse
from transecg_core.report import complete
from transecg_core.report.manifest import manifest
from transecg_core.report.page import report_page
from transecg_core.report.threat import threat_model


def risk(name: str, kind: str, metric: str, main: float | None, **more: Any) -> dict[str, Any]:
    half = 0.08 if main is not None else None
    row = {
        "name": name,
        "kind": kind,
        "observer": "released-model" if kind != "A" else "anyone with two recordings",
        "auxiliary_data": "gallery and probes",
        "site": "pooled",
        "protocol": "other-session",
        "metric": metric,
        "main": main,
        "control": None,
        "baseline": 0.01,
        "ci95": None if half is None else [main - half, main + half],
        "n_participants": 92,
        "ceiling": None,
        "notes": "",
    }
    return row | more


FLOORS = (("raw-correlation", 0.66, 0.15), ("pca-lda", 0.73, 0.12), ("random-init", 0.31, 0.25))
GALLERY = "identified gallery records of every site's people and an unidentified probe record"


def linkage(protocol: str, lift: float) -> list[dict[str, Any]]:
    rows = []
    more = {"protocol": protocol}
    for name, rank, eer in FLOORS:
        low = eer - lift / 2
        rows.append(
            risk(
                name,
                "A",
                "rank-1",
                rank + lift,
                notes="chance 0.010 (gallery of 96); one gallery of all sites",
                **more,
            )
        )
        rows.append(risk(name, "A", "EER", low, baseline=0.5, ci95=[low - 0.03, low + 0.03], **more))
    lifted = 0.80 + lift / 2
    rows.append(
        risk(
            "identification",
            "B",
            "rank-1",
            lifted,
            control=lifted - 0.09,
            baseline=0.31,
            n_participants=46,
            notes="44 controls, same gallery",
            **more,
        )
    )
    rows.append(
        risk("identification", "B", "EER", 0.09, control=0.11, baseline=0.25, ci95=[0.06, 0.12], **more)
    )
    for over, gain in (("random-init", 0.49), ("the best signal floor", 0.07)):
        rows.append(
            risk(
                "identification",
                "B",
                f"gain in rank-1 over {over}",
                gain,
                control=gain - 0.05,
                baseline=0.0,
                **more,
            )
        )
    return rows


def risks() -> list[dict[str, Any]]:
    rows = []
    for protocol, lift in (("other-session", 0.0), ("other-record", 0.09), ("later-in-record", 0.14)):
        rows += linkage(protocol, lift)
    rows.append(
        risk(
            "identification",
            "B",
            "TAR@1%FAR",
            None,
            baseline=None,
            notes="not measurable: 840 impostor pairs, needs 1000",
        )
    )
    rows.append(risk("cross-site identification", "B", "rank-1", None, baseline=None, protocol="cross-site",
                     notes="not measurable: 4 members with probes, needs 5"))  # fmt: skip
    coins = {"protocol": "independent-coins", "baseline": 0.5, "control": 0.49}
    rows.append(risk("embedding-consistency", "C", "AUC", 0.63, ci95=[0.52, 0.73], **coins))
    rows.append(risk("shared-head-loss", "C", "AUC", 0.58, ci95=[0.47, 0.69], **coins))
    rows.append(
        risk(
            "linkage-gap",
            "C",
            "gap in rank-1 (members - controls)",
            0.06,
            baseline=0.0,
            control=0.01,
            ci95=[-0.07, 0.18],
        )
    )
    rows.append(risk("embedding-consistency", "C", "TPR@5%FPR", None, baseline=None, protocol="independent-coins",
                     notes="not measurable: 38 controls, needs 40"))  # fmt: skip
    for place, site in enumerate(SITES):
        one = {"site": site, "n_participants": 24}
        rows.append(
            risk("identification", "B", "rank-1", 0.84 - 0.03 * place, control=0.78, baseline=0.5, **one)
        )
        rows.append(risk("pca-lda", "A", "rank-1", 0.80 - 0.02 * place, baseline=0.04, **one))
        short = "not measurable: 4 controls, needs 5"
        rows.append(
            risk(
                "embedding-consistency",
                "C",
                "AUC",
                0.6 if place else None,
                notes="" if place else short,
                **coins,
                **one,
            )
        )
    return rows


def utility() -> dict[str, Any]:
    def score(value: float | None, note: str = "people never trained on") -> dict[str, Any]:
        ci = None if value is None else [value - 0.06, value + 0.06]
        return {"metric": "balanced accuracy", "value": value, "ci95": ci, "majority": None if value is None else 0.5,
                "n_participants": 24, "notes": note}  # fmt: skip

    empty = "not measurable: fewer than 5 labelled people, or one class only"
    out: dict[str, Any] = {}
    for task, value in (("sex", 0.68), ("age", 0.49), ("beat", 0.86), ("diagnosis", 0.74)):
        out[task] = {site: score(value + 0.02 * k if value else None) for k, site in enumerate(SITES)} | {
            "pooled": score(value)
        }
    out["beat"]["synth-a"] = score(None, empty)
    return out


def rounds(count: int = 12) -> list[dict[str, Any]]:
    return [
        {
            "round": n,
            "loss": {
                site: 3.2 * np.exp(-n / 5) + 0.5 + 0.12 * k
                for k, site in enumerate(SITES)
                if (n, k) != (7, 2)
            },
            "absent": {"synth-c": "no answer within 1800 s"} if n == 7 else {},
        }
        for n in range(1, count + 1)
    ]


def rich() -> dict[str, Any]:
    cfg = parse({})
    return {
        "schema_version": "1.4",
        "edition": "local",
        "manifest": manifest(cfg, "inline", "transecg run seed=0", {site: "ab" * 32 for site in SITES}),
        "data": {
            "kind": "synthetic",
            "audited_on": "participants",
            "sites": [
                {"name": site, "participants": 24, "trained_on": 12 + k % 2, "records": 72, "sessions": 48, "windows": 1650 + k,
                 "skipped": {"window: correlation with the record's median beat below 0.6": 41, "window: flat": 2} if k else {}}
                for k, site in enumerate(SITES)
            ],
        },
        "training": {"profile": "default", "still_falling": False, "rounds": rounds()},
        "privacy": {"unit": "none", "target_epsilon": None, "adjacency": None, "accountant": None, "simulation_noise": False,
                    "covers": "nothing: no differential privacy", "epsilon_two_sites": None, "sites": []},
        "releases": [
            {"name": "weights", "what": "the updated shared weights", "observer": "server", "status": "outside the guarantee"},
            {"name": "signals", "what": "waveforms", "observer": "server", "status": "withheld"},
        ],
        "utility": utility(),
        "risks": risks(),
        **parts(),
        "threat_model": threat_model(),
        "limits": ["Figures from tens of people have wide intervals.", "No shadow models in this edition."],
    }  # fmt: skip


def private(report: dict[str, Any], epsilon: float = 8.0, unit: str = "participant") -> dict[str, Any]:
    out = copy.deepcopy(report)
    out["manifest"]["config"] |= {"privacy": unit, "target-epsilon": epsilon}
    out["privacy"] = {
        "unit": unit, "target_epsilon": epsilon, "adjacency": "zero-out", "accountant": "dp-accounting PLD, pessimistic",
        "simulation_noise": True, "covers": "weights only: counts and losses are released outside the guarantee",
        "epsilon_two_sites": None,
        "sites": [
            {"name": site, "sigma": 1.31, "clip_norm": 1.0, "q": 0.333, "steps": 480, "delta": 1e-5,
             "max_windows_per_participant": 48, "epsilon_participant": epsilon if unit == "participant" else 11.3 * epsilon,
             "epsilon_window": epsilon if unit == "window" else None, "lifetime": {"epsilon_participant": 2 * epsilon, "events": 24}}
            for site in SITES
        ],
    }  # fmt: skip
    for row in out["risks"]:
        if row["kind"] == "C" and row["main"] is not None:
            row["ceiling"] = 0.93
    return out


def sparse() -> dict[str, Any]:
    out = rich()
    out["risks"] = [
        risk(name, kind, metric, None, baseline=None, n_participants=4, notes="4 people, and 5 are needed")
        for name, kind, metric in (
            ("raw-correlation", "A", "rank-1"), ("identification", "B", "rank-1"), ("embedding-consistency", "C", "AUC"),
        )
    ]  # fmt: skip
    out["utility"] = {}
    out["attribution"] = {}
    out |= {"attribution_by_site": {}, "attribution_at_sites": [], "fiducial_models": [], "what_if": []}
    out["example_beat"] = None
    out["training"] = {"profile": "quick", "still_falling": None,
                       "rounds": [{"round": 1, "loss": {site: None for site in SITES}, "absent": {}}]}  # fmt: skip
    out["data"]["sites"] = [
        {
            "name": "synth-a",
            "participants": None,
            "trained_on": None,
            "records": None,
            "sessions": None,
            "windows": None,
            "skipped": {},
        }
    ]
    out["releases"], out["limits"] = [], []
    return out


@pytest.fixture
def rich_report() -> dict[str, Any]:
    """A synthetic default run without privacy."""
    return rich()


@pytest.fixture
def sparse_report() -> dict[str, Any]:
    """A run in which nothing could be measured."""
    return sparse()


@pytest.fixture(scope="session")
def rich_page() -> str:
    """The page of the rich run, drawn once."""
    return report_page(complete(rich()))


@pytest.fixture(scope="session")
def private_page() -> str:
    """The page of the rich run under participant privacy, drawn once."""
    return report_page(complete(private(rich())))


@pytest.fixture
def private_report() -> Callable[..., dict[str, Any]]:
    """Return the rich run as it looks under differential privacy."""
    return lambda **more: private(rich(), **more)
