"""``transecg inspect``: what a folder holds, what can be measured on it, and what has to be mended."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from transecg_core.errors import UserError

if TYPE_CHECKING:
    from transecg_core.cohorts.sites_file import SiteDeclaration
    from transecg_core.inspection import Inspection

EVERY_S = 10.0


def command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A site's folder, or one folder per site.")
    ] = None,
    sites_file: Annotated[Path | None, typer.Option(help="TOML file of sites, in place of DIR.")] = None,
    reader: Annotated[
        str | None, typer.Option(help="folder or a built-in [told by the layout of DIR].")
    ] = None,
    lead: Annotated[str | None, typer.Option(help="The lead to read [each record's first usable].")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a cohort against the contract and say what can be measured on it; status 1: not usable as it is."""
    sites = declarations(folder, sites_file, reader, lead)
    beside = beside_sites(folder, sites)
    found = inspect_all(sites, progress(), beside)
    if as_json:
        print(json.dumps(document(found), indent=2))
    else:
        from simulations.inspection_table import table

        where = {site.name: (site.reader, str(site.path)) for site in sites}
        print(
            "\n\n".join(
                table(one, *where.get(one.site, ("none: not a site", f"{folder}/{one.site}")))
                for one in found
            )
        )
    if not all(one.sound for one in found):
        raise typer.Exit(1)


def declarations(
    folder: Path | None, sites_file: Path | None, reader: str | None = None, lead: str | None = None
) -> list[SiteDeclaration]:
    """Return the sites to inspect.

    Raises
    ------
    UserError
        If it can't be told which they are.
    """
    from transecg_core.cohorts import READERS
    from transecg_core.cohorts.leads import LEADS, LeadChoice, lead_name
    from transecg_core.cohorts.listing import quoted
    from transecg_core.cohorts.sites_file import FOLDER, SiteDeclaration, read_sites
    from transecg_core.names import is_site_name, nearest

    if (folder is None) == (sites_file is None):
        raise UserError("give DIR (the folder to inspect) or --sites-file FILE, and not both")
    if sites_file is not None:
        if reader or lead:
            raise UserError("--sites-file says which reader and lead; leave --reader and --lead out")
        return list(read_sites(sites_file, READERS).values())
    assert folder is not None
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the one that holds the recordings")
    if reader is not None and reader not in (*READERS, FOLDER):
        raise UserError(f"--reader {reader}: no such reader{nearest(reader, (*sorted(READERS), FOLDER))}")
    choice = LeadChoice(None if lead is None else lead_name(lead))
    if choice.wanted is not None and choice.wanted not in LEADS:
        raise UserError(f"--lead {lead}: no such lead{nearest(choice.wanted, LEADS)}")
    folder = folder.resolve()
    below = _readers(folder, reader)
    names = {path: path.name if is_site_name(path.name) else "site" for path in below}
    if odd := [path.name for path in below if path != folder and not is_site_name(path.name)]:
        raise UserError(
            f"{quoted(odd[0])} is no site name; rename the folder: a-z, 0-9 and hyphens, 32 at most"
        )
    return [SiteDeclaration(names[path], kind, path, choice) for path, kind in below.items()]


def _readers(folder: Path, reader: str | None) -> dict[Path, str]:
    """Return the folders of sites and the reader of each: `folder` itself, or those below it."""
    from transecg_core.cohorts.listing import TABLE
    from transecg_core.cohorts.recognise import MARKS, reader_of, sites_in

    own = reader or reader_of(folder)
    if own is not None:
        return {folder: own}
    found = {folder / name: kind for name, kind in sites_in(folder).items()}
    if not found:
        known = ", ".join(MARKS)
        raise UserError(f"{folder}: no {TABLE}, nor the layout of {known}, here or one level below; write the table "
                        "(transecg init-data makes one), or name the layout with --reader")  # fmt: skip
    return found


def beside_sites(folder: Path | None, sites: Sequence[SiteDeclaration]) -> dict[str, tuple[str, str]]:
    """Return what a run on `folder` would refuse beside institutions' folders: name -> what is wrong, remedy.

    Public datasets alone are no mistake: that is the folder of ``cohort=real``.
    """
    from transecg_core.cohorts.recognise import FOLDER, left_out

    if folder is None or not any(site.path.parent == folder.resolve() for site in sites):
        return {}
    own = any(site.reader == FOLDER for site in sites)
    built_in = {site.name for site in sites if site.reader != FOLDER}
    return {name: why for name, why in left_out(folder.resolve()).items() if own or name not in built_in}


def inspect_all(
    sites: Sequence[SiteDeclaration],
    say: Callable[[str], None],
    beside: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> list[Inspection]:
    """Open and inspect sites; what keeps one from being opened, or a run from taking it (`beside`), is its problem."""
    from transecg_core.cohorts import open_declared
    from transecg_core.cohorts.contract import Problem
    from transecg_core.inspection import inspect_sites, no_site, unusable

    sources, closed = [], []
    for site in sites:
        try:
            sources.append(open_declared(site))
        except UserError as error:
            closed.append(unusable(site.name, error))
    found = {one.site: one for one in (*inspect_sites(sources, say), *closed)}
    for name, (what, remedy) in beside.items():
        one = found.get(name)
        problem = Problem("", what, remedy)
        found[name] = (
            no_site(name, what, remedy) if one is None else replace(one, problems=(*one.problems, problem))
        )
    return [found[name] for name in sorted(found)]


def document(found: Sequence[Inspection]) -> dict[str, object]:
    """Return what ``--json`` prints: one site's inspection, or ``sites``: name -> inspection."""
    if len(found) == 1:
        return found[0].as_dict()
    return {"sites": {one.site: one.as_dict() for one in found}}


def progress() -> Callable[[str], None]:
    """Return a function that says on standard error, every few seconds, where the reading stands."""
    last = time.monotonic()

    def say(line: str) -> None:
        nonlocal last
        if time.monotonic() - last > EVERY_S:
            last = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    return say
