"""The section `disk`: what is free where segtrail writes, and what its stores hold."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from flows.doctor.findings import Finding, State, ok
from flows.doctor.here import Here

LOW_GIB, NONE_GIB = 10, 1
_COUNT_S = 5.0
_TEMPORARY = "temporary files"


def free(here: Here) -> Iterator[Finding]:
    """Tells what is free where the workspace, DVC's cache and temporary files lie."""
    places: dict[int, list[tuple[str, Path]]] = {}
    folders = {"workspace": here.workspace.root, "DVC's cache": _cache(here),
               _TEMPORARY: Path(tempfile.gettempdir())}  # fmt: skip
    for name, folder in folders.items():
        if folder.is_dir():
            places.setdefault(folder.stat().st_dev, []).append((name, folder))
    for there in places.values():
        name, folder = there[0]
        gib = shutil.disk_usage(folder).free / 2**30
        what = f"{gib:.1f} GiB free: {', '.join(f'{name} ({folder})' for name, folder in there)}"
        if gib >= LOW_GIB:
            yield ok(what)
            continue
        own = name != _TEMPORARY
        then = "segtrail gc --dry-run" if own else "export TMPDIR=... (on a larger disk)"
        yield Finding(State.BROKEN if gib < NONE_GIB else State.WARNING, what, f"free some: {then}")


def held(here: Here) -> Iterator[Finding]:
    """Tells how much DVC's cache and MLflow's artifacts hold."""
    for name, folder in (
        ("DVC's cache", _cache(here)),
        ("mlruns", here.workspace.mlflow_artifacts),
    ):
        if folder.is_dir():
            yield ok(f"{name} holds {_size(folder)}")


def _cache(here: Here) -> Path:
    is_dvc = (here.workspace.root / ".dvc").is_dir()
    return here.dvc.cache if is_dvc else here.workspace.root / ".dvc" / "cache"


def _size(folder: Path) -> str:
    """Returns the size of a folder's files, or as much as could be counted in a few seconds."""
    total, end = 0, time.monotonic() + _COUNT_S
    for at, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(at, name)).st_size
            except OSError:
                continue
        if time.monotonic() > end:
            return f"more than {total / 2**30:.1f} GiB"
    return f"{total / 2**30:.2f} GiB"


CHECKS = (free, held)
