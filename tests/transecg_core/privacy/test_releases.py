"""The release table: nothing undeclared leaves, and measures stay home under a real guarantee."""

from __future__ import annotations

from pathlib import Path

import pytest

from transecg_core.errors import UserError
from transecg_core.privacy.releases import (
    NEEDED,
    REFUSALS,
    UNABLE,
    allowed,
    refuse,
    releasable_names,
    releases_for,
    weights_only,
)

UNITS = ("none", "window", "participant")


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("simulation", [True, False])
def test_what_never_leaves(unit: str, simulation: bool) -> None:
    for name in ("participant_head", "draws", "embeddings", "signals"):
        with pytest.raises(UserError, match="withheld"):
            refuse(name, unit, simulation)


@pytest.mark.parametrize("unit", UNITS)
def test_an_undeclared_release_is_refused(unit: str) -> None:
    with pytest.raises(UserError, match="'favourite_patient' is not declared"):
        refuse("favourite_patient", unit, simulation=True)
    with pytest.raises(UserError, match="not declared"):
        allowed(["weights", "favourite_patient"], unit, simulation=True)


def test_losses_and_attribution_leave_marked_in_a_simulation_and_not_at_all_from_a_real_site() -> None:
    for measure in ("loss", "attribution"):
        assert allowed(["weights", measure], "participant", simulation=False) == ("weights",)
        assert allowed(["weights", measure], "participant", simulation=True) == ("weights", measure)
        assert allowed([measure], "none", simulation=False) == (measure,)
    status = {r.name: r.status for r in releases_for("participant", simulation=True)}
    assert status["loss"] == status["attribution"] == "outside the guarantee"
    assert status["weights"] == "charged"


def test_the_claim_covers_weights_only_unless_every_release_is_charged() -> None:
    assert weights_only(releases_for("participant", simulation=True))
    assert not weights_only(releases_for("participant", simulation=False))


def test_without_privacy_nothing_is_called_charged() -> None:
    assert all(r.status != "charged" for r in releases_for("none", simulation=False))
    with pytest.raises(ValueError, match="privacy unit"):
        releases_for("household", simulation=False)


@pytest.mark.parametrize("unit", UNITS)
def test_a_site_s_policy_only_takes_away(unit: str) -> None:
    names = [r.name for r in releases_for(unit, simulation=False)]
    everything = set(allowed(names, unit, simulation=False))
    assert set(allowed(names, unit, False, site_allows=names)) == everything  # withheld stays withheld
    assert allowed(names, unit, False, site_allows=["weights", "signals"]) == ("weights",)
    with pytest.raises(UserError, match="'round' is not in the site's allowed-releases"):
        refuse("round", unit, False, site_allows=["weights"])
    with pytest.raises(UserError, match="'signals' is withheld"):
        refuse("signals", unit, False, site_allows=["signals"])
    with pytest.raises(UserError, match="not declared"):
        allowed(["favourite_patient"], unit, False, site_allows=["favourite_patient"])


def test_what_a_reply_needs_may_leave_in_every_setting() -> None:
    for unit in UNITS:
        for simulation in (True, False):
            assert set(allowed(sorted(NEEDED), unit, simulation)) == NEEDED
    assert set(releasable_names()) >= NEEDED
    assert not set(releasable_names()) & {"participant_head", "draws", "embeddings", "signals"}


def test_a_refusal_s_name_is_words_alone() -> None:
    assert all(code.replace(": ", "").replace("-", "").replace(" ", "").isalpha() for code in REFUSALS)


def test_the_table_tells_which_refusal_a_site_s_data_can_cause() -> None:
    (what,) = (r.what for r in releases_for("participant", simulation=False) if r.name == "error")
    assert f"'{UNABLE}', which alone can depend on data" in what


def test_the_guide_holds_the_table_as_it_is() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "budget.md").read_text(encoding="utf-8")
    settings = (("participant", False), ("participant", True), ("none", False))
    for pilot, simulated, plain in zip(*(releases_for(*setting) for setting in settings), strict=True):
        row = (f"`{pilot.name}`", pilot.what, pilot.status, simulated.status, plain.status)
        assert f"| {' | '.join(row)} |" in guide
    assert all(f"| `{code}` | {what} |" in guide for code, what in REFUSALS.items())
