"""The card of a processed cohort: Croissant 1.1 metadata (JSON-LD), names nobody.

Croissant: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.cohorts.schema import BEATS, COMPONENTS, UNKNOWN, Origin, SiteSource
from transecg_core.signals.schema import FS_HZ, R_OFFSET, WINDOW, Windows

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
NPY = "application/x-npy"
LOCAL = "urn:transecg:local"
"""In place of an address: the data can be had nowhere else."""
UNPUBLISHED = "datePublished, which Croissant asks for, is only the day on which the windows were made."

_CR = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty fileSet "
    "format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex "
    "repeated replace samplingRate separator source subField transform"
)
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _CR.split()},
}
"""Croissant's own, word for word: readers warn of any other."""

TYPES: Mapping[str, str] = {
    "float32": "cr:Float32",
    "uint8": "cr:UInt8",
    "int16": "cr:Int16",
    "int32": "cr:Int32",
    "int64": "cr:Int64",
}
MEANINGS: Mapping[str, str] = {
    "x_NL": f"{WINDOW} samples at {FS_HZ:g} Hz around an R peak (index {R_OFFSET}), z-normed",
    "participant_N": "number of the person within this cohort",
    "session_N": "rank of the recording day or visit, from 1",
    "record_N": "number of the record within this cohort",
    "beat_N": f"beat class: {', '.join(f'{k} {name}' for k, name in enumerate(BEATS))}; {UNKNOWN} unknown",
    "component_NL": f"part of the heartbeat: {', '.join(f'{k} {name}' for k, name in enumerate(COMPONENTS))}",
    "r_sample_N": f"position of the R peak in its record, samples at {FS_HZ:g} Hz",
    "scale_N": "standard deviation of the window before it was z-normed, mV",
    "rpeak_B": f"position of every R peak found, samples at {FS_HZ:g} Hz",
    "rpeak_record_B": "number of the record that the peak is in",
}


def describe(
    source: SiteSource,
    windows: Windows,
    files: Mapping[str, Mapping[str, Any]],
    preprocessing: str,
    built: str,
) -> dict[str, Any]:
    """Return the card of a site's windows.

    Parameters
    ----------
    source, windows
        The site and what was made of it.
    files
        File name -> its ``bytes`` and ``sha256``.
    preprocessing
        Hash of the code that made the windows.
    built
        When, ISO 8601.

    Returns
    -------
    dict
        JSON-LD without the name of a person, a record or a folder.
    """
    arrays = [name for name in sorted(files) if name.endswith(".npy")]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        **_about(source),
        "datePublished": built[:10],
        "keywords": ["ECG", "heartbeats", source.kind],
        "measurementTechnique": f"transecg windows, preprocessing {preprocessing}",
        "additionalProperty": _counts(windows, preprocessing),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "contentSize": f"{files[name]['bytes']} B",
                "encodingFormat": NPY,
                "sha256": files[name]["sha256"],
            }
            for name in arrays
        ],
        "recordSet": [_record_set(array, windows) for array in MEANINGS],
    }


def _about(source: SiteSource) -> dict[str, Any]:
    if source.kind == "synthetic":
        return {
            "name": f"SYNTHETIC-{source.name}",
            "description": "SYNTHETIC: made by a generator. No sample, person, age or label in it belongs to "
            f"anybody, and figures obtained on it describe the generator, not patients. {UNPUBLISHED}",
            "license": "https://www.apache.org/licenses/LICENSE-2.0",
            "citeAs": "transecg's synthetic cohort",
            "creator": {"@type": "sc:Organization", "name": "transecg's generator"},
            "url": LOCAL,
            "version": "1.0.0",
        }
    if source.origin is None:
        return {
            "name": source.name,
            "description": "Heartbeat windows of an institution's own recordings. Local: not published "
            "anywhere. Their licence is unknown to this software; ask the institution before any use. "
            f"{UNPUBLISHED}",
            "license": "unknown: local data, ask the institution that holds them",
            "citeAs": "unknown: local data",
            "creator": {"@type": "sc:Organization", "name": "unknown: local data"},
            "url": LOCAL,
            "version": "1.0.0",
        }
    return {"name": source.name, **_public(source.origin)}


def _public(origin: Origin) -> dict[str, Any]:
    return {
        "description": f"Heartbeat windows of {origin.title}, version {origin.version}. "
        f"Licence of the recordings: {origin.licence}. Known oddities: {' '.join(origin.quirks)}",
        "license": origin.licence_url,
        "citeAs": f"{origin.citation} https://doi.org/{origin.doi}",
        "creator": {"@type": "sc:Person", "name": origin.citation.split(". ")[0]},
        "isBasedOn": origin.url,
        "url": origin.url,
        "version": origin.version,
    }


def _counts(windows: Windows, preprocessing: str) -> list[dict[str, Any]]:
    """Return schema.org property values: how much there is, and what was left out or mended, by reason."""
    values: dict[str, int | str] = {
        "participants": len(windows.participants),
        "records": len(windows.records),
        "windows": len(windows),
        "preprocessing version": preprocessing,
        **{f"skipped or noted: {reason}": count for reason, count in windows.skipped.items()},
    }
    return [{"@type": "sc:PropertyValue", "name": name, "value": value} for name, value in values.items()]


def _record_set(array: str, windows: Windows) -> dict[str, Any]:
    """Describe one array. Croissant joins files by keys, ours by position: so each is a set of its own."""
    values = getattr(windows, array)
    shape = {"isArray": True, "arrayShape": str(values.shape[1])} if values.ndim == 2 else {}
    row = "R peak found, kept or not" if array.endswith("_B") else "heartbeat window"
    return {
        "@type": "cr:RecordSet",
        "@id": array,
        "name": array,
        "description": f"One row per {row}, in the same order in every array that has one.",
        "field": {
            "@type": "cr:Field",
            "@id": f"{array}/value",
            "name": "value",
            "description": MEANINGS[array],
            "dataType": TYPES[values.dtype.name],
            **shape,
            "source": {"fileObject": {"@id": f"{array}.npy"}, "extract": {"fileProperty": "content"}},
        },
    }
