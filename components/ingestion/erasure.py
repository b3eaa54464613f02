"""Erasure: deletes the bytes of images whose consent was withdrawn, wherever DVC keeps them.

A tombstone is the order: it names the contents that must not be anywhere. `purge` carries out
all tombstones of a dataset. Done twice it deletes nothing more, so that it can be repeated after
a crash, after a remote was out of reach, and in every other clone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.ingestion import working_copies
from components.ingestion.erasure_plan import Plan, plan
from components.ingestion.history import LOCK, data_versions
from components.ingestion.object_stores import Store, open_stores
from segtrail import git, split_ledger, tombstones
from segtrail.errors import WorkspaceError
from segtrail.files import fsync_dir, read_json, write_json
from segtrail.lock import flow_lock
from segtrail.progress import say
from segtrail.tombstones import TOMBSTONES
from segtrail.workspace import Workspace


@dataclass(frozen=True)
class Purged:
    """What `purge` did.

    Attributes:
        plan: What was to be deleted.
        deleted: How many files each store still had.
        copies: One line for each folder outside `data/` that was emptied of copies, or removed.
    """

    plan: Plan
    deleted: Mapping[str, int]
    copies: Sequence[str]


def copies_of(workspace: Workspace, doomed: Plan) -> list[Path]:
    """Returns what holds erased images in the working tree, in those of workers, and in MLflow."""
    images = {row.image for row in doomed.rows}
    delivered = _delivered(workspace, doomed.dataset, doomed.rows)
    if not images:
        return []
    found = [
        path
        for copy in (workspace, *working_copies.of_workers(workspace))
        for path in working_copies.find(copy, doomed.dataset, images, doomed.erased, delivered)
    ]
    return found + working_copies.reports(workspace, doomed.dataset, images)


def purge(workspace: Workspace, dataset: str) -> Purged:
    """Deletes what the tombstones of a dataset name, here and in every remote.

    Deletes also what stages made of it: see `components.ingestion.derived`. Waits until no
    worker's flow runs, which could write it anew.

    Raises:
        WorkspaceError: A remote is out of reach, or something could not be deleted.
    """
    rows = tombstones.read(workspace.dataset(dataset) / TOMBSTONES)
    with contextlib.ExitStack() as stack:
        for copy in working_copies.of_workers(workspace):
            stack.enter_context(flow_lock(copy, say))
        with open_stores(workspace) as stores:
            history = data_versions(workspace, stores.read)
            doomed = plan(workspace, dataset, rows, history, stores)
            md5s = sorted(doomed.erased | doomed.derived.md5s)
            deleted = {store.name: _delete(store, md5s, doomed) for store in stores.all}
            if doomed.stages:
                _forget(workspace, doomed.stages)
        copies = copies_of(workspace, doomed)
        named = working_copies.described(workspace.root, copies)
        working_copies.remove(copies)
    if doomed.stages:
        count = len(doomed.stages)
        stages = f"{count} stage{'' if count == 1 else 's'}"
        commit = git.commit(
            workspace.root, [LOCK],
            f"Forget {stages} of erased images of {dataset}\n\n{', '.join(doomed.stages)}\n",
        )  # fmt: skip
        if commit:
            say(f"committed {commit[:10]}: {stages} forgotten, which run again ({LOCK})")
    return Purged(doomed, deleted, named)


class Pending:
    """The note of erasures that have begun: it comes before the landing, and goes after `purge`.

    Args:
        workspace: Whose.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.path = workspace.scratch / "erasure.json"

    def datasets(self) -> list[str]:
        """Returns the datasets whose tombstones are perhaps not carried out yet."""
        return list(read_json(self.path)) if self.path.exists() else []

    def begin(self, dataset: str) -> None:
        """Notes that a dataset's tombstones must be carried out."""
        write_json(self.path, sorted({*self.datasets(), dataset}))

    def done(self, dataset: str) -> None:
        """Strikes a dataset out."""
        if left := [name for name in self.datasets() if name != dataset]:
            write_json(self.path, left)
        else:
            self.path.unlink(missing_ok=True)
            fsync_dir(self.path.parent)


def finish_interrupted(workspace: Workspace) -> None:
    """Carries out the tombstones of erasures that were interrupted; says how it went.

    To be called by whoever has the right to change `data/`. A remote that is still out of reach
    does not stop them: the note stays for the next time.
    """
    pending = Pending(workspace)
    for dataset in pending.datasets():
        try:
            purge(workspace, dataset)
        except WorkspaceError as e:
            say(f"an erasure in {dataset} is still not finished: {e}")
        else:
            pending.done(dataset)
            say(f"went through the erasures in {dataset} once more, after an interruption")


def _delete(store: Store, md5s: Sequence[str], doomed: Plan) -> int:
    store.delete_runs(doomed.runs[store.name])
    return store.delete(md5s)


def _forget(workspace: Workspace, stages: Sequence[str]) -> None:
    """Takes stages out of `dvc.lock`, or else `dvc fetch` would ask for what is gone."""
    from dvc.utils.serialize import modify_yaml

    path = workspace.root / LOCK
    if not path.exists():
        return
    with modify_yaml(str(path)) as lock:
        for stage in stages:
            lock["stages"].pop(stage, None)


def _delivered(workspace: Workspace, dataset: str, rows: Sequence[tombstones.Row]) -> set[str]:
    """Returns the SHA-256 of the files in which erased images were delivered, if not as PNG."""
    ledger = split_ledger.read(workspace.dataset(dataset) / split_ledger.LEDGER)
    found = set()
    for row in rows:
        entry = ledger.get(row.image)
        if entry and entry.sha256 == row.sha256 and entry.delivered_sha256:
            found.add(entry.delivered_sha256)
    return found
