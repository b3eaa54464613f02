"""One promotion, rollback or decision at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from segtrail.progress import say
from segtrail.workspace import Workspace


@contextlib.contextmanager
def exclusive(workspace: Workspace) -> Iterator[None]:
    """Holds the promotion lock, which a process that dies lets go of."""
    path = workspace.promotion_lock
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another promotion to finish")
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
