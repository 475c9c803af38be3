"""The risk audit: three kinds of risk, every figure with its control, interval and reason.

`transecg_core.risk.audit.audit` runs it. Nothing is imported here: a site needs `context` alone, and
should not wait for the attacks' libraries.
"""
