"""The card that travels with the weights."""

from __future__ import annotations

from typing import Any

from transecg_core.config import RunConfig
from transecg_core.privacy.account import guaranteed


def model_card(cfg: RunConfig, tasks: tuple[str, ...], report: dict[str, Any]) -> dict[str, Any]:
    """Return the model card: what the weights are, who trained them, for which `tasks`, what privacy covers, limits.

    Holds nothing that depends on the engine, the clock or the machine, so that equal runs
    write equal bytes.
    """
    privacy = report["privacy"]
    return {
        "name": "TransECG-FL encoder",
        "architecture": f"1-D ViT, d 64, 2 blocks, 4 heads, patches of {cfg.patch} samples at 250 Hz, 200-sample windows",
        "input": "R-aligned windows R-0.30 s..R+0.50 s at 250 Hz, 0.5-40 Hz, z-normed per window",
        "tasks": list(tasks),
        "data_kind": report["data"]["kind"],
        "sites": {row["name"]: {"trained_on": row["trained_on"]} for row in report["data"]["sites"]},
        "training": {
            "rounds": cfg.rounds,
            "local_steps": cfg.steps,
            "seed": cfg.seed,
            "start": cfg.start_from,
            "trainable": cfg.trained_part,
        },
        "privacy": {
            "unit": privacy["unit"],
            "guarantee": guaranteed(cfg),
            "delta": cfg.delta if guaranteed(cfg) else None,
            "covers": privacy["covers"],
            "simulation_noise": privacy["simulation_noise"],
            "epsilon_participant": {row["name"]: row["epsilon_participant"] for row in privacy["sites"]},
        },
        "intended_use": "measuring re-identification risk; not for diagnosis",
        "limits": report["limits"],
    }
