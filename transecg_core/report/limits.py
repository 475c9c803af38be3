"""What a run can't say; printed in every report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transecg_core.config import RunConfig
from transecg_core.report.duplicates import limits_of
from transecg_core.risk.duplicates import Duplicates

MIN_CONTROLS = 40


@dataclass(frozen=True)
class LimitFacts:
    """Counts behind the sentences.

    Attributes
    ----------
    controls
        People that the membership coin kept out of training.
    at_two_sites
        People known to be at two sites.
    epsilon_at_two_sites
        Their epsilon: both sites' composed; None without a guarantee, or without such people.
    people, second_day
        People audited, and how many of them (per site) have usable records of a second session.
    splits
        What the split left out or could not offer, by site.
    elsewhere
        The model was trained elsewhere; ``declared``: somebody says on whom.
    duplicates
        Recordings that appear twice; None where nobody could look.
    not_measured
        Families of attacks without any figure in this run.
    """

    controls: int
    at_two_sites: int
    epsilon_at_two_sites: float | None
    people: int
    second_day: int
    splits: tuple[str, ...]
    elsewhere: bool = False
    declared: bool = False
    duplicates: Duplicates | None = None
    not_measured: tuple[str, ...] = ()


def limits(
    cfg: RunConfig, facts: LimitFacts, rounds: list[dict[str, Any]], still_falling: bool | None
) -> list[str]:
    """Return the limits of this run as sentences; `rounds` is the report's training log."""
    training = [] if facts.elsewhere else _training(cfg, rounds, still_falling)
    privacy, audit = _privacy(cfg, facts), _audit(cfg, facts)
    if facts.elsewhere:
        privacy = _elsewhere(cfg, facts)
    copies = limits_of(facts.duplicates, cfg.privacy != "none")
    return [*_data(cfg, facts), *copies, *training, *privacy, *audit, *facts.splits]


def _elsewhere(cfg: RunConfig, facts: LimitFacts) -> list[str]:
    out = [
        "The model was trained elsewhere. Which of a person's recordings it saw is not known: probes may be among them."
    ]
    if cfg.profile == "quick":
        out.append("Profile quick resamples and explains too little for conclusions.")
    if not facts.declared:
        return [*out, "Nobody says whom it was trained on, so training leakage is not measurable."]
    return [
        *out,
        "Who was trained on is declared, not drawn by a coin: what tells members from others may be how the two groups "
        "differ, not that the model remembers.",
    ]


def _data(cfg: RunConfig, facts: LimitFacts) -> list[str]:
    if cfg.cohort == "synthetic":
        return [
            "All people here are synthetic. The generator's session drift and noise were calibrated on aggregate "
            "figures of ECG-ID; its figures are evidence about the tool, not about any real cohort.",
        ]
    if cfg.cohort in ("real", "folder"):
        no_twins = "No person is known to appear at two of these sites, so linkage across sites is not measurable here."
        whose = "Public cohorts of volunteers and patients, each with one device and one protocol"
        if cfg.cohort == "folder":
            whose = "Who is who, which day and which label are what each site's own table says"
        return [
            f"{whose}: site, device and population can't be told apart. {facts.second_day} of {facts.people} "
            "people have a second day.",
            *([] if facts.at_two_sites else [no_twins]),
        ]
    return [
        "The server holds no participant's ECG: identification and attribution were measured on embedded synthetic "
        "people, whom nobody trained on. Risks of the institutions' own participants were not measured.",
        "The server ships the code that runs at every site. Site policy and ledger can be trusted only as far as an "
        "institution reviews that code before it runs; this version does not yet approve bundles by hash.",
    ]


def _training(cfg: RunConfig, rounds: list[dict[str, Any]], still_falling: bool | None) -> list[str]:
    out = []
    if cfg.start_from == "synthetic":
        out.append(
            "Training started from weights pretrained on synthetic people, which costs no privacy budget. Aggregate "
            "figures of ECG-ID and mitdb informed that generator and the recipe."
        )
        if cfg.cohort == "synthetic":
            out.append(
                "In-distribution pretraining: these people come from the same generator, so what the model is good for "
                "here is not evidence for real data."
            )
    elif cfg.privacy != "none":
        out.append(
            "Training starts from random weights: no public or synthetic pretraining, which private training needs to "
            "be useful."
        )
    absent = {site: reason for row in rounds for site, reason in row["absent"].items()}
    for site, reason in sorted(absent.items()):
        missed = sum(site in row["absent"] for row in rounds)
        charged = (
            f" Its privacy row is planned; took part in {len(rounds) - missed} of {len(rounds)} rounds: what it missed is "
            "charged all the same, since a late or refused update may have been seen."
        )
        private = cfg.privacy != "none" and cfg.noise == "calibrated"
        out.append(
            f"Site {site} missed {missed} of {len(rounds)} rounds ({reason}).{charged if private else ''}"
        )
    if still_falling:
        out.append(
            "The training loss was still falling: model capability and training leakage are lower bounds."
        )
    if cfg.profile == "quick":
        out.append(
            "Profile quick trains too little for conclusions: it shows that everything works, not how large a risk is."
        )
    if cfg.protocol == "random-window":
        out.append(
            "LEAKY PROTOCOL: windows of one recording are on both sides; identification figures are inflated."
        )
    return out


def _privacy(cfg: RunConfig, facts: LimitFacts) -> list[str]:
    if cfg.privacy == "none":
        return [
            "No differential privacy: nothing bounds what the model reveals about its training participants."
        ]
    out = []
    if cfg.noise == "off":
        out.append("Noise is off: this is the clipped reference arm, without any guarantee.")
    elif cfg.cohort != "node":
        out.append(
            "Noise is drawn from a seed so that the run can be repeated; who knows the seed can remove it."
        )
    if facts.epsilon_at_two_sites is not None:
        out.append(
            f"{facts.at_two_sites} people are at two sites and pay at both: their epsilon is at most "
            f"{facts.epsilon_at_two_sites:.2f}."
        )
    if cfg.privacy == "window":
        out.append(
            "The guarantee is per selected window (after quality gate, split and cap). A person has many: read the "
            "participant epsilon beside it."
        )
    return out


def _audit(cfg: RunConfig, facts: LimitFacts) -> list[str]:
    out = [
        f"Attacks without a figure prove nothing. Here: {'; '.join(facts.not_measured) or 'none of those listed'}. Nor do "
        "attacks that nobody has thought of.",
        "Figures from tens of people have wide intervals. Intervals resample participants: one training run, and one "
        "draw of the untrained encoder, stand behind each figure.",
    ]
    if facts.elsewhere and not facts.declared:
        return out
    if cfg.audit_split == "none" and cfg.cohort != "node" and not facts.declared:
        out.append("audit-split=none: nobody was held out, so training leakage is not measurable.")
    elif cfg.cohort != "node" and facts.controls < MIN_CONTROLS:
        out.append(
            f"Only {facts.controls} controls: true positive rates at low false positive rates are not measurable."
        )
    return out
