"""One file per attack; `transecg_core.risk.registry` lists them."""
