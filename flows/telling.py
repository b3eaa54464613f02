"""How a terminal and a log are told what a step of the pipeline says, and that it ended."""

from __future__ import annotations

import re
import time

# TensorFlow looks for a GPU and tells, before any log level is obeyed, that there is none.
_NOISE = re.compile(r"absl::InitializeLog\(\) is called|cudart_stub\.cc:|cuda_platform\.cc:")


def said_by(step: str, line: str) -> str | None:
    """Returns a line of a step with the step's name, or None for one that nobody needs."""
    return f"{step:>14} | {line}" if line.strip() and not _NOISE.search(line) else None


def ended(step: str, what: str, started: float) -> str:
    """Returns that a step ended, and how; it began when `time.monotonic()` was `started`."""
    return f"{step:>14} : {what}, {time.monotonic() - started:.1f} s"
