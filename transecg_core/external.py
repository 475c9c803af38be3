"""Auditing a model that was trained elsewhere, with this encoder's shape.

What its owner says about it is not believed: only the weights are read, and the file's own
metadata is ignored. Kinds A and B need nothing else. Kind C needs somebody to declare whom the
model was trained on, and says in the report that it was declared.
"""

from __future__ import annotations

import csv
import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from transecg_core.cohorts import open_site
from transecg_core.cohorts.schema import SiteSource
from transecg_core.config import RunConfig, option_names
from transecg_core.errors import UserError
from transecg_core.evaluation import audit_models, measured
from transecg_core.model.heads import CLASSES, SiteModel
from transecg_core.report.describe import describe_site
from transecg_core.risk.context import DECLARED, AuditContext, AuditSite
from transecg_core.risk.duplicates import resolve_duplicates
from transecg_core.run_record import RunRecord
from transecg_core.signals.cache import cached_windows
from transecg_core.sites import Site, prepare

MAX_BYTES = 64_000_000
"""Far above any encoder of this shape (0.3 MB); a file over it is not one."""
OPTIONS = (
    "cohort", "sites", "data-root", "sites-file", "participants-per-site", "protocol", "profile", "seed",
    "output-dir",
)  # fmt: skip
"""Run options that mean something for a model that is already trained."""
Members = Mapping[str, frozenset[str]]
"""Site -> local ids of the people declared to be in the training set."""


def audit_options(pairs: Mapping[str, str], weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the run options of an audit: the user's, and the shape and tasks of the weights.

    Raises
    ------
    UserError
        For an option that only training has.
    """
    for key in pairs:
        if key in option_names() and key not in OPTIONS:
            raise UserError(
                f"{key} has no effect: the model is already trained; options: {', '.join(OPTIONS)}"
            )
    if pairs.get("cohort") == "node":
        raise UserError("cohort=node has nothing to audit on here; use synthetic, real or folder")
    heads = [task for task in CLASSES if f"heads.{task}.weight" in weights]
    shape = {
        "patch": str(weights["encoder.embed.weight"].shape[-1]),
        "tasks": ",".join(["participant", *heads]),
    }
    return {**pairs, **shape, "audit-split": "none"}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file with this encoder's parameters and any of its shared heads.

    Raises
    ------
    UserError
        If it is no such file.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(f"{path}: {size} bytes is no encoder of this shape; at most {MAX_BYTES}")
        weights = load(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a safetensors file") from None
    except SafetensorError as error:
        raise UserError(f"{path}: not a safetensors file ({' '.join(str(error).split())})") from None
    if "encoder.embed.weight" not in weights or weights["encoder.embed.weight"].ndim != 2:
        raise UserError(f"{path}: no encoder.embed.weight; give the encoder.safetensors of a run")
    if local := [name for name in weights if name.startswith("heads.participant.")]:
        raise UserError(
            f"{path}: holds {local[0]}, a list of participants; remove it before sharing the model"
        )
    return weights


def read_members(path: Path) -> Members:
    """Read who is declared to be in the training set: a CSV with the columns ``site`` and ``participant``.

    Raises
    ------
    UserError
        With the line that is wrong.
    """
    try:
        reader = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--members {path}: can't be read ({error})") from None
    members: dict[str, set[str]] = {}
    for line, row in rows:
        # Composed, as the participants table's ids are: some systems write letters and accents apart.
        site, participant = (
            unicodedata.normalize("NFC", row.get(key) or "").strip() for key in ("site", "participant")
        )
        if not site or not participant:
            raise UserError(
                f"--members {path}: line {line} lacks site or participant; both columns are needed"
            )
        members.setdefault(site, set()).add(participant)
    if not members:
        raise UserError(
            f"--members {path}: names nobody; it needs the columns site and participant, and rows"
        )
    return {site: frozenset(people) for site, people in members.items()}


def audit_model(
    weights: Mapping[str, Tensor], cfg: RunConfig, members: Members | None, command: str,
    say: Callable[[str], None],
    told: Callable[[AuditContext, Mapping[str, Any]], None] = lambda ctx, body: None,
) -> dict[str, Any]:  # fmt: skip
    """Measure A and B on a cohort, and C where members are declared.

    Parameters
    ----------
    weights
        As `read_weights` returns them.
    cfg
        From `audit_options`.
    members
        Who was trained on; None if nobody says.
    command
        Repeats this audit; stands in the report.
    told
        Called last with the context and the report, by whoever lists names beside it.

    Returns
    -------
    dict
        The report.

    Raises
    ------
    UserError
        If the weights or the declared members don't fit.
    """
    try:
        model, random_model = audit_models(cfg, weights, cfg.task_names)
    except ValueError as error:
        raise UserError(f"the model can't be audited: {error}; it must have this encoder's shape") from None
    sources = tuple(open_site(cfg, name) for name in cfg.site_names)
    _refuse_overflow(model, sources)
    trained = None if members is None else _canonical(members, sources)
    sites = tuple(_site(cfg, source, trained) for source in sources)
    _check_members(members, sites)
    ctx = AuditContext(
        sites=tuple(site.data for site in sites), model=model, random_model=random_model, tasks=cfg.task_names,
        membership=members is not None, undeclared=members is None, members_by=DECLARED,
        bootstrap=cfg.settings.bootstrap,
        seed=cfg.seed, attribution_windows=cfg.settings.attribution_windows, ceilings=None,
    )  # fmt: skip
    ctx = resolve_duplicates(ctx)
    record = RunRecord(cfg, "audit-model", [], {}, _rows(sites, members), cfg.task_names, command)
    body = measured(record, ctx, sources, say)
    shown = body["manifest"]["config"]  # what training would have used says nothing about this model
    body["manifest"]["config"] = {key: shown[key] for key in (*OPTIONS, "patch", "tasks")}
    body["manifest"]["data_hashes"]["encoder.safetensors"] = _digest(weights)
    told(ctx, body)
    return body


def _refuse_overflow(model: SiteModel, sources: tuple[SiteSource, ...]) -> None:
    """Refuse finite weights that are so large that what they compute is not."""
    for source in sources:
        windows = cached_windows(source)
        rows = np.linspace(0, len(windows) - 1, min(len(windows), 64)).astype(np.int64)
        with torch.inference_mode():
            z_ND = model.encoder(torch.from_numpy(np.array(windows.x_NL[rows])))
        if not bool(torch.isfinite(z_ND).all()):
            raise UserError(
                f"the model can't be audited: its embeddings of site '{source.name}' are not finite"
            )


def _digest(weights: Mapping[str, Tensor]) -> str:
    return hashlib.sha256(save({name: weights[name] for name in sorted(weights)})).hexdigest()


def _canonical(members: Members, sources: tuple[SiteSource, ...]) -> frozenset[str]:
    """Return the persons behind the declared ids: whoever trained at one site is no control at another."""
    return frozenset(
        source.person(local) for source in sources for local in members.get(source.name, frozenset())
    )


def _site(cfg: RunConfig, source: SiteSource, trained: frozenset[str] | None) -> Site:
    site = prepare(cfg, source)
    if trained is None:
        return site
    member_P = np.array([person in trained for person in site.data.person_P], dtype=bool)
    return replace(site, data=replace(site.data, member_P=member_P))


def _check_members(members: Members | None, sites: tuple[Site, ...]) -> None:
    """Refuse a declaration that names a site or a person that isn't there: a typo would look like a control."""
    if members is None:
        return
    known: dict[str, AuditSite] = {site.data.name: site.data for site in sites}
    for name, people in members.items():
        if name not in known:
            raise UserError(f"--members: no site '{name}'; sites: {', '.join(sorted(known))}")
        if odd := sorted(people - set(known[name].windows.participants)):
            raise UserError(
                f"--members: site '{name}': {len(odd)} of {len(people)} declared people have no usable record, or are "
                f"misspelt ({', '.join(odd[:3])}); correct or remove them"
            )


def _rows(sites: tuple[Site, ...], members: Members | None) -> dict[str, dict[str, object]]:
    rows = {site.data.name: describe_site(site, shareable=False) for site in sites}
    return rows if members is not None else {name: row | {"trained_on": None} for name, row in rows.items()}
