"""The dataset card beside each cache entry, judged by Croissant's own package."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pytest

from transecg_core.cohorts import READERS, synthetic
from transecg_core.cohorts.schema import Recording, SiteSource, SkipLog
from transecg_core.signals import card
from transecg_core.signals.cache import ARRAYS, cached_windows, preprocessing_version

PERSON, RECORD, LOST = "Jane Doe 1951", "ward7/jane-doe", "ward7/lost-record"


@pytest.fixture
def make_source(make_recording: Callable[..., Recording]) -> Callable[..., SiteSource]:
    def make(kind: str = "real", dataset: str | None = None) -> SiteSource:
        def read(skips: SkipLog) -> Iterator[Recording]:
            skips.add(LOST, "record: .dat file missing")
            skips.add(LOST, "record kept: damaged opening cut", 2)
            yield make_recording(participant=PERSON, record=RECORD)

        origin = READERS[dataset].origin if dataset else None
        return SiteSource("st-marys", kind, read, f"{kind}{dataset}", people=1, tasks=(), origin=origin)  # type: ignore[arg-type]

    return make


def written(source: SiteSource, root: Path) -> tuple[Path, dict[str, Any]]:
    cached_windows(source, root)
    (path,) = root.glob("*/croissant.json")
    return path, json.loads(path.read_text(encoding="utf-8"))


def judge(document: dict[str, Any], folder: Path, caplog: pytest.LogCaptureFixture) -> mlcroissant.Dataset:
    """Load with mlcroissant, which raises on errors; its warnings are errors here."""
    path = folder / "card.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    caplog.clear()
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        # rdflib 7.6 deprecates its own class inside its own parser.
        warnings.filterwarnings("ignore", "ConjunctiveGraph is deprecated", DeprecationWarning)
        dataset = mlcroissant.Dataset(path)
    said = [*dataset.metadata.ctx.issues.warnings, *(record.getMessage() for record in caplog.records)]
    if said:
        raise mlcroissant.ValidationError("; ".join(said))
    return dataset


@pytest.mark.parametrize("case", ["synthetic", "local", *sorted(READERS)])
def test_croissants_own_package_accepts_it(
    tmp_path: Path, make_source: Callable[..., SiteSource], caplog: pytest.LogCaptureFixture, case: str
) -> None:
    source = make_source("synthetic") if case == "synthetic" else make_source()
    if case in READERS:
        source = make_source(dataset=case)
    entry, document = written(source, tmp_path)
    metadata = judge(document, tmp_path, caplog).metadata
    assert {item.uuid for item in metadata.distribution} == {f"{name}.npy" for name in ARRAYS}
    assert {item.name for item in metadata.record_sets} == set(ARRAYS)
    for item in metadata.distribution:
        content = (entry.parent / item.content_url).read_bytes()
        assert item.sha256 == hashlib.sha256(content).hexdigest()
        assert item.content_size == f"{len(content)} B"


def test_fields_have_the_arrays_types(tmp_path: Path, make_source: Callable[..., SiteSource]) -> None:
    path, document = written(make_source(), tmp_path)
    for record_set in document["recordSet"]:
        array = np.load(path.parent / f"{record_set['name']}.npy")
        field = record_set["field"]
        assert field["dataType"].lower() == f"cr:{array.dtype.name}"
        assert field.get("arrayShape") == (str(array.shape[1]) if array.ndim == 2 else None)
        assert field["source"]["fileObject"]["@id"] == f"{record_set['name']}.npy"


def test_counts_and_reasons_but_no_names(tmp_path: Path, make_source: Callable[..., SiteSource]) -> None:
    path, document = written(make_source(), tmp_path)
    values = {item["name"]: item["value"] for item in document["additionalProperty"]}
    assert (values["participants"], values["records"]) == (1, 1)
    assert values["windows"] == np.load(path.parent / "x_NL.npy").shape[0]
    assert values["preprocessing version"] == preprocessing_version()
    assert values["skipped or noted: record: .dat file missing"] == 1
    assert values["skipped or noted: record kept: damaged opening cut"] == 2
    text = path.read_text(encoding="utf-8").lower()
    for secret in ("jane", "doe", "1951", "ward7", "lost-record", str(tmp_path).lower(), str(Path.home())):
        assert secret not in text
    # The names are where they belong: in the entry's local part.
    assert "jane" in (path.parent / "meta.json").read_text().lower()


def test_who_it_comes_from(tmp_path: Path, make_source: Callable[..., SiteSource]) -> None:
    local = written(make_source(), tmp_path / "local")[1]
    assert local["license"].startswith("unknown: local data")
    assert local["url"] == card.LOCAL
    assert "Local: not published" in local["description"]
    assert card.UNPUBLISHED in local["description"]
    public, origin = (
        written(make_source(dataset="ecgiddb"), tmp_path / "public")[1],
        READERS["ecgiddb"].origin,
    )
    assert origin is not None
    assert (public["license"], public["url"], public["version"]) == (
        origin.licence_url,
        origin.url,
        origin.version,
    )
    assert origin.citation in public["citeAs"]
    assert all(quirk in public["description"] for quirk in origin.quirks)
    made_up = written(synthetic.open_site("synth-a", 1, 0), tmp_path / "synthetic")[1]
    assert made_up["name"] == "SYNTHETIC-synth-a"
    assert made_up["description"].startswith("SYNTHETIC: ")
    assert card.UNPUBLISHED in made_up["description"]
    assert "synthetic" in made_up["keywords"]


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "no licence": lambda card: card.pop("license"),
    "no version": lambda card: card.pop("version"),
    # Asked for by Croissant even of what was never published; the description says what it is.
    "no date": lambda card: card.pop("datePublished"),
    "no checksum": lambda card: card["distribution"][0].pop("sha256"),
    "no such file": lambda card: card["recordSet"][0]["field"]["source"]["fileObject"].update({"@id": "x"}),
    "no such type": lambda card: card["recordSet"][0].update({"@type": "cr:Recordset"}),
    "another context": lambda card: card["@context"].pop("recordSet"),
}


@pytest.mark.parametrize("change", BROKEN)
def test_the_judge_refuses_what_is_broken(
    tmp_path: Path, make_source: Callable[..., SiteSource], caplog: pytest.LogCaptureFixture, change: str
) -> None:
    document = copy.deepcopy(written(make_source(), tmp_path)[1])
    judge(document, tmp_path, caplog)
    BROKEN[change](document)
    with pytest.raises((mlcroissant.ValidationError, ValueError, KeyError, AttributeError)):
        judge(document, tmp_path, caplog)
