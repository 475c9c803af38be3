"""The report: one validated ``report.json``, and one self-contained page made from it alone."""

from transecg_core.report.build import complete, write_report
from transecg_core.report.compare import write_comparison
from transecg_core.report.schema import SCHEMA_VERSION, ReportError, read_report, validate

__all__ = [
    "SCHEMA_VERSION",
    "ReportError",
    "compare",
    "complete",
    "read_report",
    "validate",
    "write_comparison",
    "write_report",
]
