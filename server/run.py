"""One federated run from first contact to the report."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from flwr.serverapp import Grid
from safetensors.torch import save
from torch import Tensor

from server.attribution import ask_sites
from server.federation import Answer, Federation
from server.strategy import MIN_SITES, Refused, Update, aggregate, check
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.evaluation import report_run
from transecg_core.privacy.account import RawMechanism, planned_mechanism, spent
from transecg_core.risk.observed import Observed, RoundSeen, kept_rounds
from transecg_core.run_record import RunRecord, SiteAccount
from transecg_core.sites import applied, public_counts
from transecg_core.training.aggregation import averaged
from transecg_core.training.pretrain import starting_weights

Say = Callable[[str], None]
REASON = re.compile(r"[ -~]{1,100}")
COUNTS = ("participants", "trained_on", "records", "sessions", "windows", "duplicates")
MAX_FACTS = 20_000
"""Longest description of a site's data, in characters."""


@dataclass
class Coordinator:
    """Drives the rounds; the server itself never trains and, outside simulation, sees no ECG."""

    grid: Grid
    cfg: RunConfig
    folder: Path
    say: Say
    account: dict[str, SiteAccount] = field(default_factory=dict)
    planned: dict[str, RawMechanism | None] = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    trained: set[str] = field(default_factory=set)
    kept: frozenset[int] = frozenset()
    seen: list[RoundSeen] = field(default_factory=list)

    def run(self) -> Path:
        """Train, audit and report.

        Returns
        -------
        Path
            The report page.

        Raises
        ------
        UserError
            For anything the user can mend; what was finished stays in the run folder.
        """
        federation = Federation(self.grid, self.cfg)
        self.say(f"waiting for {len(self.cfg.site_names)} sites: {', '.join(self.cfg.site_names)}")
        federation.connect()
        described = self.describe(federation)
        start = weights = starting_weights(self.cfg, self.say)
        average: Mapping[str, Tensor] = start
        self.kept = kept_rounds(self.cfg, start)
        began = time.monotonic()
        for number in range(1, self.cfg.rounds + 1):
            weights = self.round(federation, number, weights)
            average = averaged(average, weights, self.cfg.ema_decay, number)
            self.progress(number, time.monotonic() - began)
        tasks = tuple(task for task in self.cfg.task_names if task in self.trained)
        orders = {site: self.order(site, self.cfg.rounds, average) for site in self.cfg.site_names}
        people = {site: row["participants"] for site, row in described.items()}
        at_sites = ask_sites(federation, self.cfg, orders, tasks, people, self.say)
        record = RunRecord(
            self.cfg, federation.engine, self.rounds, self.account, described, tasks,
            start=start if self.cfg.start_from == "synthetic" else None,
            observed=Observed(self.cfg, tuple(self.seen)) if self.kept else None, at_sites=at_sites,
        )  # fmt: skip
        self.say("audit: risk and attribution")
        return report_run(record, average, self.folder, self.say)

    def describe(self, federation: Federation) -> dict[str, dict[str, Any]]:
        """Have every site read its data before any training; one bad site ends the run here."""
        answers = federation.ask(
            "query.describe", {site: self.order(site, 0) for site in self.cfg.site_names}
        )
        facts, trainable = {}, set()
        for site, answer in answers.items():
            if answer.content is None:
                raise UserError(f"site '{site}' can't take part: {answer.error}")
            reply = answer.content["reply"]
            facts[site] = read_facts(site, str(reply.get("facts")))
            trainable |= set(str(reply.get("tasks")).split(","))
            self.planned[site] = self.plan(site, reply.get("people"))
            self.account[site] = SiteAccount()
            row = facts[site]
            counts = [
                f"{row[what]} {what}" for what in ("participants", "records", "windows") if row.get(what)
            ]
            self.say(f"site {site}: {', '.join(counts) or 'counts withheld'}")
        self.check_tasks(trainable)
        return facts

    def plan(self, site: str, people: object) -> RawMechanism | None:
        """Recompute a site's mechanism from its declared roster; a reply that differs is refused.

        Raises
        ------
        UserError
            If the roster is no count, or delta is too large for it.
        """
        if self.cfg.privacy == "none":
            return None
        if not isinstance(people, int) or isinstance(people, bool) or not 2 <= people < 10**7:
            raise UserError(f"site '{site}' declares no sensible size of its roster")
        share = applied(self.cfg)
        mechanism = planned_mechanism(share, *public_counts(share, people))
        return mechanism.q, mechanism.sigma, self.cfg.steps

    def check_tasks(self, trainable: set[str]) -> None:
        """Refuse a task asked for by name that no site can train, or a run without any."""
        missing = [task for task in self.cfg.task_names if task not in trainable]
        if missing and (self.cfg.tasks_named or len(missing) == len(self.cfg.task_names)):
            raise UserError(
                f"tasks: no site has two classes for '{missing[0]}'; nothing to learn, leave it out"
            )

    def order(self, site: str, number: int, weights: Mapping[str, Tensor] | None = None) -> RecordDict:
        """Return the message content that asks one site for one thing."""
        order: dict[str, Any] = {
            "site": site,
            "round": number,
            "run-folder": "" if self.cfg.cohort == "node" else str(self.folder),
        }
        content = RecordDict({"order": ConfigRecord(order)})
        if weights is not None:
            content["weights"] = ArrayRecord(dict(weights))
        return content

    def round(self, federation: Federation, number: int, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run one round: all sites, or a named absence."""
        answers = federation.ask(
            "train", {site: self.order(site, number, weights) for site in self.cfg.site_names}
        )
        updates, absent = self.sort_out(answers, number, weights)
        self.book(updates)
        for site, reason in absent.items():
            self.say(f"round {number}/{self.cfg.rounds}: site '{site}' is absent: {reason}")
        self.rounds.append(
            {"round": number, "loss": {s: u.loss for s, u in updates.items()}, "absent": absent}
        )
        if len(updates) < MIN_SITES:
            raise UserError(f"round {number}: only {len(updates)} of {len(answers)} sites answered; "
                            f"first reason: {next(iter(absent.values()))}")  # fmt: skip
        merged = aggregate(updates, weights)
        write_atomically(self.folder / "checkpoint.safetensors", save(merged, {"round": str(number)}))
        if number in self.kept:
            sent = {site: updates[site].weights for site in sorted(updates)}
            self.seen.append(RoundSeen(number, weights, merged, sent))
        return merged

    def book(self, updates: Mapping[str, Update]) -> None:
        """Account for a round: every site asked is charged, whether its update came, was late or refused."""
        for site, account in self.account.items():
            mechanism, update = self.planned[site], updates.get(site)
            self.trained |= set(update.tasks) if update is not None else set()
            self.account[site] = SiteAccount(
                account.mechanisms + (() if mechanism is None else (mechanism,)),
                account.accepted + (update is not None),
                update.lifetime if update is not None else account.lifetime,
            )

    def sort_out(
        self, answers: Mapping[str, Answer], number: int, weights: Mapping[str, Tensor]
    ) -> tuple[dict[str, Update], dict[str, str]]:
        """Return the accepted updates and, for every other site, why it is absent."""
        updates, absent = {}, {}
        for site, answer in sorted(answers.items()):
            if answer.content is None:
                absent[site] = answer.error or "no answer"
                continue
            try:
                updates[site] = check(answer.content, site, number, weights, self.cfg, self.planned[site])
            except Refused as refusal:
                absent[site] = f"refused: {refusal}"
        return updates, absent

    def progress(self, number: int, elapsed_s: float) -> None:
        """Say where the run stands: losses (where they may be told), epsilon, time left."""
        losses = [f"{site} {loss:.3f}" for site, loss in self.rounds[-1]["loss"].items() if loss is not None]
        left = elapsed_s / number * (self.cfg.rounds - number)
        parts = [f"round {number}/{self.cfg.rounds}"]
        parts += [f"loss {', '.join(losses)}"] if losses else []
        if self.cfg.privacy != "none" and self.cfg.noise == "calibrated":
            epsilon = max(spent(self.cfg, account.mechanisms) for account in self.account.values())
            parts.append(f"{self.cfg.privacy} epsilon {epsilon:.2f} of {self.cfg.target_epsilon:g}")
        self.say("; ".join([*parts, f"{left:.0f} s of training left"]))


def read_facts(site: str, text: str) -> dict[str, Any]:
    """Read what a site says about its data, as if it came from an adversary.

    Raises
    ------
    UserError
        If it is not the site's own row of counts.
    """
    try:
        facts = json.loads(text) if len(text) < MAX_FACTS else None
    except (ValueError, RecursionError):
        facts = None
    if (
        not isinstance(facts, dict)
        or facts.get("name") != site
        or not set(facts) <= {"name", "skipped", *COUNTS}
    ):
        raise UserError(f"site '{site}' described its data in no known way; is it running the same version?")
    skipped = facts.get("skipped", {})
    counts = [facts.get(key) for key in COUNTS if facts.get(key) is not None]
    if not isinstance(skipped, dict) or not all(map(_is_count, [*counts, *skipped.values()])):
        raise UserError(f"site '{site}' described its data in counts that are none")
    if not all(REASON.fullmatch(reason) for reason in skipped):
        raise UserError(
            f"site '{site}' gave reasons for skipping that are no plain text of up to 100 characters"
        )
    people = facts.get("participants")
    if people is not None and (facts.get("trained_on") or 0) > people:
        raise UserError(f"site '{site}' says that more people trained than it has")
    return {"participants": None, "trained_on": None, **facts}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one."""
    scratch = path.with_suffix(path.suffix + ".part")
    scratch.write_bytes(data)
    os.replace(scratch, path)
