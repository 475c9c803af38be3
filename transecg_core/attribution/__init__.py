"""Which part of the heartbeat the model uses, per task, and whether that may be believed."""

from transecg_core.attribution.by_site import attribution_by_site
from transecg_core.attribution.central import attribute
from transecg_core.attribution.group import Group, explain
from transecg_core.attribution.methods import CLAIM_METHODS, FAMILIES, METHODS
from transecg_core.attribution.picture import example_beat

__all__ = [
    "CLAIM_METHODS",
    "FAMILIES",
    "METHODS",
    "Group",
    "attribute",
    "attribution_by_site",
    "example_beat",
    "explain",
]
