"""Steps that end by a fault of what they run on; one of them, a workspace in use, is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from segtrail.errors import EXIT_FAULT, StageError

BUSY_S = 120.0
_POLL_S = 1.0
_WAIT = "wait until that command ends; what it may have left: segtrail doctor"
_T = TypeVar("_T")


class StepFault(StageError):
    """A step was ended by a fault of what it runs on; the same step may succeed later."""

    exit_code = EXIT_FAULT


class BusyError(StepFault):
    """Another DVC command holds the workspace.

    Args:
        message: DVC's words: which files, and which process holds them.
        hint: What to do next.
    """

    def __init__(self, message: str, hint: str | None = _WAIT) -> None:
        super().__init__(message, hint)


def patiently(
    attempt: Callable[[], _T], on_line: Callable[[str], None], busy_s: float = BUSY_S
) -> _T:
    """Tries again while another DVC command holds the workspace.

    A process that was killed holds it, too, until the system has removed it.

    Args:
        attempt: What is tried; each second once.
        on_line: Is told that it waits.
        busy_s: For how long.

    Raises:
        BusyError: It is still held.
    """
    told, deadline = False, time.monotonic() + busy_s
    while True:
        try:
            return attempt()
        except BusyError:
            if time.monotonic() > deadline:
                raise
        if not told:
            on_line("another DVC command runs in this workspace; waiting for it")
            told = True
        time.sleep(_POLL_S)
