"""Which options go together; each check raises `ValueError` with the key and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    if cfg.privacy != "none" and "participant" in cfg.task_names:
        raise ValueError(
            "tasks: the participant task couples people through its softmax, so no figure for a person would "
            "hold under privacy; leave it out (tasks=auto does)"
        )
