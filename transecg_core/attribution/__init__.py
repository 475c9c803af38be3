"""Which part of the heartbeat the model uses, per task, and whether that may be believed."""

from transecg_core.attribution.central import Group, attribute, explain
from transecg_core.attribution.picture import example_beat
from transecg_core.attribution.relevance import METHODS

__all__ = ["METHODS", "Group", "attribute", "example_beat", "explain"]
