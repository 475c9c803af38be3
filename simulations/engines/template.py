"""Imported by the process that workers are forked from: brings in the ClientApp, once for all of them."""

from __future__ import annotations

import contextlib
import importlib
import os

CLIENTAPP = "TRANSECG_CLIENTAPP"

if CLIENTAPP in os.environ:
    # A ClientApp that can't be imported must not end the template: its workers will say so themselves.
    with contextlib.suppress(Exception):
        importlib.import_module(os.environ[CLIENTAPP].partition(":")[0])
