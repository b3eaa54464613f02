"""Processes of the platform that no supervisor watches any more, found by a mark of their own.

Each server is started with the variable `SEGTRAIL_PLATFORM` (`<name>@<folder>`), which whatever it
starts inherits: a process is known by that, never by its name. psutil looks at the start time of a
process before each signal, so that a number that the kernel has given away again is left alone.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psutil import Process

MARK = "SEGTRAIL_PLATFORM"
SUPERVISOR = "supervisord"
GRACE_S = 30.0
_KILLED_S = 10.0


def mark(name: str, folder: Path) -> dict[str, str]:
    """Returns the variable that tells whose process it is."""
    return {MARK: f"{name}@{folder}"}


def find(folder: Path) -> list[tuple[str, Process]]:
    """Returns the processes of the servers of a folder, and of what they started, with names."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            name, at, of = process.environ().get(MARK, "").partition("@")
            if at and of == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append((name, process))
    return found


def end(folder: Path, order: tuple[str, ...]) -> int:
    """Ends all of them, each kind after the one before it: asked first, then killed.

    Args:
        folder: Of the servers.
        order: All names, the first to be ended first, after the supervisor.

    Returns:
        How many there were.
    """
    import psutil

    ended = 0
    for name in (SUPERVISOR, *order):
        mine = [p for of, p in find(folder) if of == name and p.pid != os.getpid()]
        ended += len(mine)
        for process in mine:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        _kill(psutil.wait_procs(mine, GRACE_S)[1])
    return ended


def end_earlier(name: str, folder: Path) -> None:
    """Kills what a killed server of this name has left, which would keep its port."""
    _kill([p for of, p in find(folder) if of == name and p.pid != os.getpid()])


def _kill(processes: list[Process]) -> None:
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, _KILLED_S)
