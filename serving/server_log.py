"""What a model server's log says of a failure: those of TF Serving and of the embedded server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

MOST = 20
_NEWS = re.compile(
    r"error|fail|cannot|could not|did not|not found|no such|missing|invalid|corrupt|killed"
    r"|out of memory|exhausted",
    re.IGNORECASE,
)
# 2026-01-31 12:00:00.123456: E tensorflow_serving/util/retrier.cc:46] ...
_NO_NEWS = re.compile(r"^\S+ \S+: [IW] |cuda|computation_placer|oneDNN", re.IGNORECASE)
_DUE = re.compile(r"did not become available: \{+.*?(?:due to error: |\}\}?: )(.+)")
_ENDS = re.compile(r"[}\s,]+$")


def last_lines(log: Path) -> list[str]:
    """Returns the last lines that tell of a failure; of a log without any, the last lines."""
    lines = [line.rstrip() for line in _lines(log) if line.strip()]
    news = [line for line in lines if _NEWS.search(line) and not _NO_NEWS.search(line)]
    return list(dict.fromkeys(news or lines))[-MOST:]


def why_not_loaded(log: Path) -> str:
    """Returns what a server says of the model that it could not load; empty if nothing."""
    found = [match[1] for line in _lines(log) if (match := _DUE.search(line))]
    return _ENDS.sub("", found[-1]) if found else ""


def in_lines(lines: Sequence[str], log: Path) -> str:
    """Returns lines of a log as a message shows them."""
    return "\n".join([f"{log}:", *(f"  {line}" for line in lines or ["(empty)"])])


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()
