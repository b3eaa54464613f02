"""One process at a time: of all flows and ingestions of a workspace, or of one kind of work."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from segtrail.errors import StageError
from segtrail.workspace import Workspace

POLL_S = 0.5


@contextlib.contextmanager
def flow_lock(workspace: Workspace, say: Callable[[str], None]) -> Iterator[int]:
    """Waits until no other flow or ingestion runs here; yields the lock's file descriptor.

    Two DVC commands in one workspace fail as "busy". A Prefect concurrency limit would not
    keep them apart: a run without a standing server has a server of its own, which knows
    nothing of the other's limits. The kernel's file lock needs no server and is given back
    when its holders die; children that hold the descriptor are waited for.
    """
    path = flow_path(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        told = False
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    holder = os.pread(fd, 200, 0).decode(errors="replace").strip()
                    say(
                        "waiting for another flow or ingestion in this workspace "
                        f"({holder or 'starting'})"
                    )
                    told = True
                time.sleep(POLL_S)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"pid {os.getpid()}\n".encode(), 0)
        try:
            yield fd
        finally:
            os.ftruncate(fd, 0)  # a number that stays is that of a process that was killed
    finally:
        os.close(fd)


def flow_path(workspace: Workspace) -> Path:
    """Returns the file of `flow_lock`."""
    return workspace.scratch / "flow.lock"


def is_held(path: Path) -> bool:
    """Whether another process holds a lock; its file is neither made nor changed."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


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
