"""The published contract test: right counts on known people, and every broken promise is seen."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from transecg_core.cohorts import READERS, open_reader, synthetic
from transecg_core.cohorts.folder import open_folder
from transecg_core.cohorts.schema import Labels, Recording, SiteSource, SkipLog
from transecg_core.config import parse
from transecg_core.errors import NothingUsable, UserError
from transecg_core.inspection import Inspection, inspect_sites, inspect_source, unusable
from transecg_core.inspection_facts import ODD_RATE, ODD_SITE, heart_rates
from transecg_core.measurable import NAMES, summary
from transecg_core.remedies import remedy
from transecg_core.signals.windows import build_windows
from transecg_core.sites import split_site
from transecg_core.splits.protocols import split

PEOPLE = 4
GOOD = tuple(synthetic.open_site("synth-a", PEOPLE, 0).read(SkipLog()))
"""Four people, two days each, in order of person and day."""


def source(*recordings: object, skips: tuple[tuple[str, str], ...] = (), **facts: object) -> SiteSource:
    def read(log: SkipLog) -> Iterator[Recording]:
        for record, reason in skips:
            log.add(record, reason)
        yield from recordings  # type: ignore[misc]

    site = SiteSource("synth-a", "real", read, "0" * 64, PEOPLE, ("sex", "age"))
    return replace(site, **facts)  # type: ignore[arg-type]


def first_day() -> tuple[Recording, ...]:
    """One record per person."""
    return tuple(next(group) for _, group in itertools.groupby(GOOD, key=lambda r: r.participant))


def test_known_answers_on_synthetic_people() -> None:
    found = inspect_source(source(*GOOD))
    assert found.sound
    assert (found.roster, found.participants, found.second_session) == (PEOPLE, PEOPLE, PEOPLE)
    assert found.records == len(GOOD)
    assert found.sessions == len({(r.participant, r.session) for r in GOOD})
    assert found.rates == {f"{GOOD[0].fs_hz:g}": len(GOOD)}
    assert found.leads == {GOOD[0].lead: len(GOOD)}
    assert sum(found.labels["sex"].values()) == sum(found.labels["age"].values()) == PEOPLE
    assert sum(found.labels["beat"].values()) == found.windows
    ages = [r.age for r in first_day()]
    assert found.ages == (min(ages), np.median(ages), max(ages))
    lengths = [r.signal_mv.size / r.fs_hz for r in GOOD]
    assert found.duration_s == (min(lengths), np.median(lengths), max(lengths))
    assert tuple(found.measurable) == NAMES
    assert all(found.measurable[name].measurable for name in NAMES if name != "membership")
    assert "LEAKY" in found.measurable["random-window"].reason
    assert not found.measurable["membership"].measurable
    assert "10 are needed" in found.measurable["membership"].reason


def test_without_a_second_session_only_later_in_record_is_left() -> None:
    found = inspect_source(source(*first_day()))
    can = {name: verdict.measurable for name, verdict in found.measurable.items()}
    assert can == {
        "auto": True, "random-window": True, "later-in-record": True, "other-record": False, "other-session": False,
        "participant-disjoint": True, "membership": False,
    }  # fmt: skip
    assert summary(found.measurable) == "no second session or record: only later-in-record identification"


def test_one_person_is_nobody_to_be_confused_with() -> None:
    found = inspect_source(source(*(r for r in GOOD if r.participant == GOOD[0].participant)))
    assert found.participants == 1
    assert "add people or audit-split=none" in found.refused  # in the words of the run
    assert not found.sound
    assert not any(verdict.measurable for verdict in found.measurable.values())
    assert summary(found.measurable) == "no honest identification can be measured here"


def test_ids_of_one_person_count_once() -> None:
    ids = [r.participant for r in first_day()]
    found = inspect_source(source(*first_day(), aliases={ids[0]: "synth-a/p", ids[1]: "synth-a/p"}))
    assert found.participants == PEOPLE - 1


def test_whether_it_can_take_part_is_what_a_run_with_the_default_options_says() -> None:
    seen = set()
    for people in itertools.combinations([r.participant for r in first_day()], 2):
        chosen = source(*(r for r in GOOD if r.participant in people), people=2)
        refused = run_refuses(chosen)
        assert inspect_source(chosen).refused == refused
        seen.add(bool(refused))
    assert seen == {True, False}


def run_refuses(chosen: SiteSource) -> str:
    try:
        split_site(parse({}), chosen, build_windows(chosen))
    except UserError as error:
        return str(error).removeprefix("site 'synth-a': ")
    return ""


def test_the_counts_of_a_runs_own_protocol_are_told_beside_those_of_each_alone() -> None:
    one = first_day()[0]
    windows = build_windows(source(*GOOD, replace(one, record=f"{one.record}b", session=1)))
    chosen = source(*GOOD, replace(one, record=f"{one.record}b", session=1))
    found, by_default = inspect_source(chosen), split(windows, "auto", 0).probes
    assert set(by_default) > {"other-session"}
    for name, mask_N in by_default.items():
        count = len(np.unique(windows.participant_N[mask_N]))
        assert f"{name} of {count}" in found.measurable["auto"].reason
        assert f"of {PEOPLE} people, if chosen alone" in found.measurable[name].reason
    assert found.measurable["auto"].reason.endswith(f"of {PEOPLE} people")


@pytest.mark.parametrize(("factor", "odd"), [(1.0, False), (0.5, True), (2.0, True)])
def test_a_wrong_sampling_rate_shows_in_the_heart_rates(factor: float, odd: bool) -> None:
    chosen = source(*(replace(r, fs_hz=r.fs_hz * factor) for r in GOOD))
    found, rates = inspect_source(chosen), heart_rates(build_windows(chosen))
    assert found.heart_rates == (min(rates), np.median(rates), max(rates))
    remarks = {reason for _, reason in found.kept}
    assert (ODD_SITE in remarks) == odd
    flagged = {record for record, reason in found.kept if reason == ODD_RATE}
    assert len(flagged) == sum(not 40 <= rate <= 150 for rate in rates)
    assert remedy(ODD_RATE).startswith("check the sampling rate")
    assert found.sound  # a remark, no broken promise


def test_a_wrong_unit_is_one_problem_whatever_each_record_spans() -> None:
    found = inspect_source(
        source(*(replace(r, signal_mv=r.signal_mv / (900 + 10 * i)) for i, r in enumerate(GOOD)))
    )
    units = [problem for problem in found.problems if problem.span_mv is not None]
    assert len(units) == len(GOOD)
    assert len({(problem.what, problem.remedy) for problem in units}) == 1
    assert len({problem.span_mv for problem in units}) > 1


def test_copies_are_listed_within_and_across_sites() -> None:
    ids = [r.participant for r in first_day()]
    copy = replace(GOOD[0], record="copy", participant=ids[1], age=None, sex=None)
    mine, other = inspect_sites((source(*GOOD, copy), source(*_elsewhere(GOOD[:1]), name="other")))
    found = {(c.record, c.other_site, c.other_record, c.same_person) for c in mine.duplicates}
    first = GOOD[0].record
    assert found == {
        (first, "synth-a", "copy", False), (first, "other", first, False), ("copy", "other", first, False),
    }  # fmt: skip
    assert {(c.record, c.other_site, c.other_record) for c in other.duplicates} == {
        (first, "synth-a", first), (first, "synth-a", "copy"),
    }  # fmt: skip
    assert mine.sound  # the audit leaves copies out by itself
    assert inspect_source(source(*GOOD)).duplicates == ()
    twin = replace(copy, participant=ids[0], age=GOOD[0].age, sex=GOOD[0].sex)
    assert [c.same_person for c in inspect_source(source(*GOOD, twin)).duplicates] == [True]


def _elsewhere(recordings: tuple[Recording, ...]) -> tuple[Recording, ...]:
    return tuple(replace(r, site="other") for r in recordings)


def test_skips_are_listed_and_no_flaw() -> None:
    skips = (
        ("lost", "record: file missing"),
        ("mended", "record kept: opening cut"),
        ("x", "file: unlisted"),
    )
    found = inspect_source(source(*GOOD, skips=skips))
    assert found.sound
    assert found.skipped == (skips[0], skips[2])
    assert skips[1] in found.kept
    flat = replace(GOOD[0], record="flat", signal_mv=np.zeros(5000, dtype=np.float32), labels=Labels())
    found = inspect_source(source(*GOOD, flat))
    assert found.skipped == (("flat", "record: no usable heartbeat"),)
    assert found.sound


def changed(**facts: object) -> Callable[[], SiteSource]:
    """A source whose first record is wrong in one way."""
    return lambda: source(replace(GOOD[0], **facts), *GOOD[1:])  # type: ignore[arg-type]


def labelled(**labels: object) -> Callable[[], SiteSource]:
    return changed(labels=Labels(**labels))  # type: ignore[arg-type]


def spoilt(value: float) -> np.ndarray:
    x_T = GOOD[0].signal_mv.copy()
    x_T[7] = value
    return x_T


def restless() -> SiteSource:
    readings = itertools.count()

    def read(log: SkipLog) -> Iterator[Recording]:
        yield replace(GOOD[0], signal_mv=GOOD[0].signal_mv + np.float32(1e-3 * next(readings)))
        yield from GOOD[1:]

    return source(read=read)


def raising() -> SiteSource:
    def read(log: SkipLog) -> Iterator[Recording]:
        yield GOOD[0]
        raise OSError("disk\ngone")

    return source(read=read)


SOME = np.array([10, 20])
TWO_SEXES = tuple(replace(r, sex="M" if i % 2 else "F") for i, r in enumerate(GOOD))

DEFECTS: dict[str, tuple[Callable[[], SiteSource], str]] = {
    "no-recording": (lambda: source(("r", [1.0]), *GOOD), "yields a tuple, not a Recording"),
    "other-site": (changed(site="elsewhere"), "says it is of site 'elsewhere'"),
    "no-participant": (changed(participant=" "), "has no participant"),
    "record-path": (changed(record="../x"), "is no record name"),
    "record-absolute": (changed(record="/etc/x"), "is no record name"),
    "record-control": (changed(record="a\x1b[2J"), "is no record name"),
    "record-twice": (changed(record=GOOD[1].record), "is yielded twice"),
    "age-minus": (changed(age=-1.0), "age -1.0"),
    "age-300": (changed(age=300.0), "age 300.0"),
    "age-nan": (changed(age=float("nan")), "age nan"),
    "sex-word": (changed(sex="male"), "sex 'male'"),
    "sex-two": (lambda: source(*TWO_SEXES), "has two sexes"),
    "lead": (changed(lead="aVF"), "no lead named 'aVF'"),
    "rate-zero": (changed(fs_hz=0.0), "sampling rate 0.0 Hz"),
    "rate-nan": (changed(fs_hz=float("nan")), "sampling rate nan Hz"),
    "rate-huge": (changed(fs_hz=1e9), "sampling rate 1000000000.0 Hz"),
    "empty": (changed(signal_mv=np.empty(0, dtype=np.float32)), "has no samples"),
    "nan": (changed(signal_mv=spoilt(np.nan)), "samples that are no numbers"),
    "inf": (changed(signal_mv=spoilt(np.inf)), "samples that are no numbers"),
    "microvolts": (changed(signal_mv=GOOD[0].signal_mv * 1000), "is the unit right?"),
    "volts": (changed(signal_mv=GOOD[0].signal_mv / 1000), "is the unit right?"),
    "session-gap": (lambda: source(*(replace(r, session=2 * r.session) for r in GOOD)), "sessions of"),
    "diagnosis": (labelled(diagnosis="ill"), "diagnosis 'ill'"),
    "beats-half": (labelled(beat_sample_B=SOME), "not both"),
    "beats-number": (labelled(beat_sample_B=SOME, beat_class_B=SOME[:1]), "other numbers of beats"),
    "beats-order": (labelled(beat_sample_B=SOME[::-1], beat_class_B=SOME * 0), "out of order"),
    "beats-outside": (labelled(beat_sample_B=SOME + 10**9, beat_class_B=SOME * 0), "outside the signal"),
    "beats-class": (labelled(beat_sample_B=SOME, beat_class_B=SOME), "unknown beat classes"),
    "components": (labelled(component_T=np.zeros(3, dtype=np.uint8)), "components that don't fit"),
    "nothing": (lambda: source(), "no recording at all"),
    "roster": (lambda: source(*GOOD, people=1), "4 people read, 1 on the roster"),
    "roster-none": (lambda: source(*GOOD, people=0), "a roster of 0 people"),
    "fingerprint": (lambda: source(*GOOD, fingerprint="v1"), "no SHA-256"),
    "task": (lambda: source(*GOOD, tasks=("gender",)), "no task named 'gender'"),
    "site-name": (lambda: source(*GOOD, name="Site A"), "is no site name"),
    "reason-long": (lambda: source(*GOOD, skips=(("r", "record: " + "x" * 200),)), "skip reason"),
    "reason-lines": (lambda: source(*GOOD, skips=(("r", "record: a\nb"),)), "skip reason"),
    "reason-names": (lambda: source(*GOOD, skips=(("meier", "record: meier is broken"),)), "names a record"),
    **{
        f"reason-names {reason}": (lambda reason=reason: source(*GOOD, skips=(("p00123", reason),)), "names a record")
        for reason in (
            "record: p00123 file missing", "recording p00123 is unreadable", "p00123: too noisy", "record: bad p00123",
            "record: annotation p00123 bad", "record: EDF of p00123 is odd", "record kept: lead p00123 read as I",
        )
    },
    "restless": (restless, "a second reading differs"),
    "raising": (raising, "reading stopped: OSError: disk gone"),
}  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_broken_promise_is_seen(defect: str) -> None:
    make, what = DEFECTS[defect]
    found = inspect_source(make())
    assert not found.sound
    told = [problem for problem in found.problems if what in problem.what or what in problem.remedy]
    assert told, found.problems
    assert all(problem.remedy and "\n" not in problem.what for problem in found.problems)


@pytest.mark.parametrize("defect", ["rate-huge", "nan", "microvolts", "beats-outside"])
def test_an_unsound_record_is_not_cut_and_the_others_are(defect: str) -> None:
    assert inspect_source(DEFECTS[defect][0]()).records == len(GOOD) - 1


def test_a_gap_in_sessions_may_be_a_skipped_day() -> None:
    later = tuple(r for r in GOOD if r.session > 1 or r.participant != GOOD[0].participant)
    assert not inspect_source(source(*later)).sound
    assert inspect_source(source(*later, skips=(("lost", "record: file missing"),))).sound


def test_the_json_has_the_promised_keys_and_types() -> None:
    body = json.loads(
        json.dumps(inspect_source(source(*GOOD, skips=(("lost", "record: file missing"),))).as_dict())
    )
    assert {type(body[key]) for key in ("participants", "records", "sessions", "roster", "windows")} == {int}
    assert body["skipped"] == [{"record": "lost", "reason": "record: file missing"}]
    assert set(body["measurable"]) == set(NAMES)
    for verdict in body["measurable"].values():
        assert set(verdict) == {"measurable", "reason"}
        assert isinstance(verdict["measurable"], bool)
        assert verdict["reason"]
    assert body["problems"] == []
    broken = inspect_source(DEFECTS["age-300"][0]()).as_dict()["problems"]
    assert [set(problem) for problem in broken] == [{"record", "what", "remedy", "span_mv"}]


def test_a_site_that_cant_be_opened_is_an_inspection_too() -> None:
    found = unusable("clinic", UserError("no folder"))
    assert isinstance(found, Inspection)
    assert not found.sound
    assert [problem.what for problem in found.problems] == ["no folder"]
    assert json.dumps(found.as_dict())
    skips = (
        ("r10", "record: EDF header is cut off"),
        ("r2", "record: .hea file missing"),
        ("t", "table: column not read"),
    )
    found = unusable("clinic", NothingUsable("no usable record", skips))
    assert found.skipped == (skips[1], skips[0])  # r2 before r10
    assert found.kept == (skips[2],)
    assert [problem.what for problem in found.problems] == ["no record can be opened"]


def test_progress_is_told() -> None:
    lines: list[str] = []
    inspect_source(source(*GOOD), lines.append)
    assert len(lines) == 2 * len(GOOD)
    assert lines[0] == "synth-a: 1 records read"


@pytest.mark.parametrize("site", ["synth-a", "synth-b", "synth-c", "synth-d"])
def test_our_own_synthetic_sites_keep_the_contract(site: str) -> None:
    assert inspect_source(synthetic.open_site(site, 4, 1)).problems == ()


@pytest.mark.real
@pytest.mark.parametrize("name", sorted(READERS))
def test_the_public_datasets_keep_the_contract(data_root, name: str) -> None:
    assert inspect_source(open_reader(name, data_root / name, name)).problems == ()


@pytest.mark.parametrize("name", ["record", "signal", "person", "session"])
def test_a_record_may_be_called_what_our_own_reasons_say(tmp_path: Path, name: str) -> None:
    """A name that happens to be a word of a reason is no name in a reason."""
    for stem in (name, "other"):
        x_TC = sum(
            np.exp(-0.5 * ((np.arange(5000) / 250 - at) / 0.012) ** 2) for at in np.arange(0.5, 19.5, 0.8)
        )
        x_TC = x_TC + 0.01 * np.random.default_rng(len(stem)).standard_normal(5000)
        wfdb.wrsamp(stem, 250, ["mV"], ["I"], x_TC[:, None], fmt=["16"], write_dir=str(tmp_path))
    (tmp_path / "participants.csv").write_text(f"record,participant,session,sex\n{name},a,1,\nother,b,,F\n")
    found = inspect_source(open_folder(tmp_path, "clinic"))
    assert [problem.what for problem in found.problems if "names a record" in problem.what] == []
    assert any("sex unknown" in reason for _, reason in found.kept)
