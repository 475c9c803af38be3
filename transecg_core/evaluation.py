"""From the trained weights to the report: rebuild the audit's view, attack, attribute, write."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file
from torch import Tensor

from transecg_core.attribution import attribute, attribution_by_site, example_beat, explain
from transecg_core.attribution.fiducial_model import fiducial_models
from transecg_core.attribution.permuted import permuted_model_maker
from transecg_core.attribution.what_if import what_if
from transecg_core.audit_models.for_audit import audit_model_maker
from transecg_core.audit_models.recipe import recipe_ceilings
from transecg_core.cohorts import open_site
from transecg_core.cohorts.schema import SiteSource
from transecg_core.config import RunConfig, defaults, parse
from transecg_core.model.card import model_card
from transecg_core.model.heads import LOCAL_TASKS, SiteModel, load_shared, new_site_model, shared_state
from transecg_core.privacy.account import (
    RawMechanism,
    at_two_sites,
    ceiling_curves,
    claimed_unit,
    privacy_elsewhere,
    privacy_section,
)
from transecg_core.privacy.releases import releases_for
from transecg_core.report import SCHEMA_VERSION, complete, write_report
from transecg_core.report.duplicates import duplicates_section
from transecg_core.report.families import not_measured
from transecg_core.report.groups import risk_groups
from transecg_core.report.limits import LimitFacts, limits
from transecg_core.report.listing import write_listing, write_people
from transecg_core.report.manifest import manifest
from transecg_core.report.people import SYNTHETIC, UNDECLARED
from transecg_core.report.threat import threat_model
from transecg_core.risk.audit import audit
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.risk.duplicates import resolve_duplicates
from transecg_core.run_record import RunRecord
from transecg_core.seeds import seed_for
from transecg_core.sites import Site, prepare
from transecg_core.utility import utility


def audit_sources(cfg: RunConfig) -> tuple[SiteSource, ...]:
    """Return what the audit reads: every site in a simulation, embedded synthetic people in a pilot."""
    if cfg.cohort == "node":
        cfg = _public_people(cfg)
    return tuple(open_site(cfg, name) for name in cfg.site_names)


def _public_people(cfg: RunConfig) -> RunConfig:
    return parse({"profile": cfg.profile, "seed": cfg.seed, "audit-split": "none", "protocol": cfg.protocol})


def audit_context(
    record: RunRecord, weights: Mapping[str, Tensor], sources: tuple[SiteSource, ...],
    say: Callable[[str], None] = lambda line: None,
) -> AuditContext:  # fmt: skip
    """Return what the audit works on.

    In a simulation that is every site's own data. In a pilot the server holds nobody's ECG, so
    it audits on embedded synthetic people, none of whom trained the model.
    """
    cfg, prepared = record.cfg, _prepared(record.cfg, sources)
    model, random_model = audit_models(cfg, weights, record.tasks)
    trains = audit_model_maker(cfg, prepared, _trained_sites(record), audited_model, say)
    there = [site for site in prepared if site.data.name in _trained_sites(record)]
    return AuditContext(
        sites=_audit_sites(record, prepared), model=model, random_model=random_model, tasks=record.tasks,
        membership=cfg.cohort != "node" and cfg.audit_split == "halves",
        bootstrap=cfg.settings.bootstrap, seed=cfg.seed, attribution_windows=cfg.settings.attribution_windows,
        ceilings=ceiling_curves(cfg, _raw(record)) if cfg.cohort != "node" else None,
        strangers=cfg.cohort == "node",
        start_model=None if record.start is None else audited_model(cfg, record.start, record.tasks),
        observed=record.observed,
        permuted_model=permuted_model_maker(cfg, prepared, _trained_sites(record), audited_model, say),
        audit_models=trains, recipe_ceilings=None if trains is None else recipe_ceilings(cfg, there),
    )  # fmt: skip


def audit_models(
    cfg: RunConfig, weights: Mapping[str, Tensor], tasks: tuple[str, ...]
) -> tuple[SiteModel, SiteModel]:
    """Return the model to audit and an untrained one, with the shared heads of `tasks` only.

    A head that nobody trained says nothing about anybody: its losses would only blur an attack.

    Raises
    ------
    ValueError
        If the weights don't fit.
    """
    # Another seed than the run's own start: "random init" must be a draw, not the same weights.
    floor = new_site_model(cfg.patch, cfg.task_names, seed_for(cfg.seed, "random floor"), participants=1)
    return audited_model(cfg, weights, tasks), audited_model(cfg, shared_state(floor), tasks)


def audited_model(cfg: RunConfig, weights: Mapping[str, Tensor], tasks: tuple[str, ...]) -> SiteModel:
    """Return the model of these weights with the shared heads of `tasks` only."""
    model = new_site_model(cfg.patch, cfg.task_names, seed_for(cfg.seed, "init"), participants=1)
    load_shared(model, weights)
    for task in [name for name in model.heads if name in LOCAL_TASKS or name not in tasks]:
        del model.heads[task]
    model.eval()
    return model


def _prepared(cfg: RunConfig, sources: tuple[SiteSource, ...]) -> tuple[Site, ...]:
    people = _public_people(cfg) if cfg.cohort == "node" else cfg
    return tuple(prepare(people, source) for source in sources)


def _trained_sites(record: RunRecord) -> set[str]:
    """Return the sites that have a part in the model: some update of theirs was neither missed nor refused."""
    return {site for site, account in record.accounts.items() if account.accepted}


def _audit_sites(record: RunRecord, prepared: tuple[Site, ...]) -> tuple[AuditSite, ...]:
    cfg, sites = record.cfg, (site.data for site in prepared)
    if cfg.cohort == "node":  # nobody here trained: no controls to tell apart, everybody is the main group
        return tuple(sites)
    trained = _trained_sites(record)
    return tuple(
        site if site.name in trained else replace(site, member_P=np.zeros_like(site.member_P))
        for site in sites
    )


def report_run(
    record: RunRecord, weights: Mapping[str, Tensor], folder: Path, say: Callable[[str], None]
) -> Path:
    """Write ``encoder.safetensors``, its model card, ``report.json`` and ``report.html``.

    Returns
    -------
    Path
        The report page.
    """
    cfg = record.cfg
    sources = audit_sources(cfg)
    ctx = resolve_duplicates(audit_context(record, weights, sources, say))
    body = measured(record, ctx, sources, say)
    if not ctx.strangers:
        write_listing(ctx, folder)
        write_people(ctx, body["people_at_risk"], folder)
    card = model_card(cfg, record.tasks, body)
    # One metadata key only: safetensors writes several in random order, and equal runs must be equal bytes.
    metadata = {"card": json.dumps(card, sort_keys=True)}
    save_file(released(weights, record.tasks), folder / "encoder.safetensors", metadata=metadata)
    (folder / "model-card.json").write_text(
        json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    return write_report(body, folder)


def released(weights: Mapping[str, Tensor], tasks: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the weights that are published: the encoder, and the heads that somebody trained."""
    return {
        name: value
        for name, value in weights.items()
        if name.split(".")[0] != "heads" or name.split(".")[1] in tasks
    }


def measured(
    record: RunRecord, ctx: AuditContext, sources: tuple[SiteSource, ...], say: Callable[[str], None]
) -> dict[str, Any]:
    """Return the whole report document of one run."""
    cfg, ctx = record.cfg, resolve_duplicates(ctx)
    say("audit: signal linkability, model capability, training leakage")
    found = audit(ctx)
    say("audit: attribution")
    groups = explain(ctx)
    falling = still_falling(record.rounds)
    facts = replace(_facts(record, ctx), not_measured=not_measured([row.as_dict() for row in found.rows]))
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "edition": "shareable" if cfg.cohort == "node" else "local",
        "manifest": manifest(
            _shareable(cfg),
            record.engine,
            record.command or command_line(_shareable(cfg)),
            _hashes(cfg, sources),
        ),
        "data": {
            "kind": "synthetic" if cfg.cohort == "synthetic" else "real",
            "audited_on": _audited_on(ctx),
            "sites": _data_rows(record),
            "duplicates": duplicates_section(None if ctx.strangers else ctx.duplicates),
        },
        "training": {"profile": cfg.profile, "still_falling": falling, "rounds": record.rounds},
        "privacy": _privacy(record, facts),
        "releases": _releases(record),
        "utility": utility(ctx),
        "risks": [row.as_dict() for row in found.rows],
        "risk_curves": [curve.as_dict() for curve in found.curves],
        "people_at_risk": [person.as_dict() for person in found.people] if cfg.cohort != "node" else [],
        "risk_groups": risk_groups(found.groups, shareable=cfg.cohort == "node"),
        "rebuilt_beats": [pair.as_dict() for pair in found.rebuilt],
        "attribution": (maps := attribute(ctx, groups)),
        "attribution_by_site": attribution_by_site(ctx, groups),
        "attribution_at_sites": [dict(row) for row in record.at_sites],
        "example_beat": example_beat(ctx, groups),
        "what_if": [] if cfg.profile == "quick" else what_if(ctx),
        "fiducial_models": [] if cfg.profile == "quick" else fiducial_models(ctx, maps),
        "threat_model": threat_model(),
        "limits": limits(cfg, facts, record.rounds, falling),
    }
    return complete(report)  # validated, with the verdict derived from the figures


def command_line(cfg: RunConfig) -> str:
    """Return the command that repeats this run: every option that differs from its default."""
    usual = defaults()
    options = {key: value for key, value in cfg.model_dump(by_alias=True).items() if value != usual[key]}
    options.pop("output-dir", None)
    return " ".join(["transecg run", *(shlex.quote(f"{key}={value}") for key, value in options.items())])


def _releases(record: RunRecord) -> list[dict[str, Any]]:
    """Return what left the sites, and under which cover; of a model from elsewhere nobody can say."""
    cfg = record.cfg
    if record.elsewhere:
        return []
    return [asdict(release) for release in releases_for(claimed_unit(cfg), cfg.cohort != "node")]


def _audited_on(ctx: AuditContext) -> str:
    return SYNTHETIC if ctx.strangers else UNDECLARED if ctx.undeclared else "participants"


def _shareable(cfg: RunConfig) -> RunConfig:
    """Return the config without this machine's paths, where the report may leave it."""
    return cfg.model_copy(update={"output_dir": "", "data_root": ""}) if cfg.cohort == "node" else cfg


def _hashes(cfg: RunConfig, sources: tuple[SiteSource, ...]) -> dict[str, str]:
    return {} if cfg.cohort == "node" else {source.name: source.fingerprint for source in sources}


def _data_rows(record: RunRecord) -> list[dict[str, Any]]:
    """Return each site's own row; what it withheld is null, and an absent site trained nobody."""
    withheld: dict[str, Any] = {"records": None, "sessions": None, "windows": None, "skipped": {}}
    rows = []
    for site in sorted(record.described):
        row = withheld | record.described[site]
        trained = record.elsewhere or record.accounts[site].accepted
        rows.append(row if trained else row | {"trained_on": 0})
    return rows


def _raw(record: RunRecord) -> dict[str, tuple[RawMechanism, ...]]:
    return {site: account.mechanisms for site, account in record.accounts.items()}


def _privacy(record: RunRecord, facts: LimitFacts) -> dict[str, Any]:
    if record.elsewhere:
        return privacy_elsewhere()
    lifetimes = {site: account.lifetime for site, account in record.accounts.items()}
    return privacy_section(record.cfg, _raw(record), lifetimes, facts.epsilon_at_two_sites)


def _facts(record: RunRecord, ctx: AuditContext) -> LimitFacts:
    """Return the counts behind the sentences about limits."""
    people = {site.name: set(site.person_P) for site in ctx.sites}
    pairs = [(a, b) for a in people for b in people if a < b and people[a] & people[b]]
    coins = [pair for site in ctx.sites for pair in zip(site.person_P, site.member_P, strict=True)]
    controls = {person for person, _ in coins} - {person for person, member in coins if member}
    return LimitFacts(
        controls=len(controls) if ctx.membership else 0,
        at_two_sites=len(set.union(*(people[a] & people[b] for a, b in pairs))) if pairs else 0,
        epsilon_at_two_sites=at_two_sites(record.cfg, _raw(record), pairs),
        people=len(set.union(*people.values())),
        second_day=sum(site.people_with_second_day() for site in ctx.sites),
        splits=tuple(f"{site.name}: {note}" for site in ctx.sites for note in site.split.notes),
        elsewhere=record.elsewhere,
        declared=record.elsewhere and ctx.membership,
        duplicates=None if ctx.strangers else ctx.duplicates,
    )


def still_falling(rounds: list[dict[str, Any]]) -> bool | None:
    """Return whether the mean loss of the last quarter of the rounds is over 2 % below the quarter before.

    None where losses are withheld or the rounds are too few to tell.
    """
    means = [np.mean([v for v in r["loss"].values() if v is not None]) for r in rounds if any(
        v is not None for v in r["loss"].values())]  # fmt: skip
    quarter = len(means) // 4
    if len(means) != len(rounds) or quarter < 1:
        return None
    last, before = np.mean(means[-quarter:]), np.mean(means[-2 * quarter : -quarter])
    return bool(last < 0.98 * before)
