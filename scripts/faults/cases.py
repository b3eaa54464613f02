"""All cases."""

from __future__ import annotations

from scripts.faults import data, full, killed, servers

CASES = [*killed.CASES, *full.CASES, *servers.CASES, *data.CASES]
