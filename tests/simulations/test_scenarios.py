"""Planted federations: made of what they say, trained as a run trains, and judged without mercy."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from client.order import Order
from client.round import train_round
from client.site import Node
from server.strategy import Update, aggregate
from simulations import cli, planted
from simulations.commands import scenarios as command
from simulations.judged import allowed, judge, seen, table
from simulations.probes import ALWAYS_TRUE, NEVER_PLANTED, PROBES, TRUTHS, UNJUDGED, Probe
from simulations.scenarios import FOUND, SCENARIOS, SILENT, Scenario
from transecg_core.cohorts.schema import SkipLog
from transecg_core.cohorts.synthetic_people import draw_person
from transecg_core.config import parse
from transecg_core.risk.findings import Findings
from transecg_core.risk.registry import ATTACKS
from transecg_core.risk.rows import RiskRow
from transecg_core.sites import prepare
from transecg_core.training.pretrain import starting_weights

SMALL = {
    "participants-per-site": 4,
    "num-server-rounds": 2,
    "local-steps": 2,
    "patch": 10,
    "profile": "quick",
}


def row(name="raw-correlation", metric="EER", protocol="other-record", **changes) -> RiskRow:
    usual = RiskRow(
        name, "A", "anyone", "", "pooled", protocol, metric, 0.2, None, 0.5, (0.1, 0.3), 40, None, ""
    )
    return replace(usual, **changes)


def scenario(present=("identity",), **changes) -> Scenario:
    return replace(Scenario("test", "nothing in particular", planted.natural, frozenset(present)), **changes)


def judged(one: Scenario, *audits: list[RiskRow]):
    found = {(j.probe.attack, j.probe.metric, j.probe.protocol): j for j in judge(one, audits)}
    return found["raw-correlation", "EER", "other-record"]


# The judge


@pytest.mark.parametrize(
    ("changes", "side", "beats"),
    [
        ({}, "risky", True),  # an EER far below one half
        ({"ci95": (0.1, 0.5)}, "covers", True),
        ({"ci95": (0.51, 0.6), "main": 0.55}, "safe", True),
        ({"metric": "AUC", "ci95": (0.51, 0.6), "main": 0.55}, "risky", True),
        ({"metric": "AUC", "ci95": (0.3, 0.49), "main": 0.4}, "safe", True),
        ({"metric": "AUC", "kind": "C", "ci95": (0.51, 0.6), "main": 0.55, "control": 0.56}, "risky", False),
        ({"metric": "AUC", "kind": "C", "ci95": (0.51, 0.6), "main": 0.55, "control": 0.54}, "risky", True),
        ({"metric": "AUC", "kind": "B", "ci95": (0.51, 0.6), "main": 0.55, "control": 0.56}, "risky", True),
        ({"metric": "TAR@5%FAR", "baseline": 0.9, "ci95": (0.06, 0.2), "main": 0.1}, "risky", True),
        ({"metric": "rank-1", "baseline": 0.03, "ci95": (0.02, 0.2), "main": 0.1}, "covers", True),
    ],
)
def test_an_interval_lies_on_one_side_of_chance(changes, side, beats):
    found = seen(row(**changes))
    assert (found.side, found.beats_control) == (side, beats)


def test_what_was_not_measured_is_no_figure_and_an_unknown_chance_is_an_error():
    assert seen(row(main=None, ci95=None)) is None
    with pytest.raises(ValueError, match="chance is known"):
        seen(row(metric="d'", baseline=None))


def test_a_plant_must_be_found_on_four_seeds_of_five():
    assert judged(scenario(), [row()], [row()]).passed is True
    assert judged(scenario(), [row()], [row(ci95=(0.1, 0.5))]).passed is False
    missed = [row(ci95=(0.1, 0.5))]
    assert judged(scenario(), *[[row()]] * 4, missed).passed is True
    assert judged(scenario(), *[[row()]] * 3, missed, missed).passed is False
    assert judged(scenario(), [], [row(main=None, ci95=None)]).passed is False  # never measured
    assert (
        judged(scenario(), [row(site="synth-a")]).passed is False
    )  # another site's row is not the pooled one


def test_silence_is_broken_by_more_misses_than_chance_gives():
    quiet, loud, low = row(ci95=(0.1, 0.5)), row(), row(ci95=(0.51, 0.6))
    nothing = scenario(present=())
    assert judged(nothing, *[[quiet]] * 5).passed is True
    assert judged(nothing, *[[quiet]] * 3, [loud], [low]).passed is True
    assert judged(nothing, *[[quiet]] * 2, [loud], [low], [loud]).passed is False
    assert judged(nothing, [row(main=None, ci95=None)]).passed is False  # silent because never measured


@pytest.mark.parametrize("seeds", [2, 3, 5, 8, 20, 100])
def test_allowance_is_the_smallest_that_right_intervals_seldom_exceed(seeds):
    k = allowed(seeds)
    assert binom.sf(k, seeds, 0.05) <= 0.005 < binom.sf(k - 1, seeds, 0.05)
    assert k < seeds or seeds < 3


def test_below_a_chance_that_is_a_ceiling_is_silent():
    one = Probe("identity", "raw-correlation", "rank-1", "other-record", at_most=True)
    (found,) = [
        j for j in judge(scenario(present=()), [[row(metric="rank-1", baseline=0.5)]] * 5) if j.probe == one
    ]
    assert (found.misses, found.passed) == (0, True)
    (found,) = [
        j for j in judge(scenario(present=()), [[row(metric="rank-1", baseline=0.05)]] * 5) if j.probe == one
    ]
    assert (found.misses, found.passed) == (5, False)


def test_what_is_open_is_not_judged_and_the_table_says_why():
    one = scenario(present=(), open={"identity": "because"})
    assert judged(one, [row()]).passed is None
    text = table(one, judge(one, [[row()]]))
    assert "not judged: raw-correlation, " in text
    assert "(because)" in text


# The declarations


def test_every_attack_is_judged_or_left_out_with_a_reason():
    """A new attack needs a probe in simulations/probes.py, or a line in UNJUDGED."""
    known = {attack.name for attack in ATTACKS}
    judged_too = {probe.attack.removeprefix("cross-site ") for probe in PROBES}
    assert judged_too | set(UNJUDGED) == known
    assert not judged_too & set(UNJUDGED)


def test_scenarios_speak_of_known_truths_and_each_truth_is_present_and_absent_somewhere():
    assert {probe.truth for probe in PROBES} <= set(TRUTHS)
    attacks = {probe.attack.removeprefix("cross-site ") for probe in PROBES}
    for one in SCENARIOS.values():
        assert one.present <= set(TRUTHS)
        assert {key.split(", ")[0] for key in one.open} <= set(TRUTHS) | attacks
        assert not one.present & set(one.open)
        one.config(0)
    for truth in {probe.truth for probe in PROBES}:
        probe = next(probe for probe in PROBES if probe.truth == truth)
        verdicts = {one.expected(probe) for one in SCENARIOS.values()}
        assert (SILENT in verdicts) != (truth in ALWAYS_TRUE), truth
        assert (FOUND in verdicts) != (truth in NEVER_PLANTED), truth


# The federations


def labels(sources):
    return {
        (s.name, r.participant): (s.person(r.participant), r.sex, r.age, r.fs_hz, r.lead)
        for s in sources
        for r in s.read(SkipLog())
    }


def test_sex_at_random_is_one_coin_per_person_and_independent_of_sex():
    cfg = parse({**SMALL, "seed": 3})
    sources = planted.sex_at_random(cfg)
    before, after = labels(planted.natural(cfg)), labels(sources)
    by_person = {}
    for key, (person, sex, age, *_) in after.items():
        assert (before[key][0], before[key][2]) == (person, age)
        assert by_person.setdefault(person, sex) == sex
    coins = planted._coin(3)
    assert all(sex == coins(person)[0] for person, sex in by_person.items())
    drawn = {
        f"p{i}": draw_person(3, f"synth-a/p{i}", abnormal_prevalence=0, ectopy_prevalence=0).sex
        for i in range(200)
    }
    assert 0.4 < np.mean([coins(f"synth-a/{p}")[0] == sex for p, sex in drawn.items()]) < 0.6
    assert not {s.fingerprint for s in sources} & {s.fingerprint for s in planted.natural(cfg)}


def test_labels_in_the_t_wave_are_what_they_say():
    of_person = planted._by_t_wave(3)
    people = [f"synth-{site}/p{i}" for site in "abcd" for i in range(50)]
    found = np.array([of_person(person) for person in people], dtype=object)
    assert 0.35 < np.mean(found[:, 0] == "F") < 0.65
    for age in (planted.YOUNG, planted.MIDDLE, planted.OLD):
        assert 0.2 < np.mean(found[:, 1] == age) < 0.5
    assert set(found[found[:, 1] == planted.OLD, 0]) == {"M"}
    assert set(found[found[:, 1] == planted.YOUNG, 0]) == {"F"}
    gain = draw_person(3, "synth-a/p0", abnormal_prevalence=0.0, ectopy_prevalence=0.0).traits.t_gain
    assert of_person("synth-a/p0")[0] == ("F" if gain < planted.T_GAIN else "M")


def test_one_device_records_everybody_and_nobody_twice():
    found = labels(planted.one_device(parse(SMALL)))
    assert {(fs, lead) for *_, fs, lead in found.values()} == {(500.0, "I")}
    assert {site for site, _ in found} == {"synth-a", "synth-b", "synth-c", "synth-d"}
    assert len({person for person, *_ in found.values()}) == len(found) == 16


def test_false_twins_share_a_name_and_no_heart():
    cfg = parse({**SMALL, "participants-per-site": 12})
    true, false = planted.natural(cfg), planted.false_twins(planted.natural)(cfg)
    for before, after in zip(true, false, strict=True):
        assert dict(before.aliases).keys() == dict(after.aliases).keys()
        assert sorted(before.aliases.values()) == sorted(after.aliases.values())
        own = [p for p, person in before.aliases.items() if person.startswith(before.name)]
        assert len(own) == 2
        assert all(after.aliases[p] != before.aliases[p] for p in own)
        guests = set(before.aliases) - set(own)
        assert all(after.aliases[p] == before.aliases[p] for p in guests)


def test_a_planted_federation_is_trained_as_sites_and_server_train_it():
    """The same weights as by the client's own rounds and the server's own sum, bit for bit."""
    cfg = parse(SMALL)
    sources = planted.natural(cfg)
    trained = planted.train(cfg, sources)
    sites = [prepare(cfg, source) for source in sources]
    weights, own = starting_weights(cfg, print), {name: {} for name in cfg.site_names}
    for number in range(1, cfg.rounds + 1):
        updates = {}
        for index, (name, site) in enumerate(zip(cfg.site_names, sites, strict=True)):
            order = Order(name, number, "run", None)
            done = train_round(cfg, Node(index, len(sites)), site, order, weights, own[name])
            own[name] = done.local
            updates[name] = Update(name, done.shared, done.tasks, None, None)
            loss = trained.record.rounds[number - 1]["loss"][name]
            assert loss == pytest.approx(np.mean(done.log.losses))
        weights = aggregate(updates, weights)
    assert set(weights) == set(trained.weights)
    for name, value in weights.items():
        np.testing.assert_array_equal(trained.weights[name].numpy(), value.numpy())
    assert [seen.number for seen in trained.record.observed.rounds] == [1, 2]


def test_a_model_from_elsewhere_has_no_members_here(monkeypatch):
    audits = []
    monkeypatch.setattr(planted, "audited", lambda trained, sources: audits.append((trained, sources)))
    monkeypatch.setattr(
        planted, "train", lambda cfg, sources: planted.Trained(replace(RECORD, cfg=cfg), {"seed": sources})
    )
    one = replace(SCENARIOS["trained-elsewhere"], options={"participants-per-site": 3})
    one.play(5)
    ((trained, sources),) = audits
    assert trained.record.cfg.seed == 5
    theirs = {f"{s.name}/{p}" for s in trained.weights["seed"] for p in participants(s)}
    assert not theirs & {f"{s.name}/{p}" for s in sources for p in participants(s)}


RECORD = planted.RunRecord(parse(SMALL), "planted", [], {}, {}, ())


def participants(source):
    return {recording.participant for recording in source.read(SkipLog())}


# The command


@pytest.fixture
def transecg(monkeypatch, capsys):
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["transecg", "scenarios", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return call


def test_the_command_lists_and_refuses_unknown_names(transecg):
    status, out, _ = transecg("--list")
    assert status == 0
    assert [line.split(":")[0] for line in out.splitlines()] == list(SCENARIOS)
    status, _, err = transecg("identity-w")
    assert status == 2
    assert "no scenario named 'identity-w'; nearest valid: identity-" in err


def test_a_wrong_estimator_is_status_1_and_named(transecg, monkeypatch):
    def play(self, seed):
        return Findings([row()] if self.name != "none" or seed != 1 else [row(ci95=(0.1, 0.6))])

    monkeypatch.setattr(Scenario, "play", play)
    status, out, err = transecg("none", "--seeds", "4")
    assert status == 1
    line = next(line for line in out.splitlines() if line.startswith("raw-correlation") and "EER" in line)
    assert "3 of 4" in line
    assert line.endswith("WRONG")
    assert err.splitlines() == [f"none: seed {seed}" for seed in range(4)]
    status, out, _ = transecg("none", "--seeds", "4", "--json")
    assert status == 1
    figures = json.loads(out)["scenarios"]["none"]
    assert [f["passed"] for f in figures if f["attack"] == "raw-correlation" and f["figures"]] == [False]
    assert command.SEEDS == 5


# The real thing

QUIET = ("none", "trained-elsewhere")
SEEDS = {"labels-in-t": 5}
"""Where one seed's few dozen people don't always show what is there."""


@pytest.mark.audit
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in QUIET])
def test_every_estimator_recovers_what_was_planted(name):
    """One seed can't accuse anybody of a false alarm: silence is judged over seeds below."""
    one = SCENARIOS[name]
    found = judge(one, [one.play(seed).rows for seed in range(SEEDS.get(name, 1))])
    wrong = [j for j in found if j.passed is False]
    assert not wrong, table(one, wrong)
    assert any(j.passed for j in found)


@pytest.mark.audit
@pytest.mark.parametrize("name", QUIET)
def test_every_estimator_is_silent_where_nothing_was_planted(name):
    one = SCENARIOS[name]
    found = judge(one, [one.play(seed).rows for seed in range(4)])
    wrong = [j for j in found if j.passed is False]
    assert not wrong, table(one, wrong)
    assert sum(j.expected == SILENT for j in found) > 5
