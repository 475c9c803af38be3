"""The risk audit: three kinds of risk, every figure with its control, interval and reason."""

from __future__ import annotations

from transecg_core.risk.audit import audit
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.risk.rows import RiskRow

__all__ = ["AuditContext", "AuditSite", "RiskRow", "audit"]
