"""Removes what nothing refers to any more: of the cache, of workers, and of killed commands."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.collecting import cache, leftovers, recorded, workers
from components.collecting.found import Found
from components.ingestion.object_stores import open_cache
from components.ingestion.working_copies import of_workers
from lineage.dvc_files import cache_folder
from segtrail.errors import StageError, WorkspaceError
from segtrail.lock import alone, flow_path, is_held
from segtrail.workspace import WORKERS, Workspace


@dataclass(frozen=True)
class Plan:
    """What would go.

    Attributes:
        found: Of each kind; none of which nothing was found.
        left: One line for each thing that was not looked into, and why.
    """

    found: Sequence[Found]
    left: Sequence[str]

    @property
    def bytes(self) -> int:
        """How much disk it takes."""
        return sum(each.bytes for each in self.found)


def plan(workspace: Workspace) -> Plan:
    """Returns what nothing refers to; changes nothing.

    Raises:
        StageError: A flow, an ingestion or a promotion is running.
        WorkspaceError: This is the clone of a worker.
        LineageError: A ledger, or a `dvc.lock` that is needed, is not readable.
        ConfigError: `params.yaml` is not readable.
    """
    _require_home(workspace)
    for path in _locks(workspace, of_workers(workspace)):
        if is_held(path):
            raise StageError(_busy(path), "wait until it ends, or stop it")
    return _look(workspace)


def remove(workspace: Workspace, shown: Plan) -> Plan:
    """Removes of a plan what is still garbage; returns what went.

    Whatever writes is kept out meanwhile. Killed in its midst, it leaves what the next one finds.

    Raises:
        StageError, WorkspaceError, LineageError, ConfigError: See `plan`; then nothing went.
        OSError: Something cannot be removed.
    """
    _require_home(workspace)
    with contextlib.ExitStack() as stack:
        for path in _locks(workspace, of_workers(workspace)):
            stack.enter_context(alone(path, _busy(path)))
        store = stack.enter_context(open_cache(workspace))
        now = {each.kind: each for each in _look(workspace).found}
        agreed = [each.among(now.get(each.kind)) for each in shown.found]
        if any(each.kind == cache.OUTPUTS and each.sizes for each in agreed):
            store.forget_index()
        for each in agreed:
            for path in each.sizes:
                _remove(workspace, path)
    return Plan([each for each in agreed if each.sizes], shown.left)


def _look(workspace: Workspace) -> Plan:
    clones = of_workers(workspace)
    gone = workers.find(workspace, clones)
    places = [workspace, *(clone for clone in clones if clone.root not in gone.sizes)]
    store, left = cache_folder(workspace.root), list[str]()
    own = store.resolve().is_relative_to(workspace.root) and store.parts[-2:] == ("files", "md5")
    found = [gone, leftovers.find(places, store if own else None)]
    if not own:
        left.append(f"DVC's cache: {store} is outside of the workspace, others may share it")
    else:
        try:
            found += cache.find(places, store)
        except recorded.UnclearError as e:
            left.append(f"DVC's cache: {e}")
    return Plan([each for each in found if each.sizes], left)


def _locks(workspace: Workspace, clones: Sequence[Workspace]) -> Iterator[Path]:
    """Yields what is held by whoever changes data, outputs or what serves."""
    for place in (workspace, *clones):
        yield flow_path(place)
    yield workspace.promotion_lock


def _busy(lock: Path) -> str:
    return f"{lock} is held: a run, an ingestion or a promotion is under way; nothing was removed"


def _require_home(workspace: Workspace) -> None:
    if workspace.root != workspace.home:
        raise WorkspaceError(
            f"{workspace.root} works for the workspace {workspace.home}, which alone knows what "
            "is needed",
            f"cd {workspace.home} && segtrail gc",
        )


def _remove(workspace: Workspace, path: Path) -> None:
    """Removes a file or a folder; a clone is renamed first, so that nobody meets half of one."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    if path.parent.name == WORKERS:
        aside = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=workspace.scratch)
        path = path.rename(aside)
    shutil.rmtree(path)
