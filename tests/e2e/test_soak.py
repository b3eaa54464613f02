"""A week of operations holds: see `python -m scripts.soak --help`.

It lives in a clone of the repository's last commit, so that changes of the working tree that are
not committed are not tried.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_a_week_of_operations(tmp_path: Path) -> None:
    page = tmp_path / "soak.html"
    done = subprocess.run(
        [sys.executable, "-m", "scripts.soak", "--days", "7", "--small", "--out", str(page)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    assert "the ledger verifies: holds" in done.stdout
    assert "the audit of v4: holds" in done.stdout
    for happening in ("one damaged", "severe", "training killed", "Grace approved", "rolled back"):
        assert happening in done.stdout
        assert happening in page.read_text("utf-8")
