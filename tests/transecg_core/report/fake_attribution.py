"""Plausible attribution parts of a report: maps with their checks, sites, named features, what-if."""

# ruff: noqa: E501  (rows of figures read better in one line)

from __future__ import annotations

from typing import Any

import numpy as np

SITES = ("synth-a", "synth-b", "synth-c", "synth-d")
DURATION = {"P": 0.13, "PQ": 0.06, "QRS": 0.11, "ST": 0.08, "T": 0.27, "TP": 0.33, "undefined": 0.02}
COMPONENT_ENDS = ((30, 5), (52, 0), (62, 1), (86, 2), (104, 3), (150, 4), (200, 5))
"""(end sample, component code) of the example beat."""
CLAIMS = ("gradient-attention", "integrated-gradients", "occlusion", "component-occlusion")
NEAR_CHANCE = "the model is near chance: balanced accuracy 0.35"


def shares(leader: str, lift: float = 2.6) -> dict[str, Any]:
    raw = {name: share * (lift if name == leader else 0.8) for name, share in DURATION.items()}
    total = sum(raw.values())
    parts = {}
    most = raw[leader] / total / DURATION[leader]
    for name, share in DURATION.items():
        enrichment = raw[name] / total / share
        ci95 = [enrichment * 0.85, enrichment * 1.15]
        behind = (
            [0.8 * (most - enrichment), 1.2 * (most - enrichment)]
            if name not in (leader, "undefined")
            else None
        )
        parts[name] = {
            "share": raw[name] / total, "duration": share, "enrichment": enrichment, "ci95": ci95, "joint95": ci95,
            "behind": behind,
        }  # fmt: skip
    return parts


def stability(leader: str, fills: bool) -> dict[str, Any]:
    return {
        "jitter": {name: [0.9, 1.9] for name in DURATION},
        "jitter_first": 0.93,
        "fills": {fill: leader for fill in ("people", "mean", "bridge", "zero")} if fills else None,
        "seeds": None,
    }


def method(name: str, shown: bool, leader: str, reason: str, lift: float = 2.6) -> dict[str, Any]:
    claims = name in CLAIMS
    return {
        "components": shares(leader, lift),
        "faithfulness": 0.08 if shown else -0.01,
        "faithfulness_shifted": 0.05 if shown else -0.02,
        "randomised_correlation": 0.12,
        "permuted_correlation": None,
        "knockout_agreement": 0.71 if claims else 0.11,
        "stability": stability(leader, name.endswith("occlusion")) if claims else None,
        "agreement": {other: 0.62 for other in CLAIMS if other != name} if claims else {},
        "shown": shown,
        "reason": reason,
    }


def attribution() -> dict[str, Any]:
    good = "insertion minus deletion, less random: 0.08 (0.05 to 0.11), 46 people"
    out = {}
    for task, leader, works in (
        ("participant", "QRS", True),
        ("sex", "T", True),
        ("beat", "QRS", True),
        ("age", "P", False),
    ):
        out[task] = {
            name: method(name, works, leader, good if works else NEAR_CHANCE, 2.2 + 0.3 * k)
            for k, name in enumerate(CLAIMS)
        }
        for k, name in enumerate(("rollout", "cls-attention")):
            bad = f"no better than random; insertion minus deletion, less random: -0.0{k + 1} (-0.03 to 0.01), 46 people"
            out[task][name] = method(name, False, "T", bad if works else NEAR_CHANCE)
        out[task]["random"] = method("random", False, "T", "negative control: random scores")
    return out


def beat() -> dict[str, Any]:
    t = (np.arange(200) - 75) / 250
    waves = (
        (0.25, -0.16, 0.022),
        (-0.35, -0.022, 0.007),
        (3.2, 0.0, 0.009),
        (-0.7, 0.024, 0.009),
        (0.75, 0.24, 0.045),
    )
    x = sum(a * np.exp(-((t - m) ** 2) / (2 * s**2)) for a, m, s in waves) - 0.25
    component, start = [], 0
    for end, code in COMPONENT_ENDS:
        component += [code] * (end - start)
        start = end
    token = np.repeat(np.arange(40), 5)
    relevance = {}
    for number, task in enumerate(("participant", "sex", "beat", "age")):
        bump = np.exp(-((token - (15 if number % 2 == 0 else 26)) ** 2) / 14.0)
        relevance[task] = {
            name: list(0.25 + 2.5 * bump * (1 + 0.3 * np.sin(token * (k + 1))))
            for k, name in enumerate((*CLAIMS, "rollout", "cls-attention", "random"))
        }
    return {"x": list(x), "component": component, "relevance": relevance}


def by_site() -> dict[str, Any]:
    def site(number: int, leader: str) -> dict[str, Any]:
        if number == 3:
            return {"n_participants": 6, "components": None, "reason": "too few people: 6, and 10 are needed"}
        return {"n_participants": 14, "components": shares(leader, 2.0 + 0.3 * number), "reason": None}

    return {
        task: {name: {place: site(k, leader) for k, place in enumerate(SITES)} for name in CLAIMS}
        for task, leader in (("participant", "QRS"), ("sex", "T"), ("age", "P"))
    }


def at_sites() -> list[dict[str, Any]]:
    row = {
        "task": "participant",
        "head": "own",
        "method": "gradient-attention",
        "n_participants": 24,
        "accuracy": 0.94,
        "reason": None,
    }
    few = {
        "n_participants": 6,
        "components": None,
        "reason": "too few people: 6, and 10 are needed",
        "accuracy": None,
    }
    out = [row | {"site": site, "components": shares("QRS")} for site in SITES[:3]]
    return [
        *out,
        row | few | {"site": SITES[3]},
        row | {"site": SITES[0], "task": "sex", "head": "shared", "components": shares("T")},
    ]


def fiducial_models() -> list[dict[str, Any]]:
    features = [
        {"name": "R amplitude", "unit": "SD of the window", "component": "QRS", "share": 0.19},
        {"name": "QT interval", "unit": "ms", "component": "T", "share": 0.12},
        {"name": "P-R interval", "unit": "ms", "component": "PQ", "share": 0.08},
    ]
    whole = {
        "task": "participant", "site": "pooled", "metric": "rank-1", "value": 0.61, "ci95": [0.52, 0.7], "majority": 0.01, "vit": 0.8,
        "vit_ci95": [0.72, 0.88], "n_participants": 92, "components": {"P": 0.11, "PQ": 0.1, "QRS": 0.42, "ST": 0.09, "T": 0.28},
        "agreement": {"gradient-attention": 0.6, "occlusion": 0.9}, "features": features, "notes": None,
    }  # fmt: skip
    none = dict.fromkeys(("value", "ci95", "majority", "vit", "vit_ci95", "components", "agreement"))
    return [whole, whole | {"task": "sex", "metric": "balanced accuracy", "value": 0.66, "ci95": [0.55, 0.77], "majority": 0.5, "vit": 0.68},
            whole | none | {"task": "sex", "site": "synth-d", "n_participants": 6, "features": [], "notes": "not measurable: 6 people"}]  # fmt: skip


def change(component: str, how: str, attack: str, difference: float | None, **more: Any) -> dict[str, Any]:
    cell = {"before": 0.86, "after": 0.85, "difference": -0.01, "ci95": [-0.03, 0.02]}
    cost = {"before": 0.68, "after": 0.6, "difference": -0.08, "ci95": [-0.12, -0.03]}
    known = difference is not None
    return {
        "component": component, "change": how, "attack": attack, "metric": "rank-1", "before": 0.8 if known else None,
        "after": 0.8 + difference if known else None, "difference": difference,
        "ci95": [difference - 0.06, difference + 0.06] if known else None, "utility": {"beat": cell, "sex": cost},
        "n_participants": 88, "notes": "other-session, gallery of 96" if known else "not measurable: no gallery",
    } | more  # fmt: skip


def what_if() -> list[dict[str, Any]]:
    return [
        change("QRS", "mean", "pca-lda", -0.3),
        change("QRS", "mean", "pca-lda-adapted", -0.18),
        change(
            "QRS", "mean", "pca-lda-adapted", 0.09, metric="EER", before=0.1, after=0.19, ci95=[0.05, 0.12]
        ),
        change("T", "mean", "pca-lda-adapted", -0.04),
        change("T", "flat", "pca-lda-adapted", 0.1),
        change("P", "swap", "pca-lda-adapted", None),
    ]


def parts() -> dict[str, Any]:
    """Everything since 1.4, and the maps."""
    return {
        "attribution": attribution(), "attribution_by_site": by_site(), "attribution_at_sites": at_sites(),
        "fiducial_models": fiducial_models(), "what_if": what_if(), "example_beat": beat(),
    }  # fmt: skip
