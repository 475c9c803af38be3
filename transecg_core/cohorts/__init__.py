"""Who and what was recorded: one entry point for synthetic and real sites."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from transecg_core.cohorts import ecgiddb, ludb, mitdb, ptbxl, qtdb
from transecg_core.cohorts.leads import EVERY_LEAD, LeadChoice
from transecg_core.cohorts.reader import Reader, make_source
from transecg_core.cohorts.recognise import left_out, refusal
from transecg_core.cohorts.schema import SiteSource
from transecg_core.cohorts.sites_file import FOLDER, SiteDeclaration, read_sites, site_folders
from transecg_core.config import RunConfig, parse
from transecg_core.errors import UserError
from transecg_core.names import EXTRA_SITES, SITES, nearest

READERS: dict[str, Reader] = {
    module.READER.name: module.READER for module in (ecgiddb, ludb, mitdb, ptbxl, qtdb)
}
NO_COLUMNS: Mapping[str, str] = MappingProxyType({})


def declared(cfg: RunConfig) -> dict[str, SiteDeclaration]:
    """Return where the sites of a simulation on real data are, and how each is read.

    Only ``cohort=folder`` looks at the disk for it: at the sub-folders, or at the sites file.

    Raises
    ------
    UserError
        If they can't be listed.
    """
    if cfg.cohort == "folder":
        return (
            read_sites(Path(cfg.sites_file), READERS) if cfg.sites_file else site_folders(Path(cfg.data_root))
        )
    root = Path(cfg.data_root)
    return {name: SiteDeclaration(name, name, root / name) for name in SITES["real"] + EXTRA_SITES["real"]}


def resolved(cfg: RunConfig) -> RunConfig:
    """Return `cfg` with ``sites=auto`` spelled out where the disk says which sites there are.

    Whoever starts a run calls this once; the sites themselves are named by the server and never ask.

    Raises
    ------
    UserError
        If a site asked for is not there, or fewer than two are.
    """
    if cfg.cohort != FOLDER:
        return cfg
    found, place = declared(cfg), cfg.sites_file or cfg.data_root
    if not cfg.sites_known:
        if not cfg.sites_file and (left := left_out(Path(cfg.data_root))):
            raise UserError(f"data-root={place}: {refusal(left)}")
        if len(found) < 2:
            raise UserError(
                f"{place}: holds one site only, '{next(iter(found))}'; a federation needs two or more"
            )
        return parse({**cfg.model_dump(by_alias=True), "sites": ",".join(sorted(found))})
    for site in cfg.site_names:
        if site not in found:
            left = {} if cfg.sites_file else left_out(Path(cfg.data_root))
            if site in left:
                raise UserError(f"data-root={place}: {refusal({site: left[site]})}")
            raise UserError(f"sites: no site named '{site}' in {place}{nearest(site, found)}")
    return cfg


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
    if cfg.data_root and not root.is_dir():
        raise UserError(
            f"data-root={root}: no such folder; give the one that holds {', '.join(sorted(READERS))}"
        )
    found = declared(cfg)
    if name not in found:
        raise UserError(f"no site named '{name}' in {cfg.sites_file or root}{nearest(name, found)}")
    return open_declared(found[name], cfg.people)


def open_declared(site: SiteDeclaration, people: int | None = None) -> SiteSource:
    """Open a site as it was declared; see `open_reader`."""
    return open_reader(site.reader, site.path, site.name, people, site.leads, site.columns)


def open_reader(
    reader: str,
    root: Path,
    site: str,
    people: int | None = None,
    leads: LeadChoice = EVERY_LEAD,
    columns: Mapping[str, str] = NO_COLUMNS,
) -> SiteSource:
    """Open a folder with a reader.

    Parameters
    ----------
    reader
        ``folder``, or ``ecgiddb``, ``mitdb``, ``ludb``, ``ptbxl`` or ``qtdb``: PhysioNet's layout of
        that database.
    root
        The folder that holds it.
    site
        What the site is called.
    people
        Keep only this many people, None for everybody.
    leads
        Which lead to read.
    columns
        Our column of the participants table -> theirs; for ``folder`` only.

    Raises
    ------
    UserError
        If there is no such reader, or the folder holds nothing it can read.
    """
    if reader == FOLDER:
        from transecg_core.cohorts.folder import open_folder  # its file formats are needed by nobody else

        return open_folder(root, site, people, leads, columns)
    if reader not in READERS:
        raise UserError(
            f"site '{site}': no reader named '{reader}'; there are {', '.join((*sorted(READERS), FOLDER))}"
        )
    return make_source(READERS[reader], root, site, people, leads)
