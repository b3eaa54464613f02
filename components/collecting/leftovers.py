"""What killed commands left: temporary files and folders that nobody writes any more."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.collecting.found import Found, measure
from segtrail.lock import is_held
from segtrail.workspace import WORKERS, Workspace

FRESH_S = 3600  # who made it may not hold a lock, as DVC
_WRITTEN = ("artifacts", "expectations", "ledger", "quarantine", "serving", ".segtrail")
# by segtrail.files, by serving.store, and by DVC in its cache
_OURS = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp|\.incoming-.+")
_DVCS = re.compile(r"\.[\w-]{22}\.tmp")


def find(places: Sequence[Workspace], cache: Path | None) -> Found:
    """Returns what is called as a temporary file is, not locked, and an hour old.

    Args:
        places: The workspace and the clones of its workers.
        cache: DVC's; None: not to be looked into.
    """
    found = [path for place in places for path in _of_place(place)]
    found += _below(cache, _DVCS) if cache else []
    sizes: dict[Path, int] = {}
    for path in found:
        with contextlib.suppress(FileNotFoundError):  # whoever wrote it was done with it
            size, changed = measure(path)
            if time.time() - changed > FRESH_S and not _is_locked(path):
                sizes[path] = size
    return Found("temporary files", "left by commands that were killed", sizes)


def _of_place(place: Workspace) -> Iterator[Path]:
    yield from (path for path in sorted(place.root.iterdir()) if _OURS.fullmatch(path.name))
    for name in _WRITTEN:
        yield from _below(place.root / name, _OURS)


def _below(folder: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if pattern.fullmatch(name):
                yield Path(at, name)
        folders[:] = [name for name in folders if name != WORKERS and not pattern.fullmatch(name)]


def _is_locked(path: Path) -> bool:
    try:
        return is_held(path)
    except OSError:  # a file system without locks
        return False
