"""Which options go together; each check raises `ValueError` with the key and the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, Context
from typing import TYPE_CHECKING, Any

from transecg_core.names import EXTRA_SITES, MAX_SITES, SITE_NAMES, SITES, TASKS, is_site_name, nearest

if TYPE_CHECKING:
    from transecg_core.config import RunConfig


def check_sites(cfg: RunConfig) -> None:
    """Check which sites, as far as the options alone say, and where their data is."""
    if cfg.cohort == "node" and cfg.sites == "auto":
        raise ValueError("cohort=node needs sites=NAME,NAME,... (the names that the SuperNodes declare)")
    _check_place(cfg)
    known = SITES[cfg.cohort] + EXTRA_SITES.get(cfg.cohort, ()) if cfg.cohort in SITES else None
    names = cfg.site_names if cfg.sites_known else None  # parsing looks at no disk
    for site in names or ():
        if not is_site_name(site):
            raise ValueError(f"sites: '{site}' is no site name; use {SITE_NAMES}")
        if known is not None and site not in known:
            other = next((f"; it belongs to cohort={c}" for c, names in SITES.items() if site in names), None)
            raise ValueError(f"sites: no {cfg.cohort} site named '{site}'{other or nearest(site, known)}")
    if names is not None and not 2 <= len(names) <= MAX_SITES:
        raise ValueError(f"sites: a federation has between 2 and {MAX_SITES} sites")


def _check_place(cfg: RunConfig) -> None:
    """Check that the options say where the data is, once and only where it is of use."""
    if cfg.cohort == "real" and not cfg.data_root:
        raise ValueError(
            "cohort=real needs data-root=FOLDER (the folder that holds ecgiddb/, mitdb/, ludb/, ptbxl/)"
        )
    if cfg.cohort == "folder" and bool(cfg.data_root) == bool(cfg.sites_file):
        raise ValueError(
            "cohort=folder needs data-root=FOLDER (one sub-folder per site) or sites-file=FILE, and not both"
        )
    if cfg.data_root and cfg.cohort not in ("real", "folder"):
        raise ValueError("data-root has no effect here; add cohort=real or cohort=folder")
    if cfg.sites_file and cfg.cohort != "folder":
        raise ValueError("sites-file has no effect here; add cohort=folder")


def check_tasks(cfg: RunConfig) -> None:
    """Check that the tasks exist, and that privacy can cover them."""
    if cfg.tasks_named:
        for task in cfg.tasks.split(","):
            if task not in TASKS:
                raise ValueError(f"tasks: no task named '{task}'{nearest(task, TASKS)}")
    if cfg.trained_part == "head" and not set(cfg.task_names) - {"participant"}:
        raise ValueError(
            "trainable=head has nothing shared to train with tasks=participant; add a utility task"
        )


PRIVACY_ONLY = (
    "target-epsilon",
    "delta",
    "clip-norm",
    "windows-per-draw",
    "participant-slots",
    "ledger",
)
"""Options that mean nothing without a unit of privacy."""


def max_delta(people: int) -> float:
    """Return the largest delta that `people` participants allow: 1/(10 n)."""
    return 1 / (10 * people)


def max_delta_words(people: int) -> str:
    """Return `max_delta` for a message: rounded down, so that what is read there is allowed."""
    return f"use at most 1/(10 n) = {float(Context(3, ROUND_DOWN).create_decimal_from_float(max_delta(people))):g}"


def check_privacy(cfg: RunConfig, usual: Mapping[str, Any]) -> None:
    """Refuse what would be ignored: whoever asks for epsilon 1 must not get a run without privacy."""
    given = [key for key in PRIVACY_ONLY if getattr(cfg, key.replace("-", "_")) != usual[key]]
    if cfg.privacy == "none":
        if given:
            raise ValueError(f"{given[0]} has no effect with privacy=none; add privacy=participant")
        if cfg.noise == "off":
            raise ValueError(
                "noise=off needs privacy=window or privacy=participant; it is their reference arm"
            )
        return
    if cfg.cohort == "synthetic" and cfg.people is not None and cfg.delta > max_delta(cfg.people):
        raise ValueError(
            f"delta={cfg.delta:g} is too large for {cfg.people} people a site; {max_delta_words(cfg.people)}"
        )
    if "windows-per-draw" in given and cfg.privacy == "window":
        raise ValueError("windows-per-draw has no effect with privacy=window: a drawn window is one window")
    if "participant-slots" in given and "participant" not in cfg.task_names:
        raise ValueError("participant-slots has no effect without the participant task; name it in tasks=")
    if cfg.ledger and cfg.cohort == "node":
        raise ValueError("ledger: with cohort=node every institution names its own, in its --node-config")
