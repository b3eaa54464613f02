"""One process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from segtrail.errors import StageError


@contextlib.contextmanager
def alone(path: Path, busy: str) -> Iterator[None]:
    """Holds a lock until the block ends; a process that dies gives it back.

    Args:
        path: The lock's file; it stays.
        busy: What to say when another process holds it.

    Raises:
        StageError: Another process does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise StageError(busy, "wait until it ends, or stop it") from None
    try:
        yield
    finally:
        os.close(fd)
