"""Who and what was recorded: one entry point for synthetic and real sites."""

from __future__ import annotations

from pathlib import Path

from transecg_core.cohorts import ecgiddb, ludb, mitdb, ptbxl, qtdb
from transecg_core.cohorts.reader import Reader, make_source
from transecg_core.cohorts.schema import SiteSource
from transecg_core.config import RunConfig
from transecg_core.errors import UserError

READERS: dict[str, Reader] = {
    module.READER.name: module.READER for module in (ecgiddb, ludb, mitdb, ptbxl, qtdb)
}


def open_site(cfg: RunConfig, name: str) -> SiteSource:
    """Open a site of a simulation.

    Parameters
    ----------
    cfg
        Says which cohort, from where, and how many people.
    name
        One of the cohort's sites.

    Raises
    ------
    UserError
        If there is no such site, or its data can't be read.
    """
    if cfg.cohort == "synthetic":
        from transecg_core.cohorts import synthetic

        if cfg.people is None:
            raise UserError(f"site '{name}': a synthetic site needs participants-per-site")
        return synthetic.open_site(name, cfg.people, cfg.seed)
    root = Path(cfg.data_root)
    if not root.is_dir():
        raise UserError(
            f"data-root={root}: no such folder; give the one that holds {', '.join(sorted(READERS))}"
        )
    return open_reader(name, root / name, name, cfg.people)


def open_reader(reader: str, root: Path, site: str, people: int | None = None) -> SiteSource:
    """Open a folder with a built-in reader.

    Parameters
    ----------
    reader
        ``ecgiddb``, ``mitdb``, ``ludb``, ``ptbxl`` or ``qtdb``: PhysioNet's layout of that database.
    root
        The folder that holds it.
    site
        What the site is called.
    people
        Keep only this many people, None for everybody.

    Raises
    ------
    UserError
        If there is no such reader, or the folder holds nothing it can read.
    """
    if reader not in READERS:
        raise UserError(f"site '{site}': no reader named '{reader}'; there are {', '.join(sorted(READERS))}")
    return make_source(READERS[reader], root, site, people)
