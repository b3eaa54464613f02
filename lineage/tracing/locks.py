"""Which trainings each `dvc.lock` records, and on what data, in the index of `segtrail trace`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lineage import data_history, dvc_files
from lineage.data_history import Commit
from lineage.dvc_files import Lock
from segtrail import git_objects
from segtrail.errors import LineageError, WorkspaceError

LOCK = "dvc.lock"
TABLES = """
CREATE TABLE lock (revision TEXT PRIMARY KEY);
CREATE TABLE trained (revision TEXT, recipe TEXT, model TEXT, training TEXT, examples TEXT);
CREATE TABLE examples (recipe TEXT, md5 TEXT, dataset TEXT, data TEXT,
    PRIMARY KEY (recipe, md5, dataset, data));
"""


@dataclass(frozen=True)
class Training:
    """A training that `dvc.lock` records.

    Attributes:
        recipe: Which.
        model_md5: Of the SavedModel's folder, as DVC names it.
        training_md5: Of the folder with `run.json`; empty if there is none.
        dataset: What it was trained on; empty if no `dvc.lock` says it.
        data_md5: Which version of that, as `segtrail data log` shows it; likewise.
        commits: Those with such a `dvc.lock`, the latest first.
    """

    recipe: str
    model_md5: str
    training_md5: str
    dataset: str
    data_md5: str
    commits: Sequence[Commit]


def update(db: sqlite3.Connection, root: Path) -> list[Training]:
    """Takes in what is new; returns every training, the latest first.

    Raises:
        WorkspaceError: Not a git repository.
    """
    commits = data_history.commits(root, None, [LOCK])
    known = {revision for (revision,) in db.execute("SELECT revision FROM lock")}
    for commit in commits:
        if commit.revision not in known:
            _take_in(db, root, commit.revision)
    return _trainings(db, commits)


def of_lock(lock: Lock) -> tuple[str, str, str] | None:
    """Returns the md5 of model, training and examples that a lock records; None: no training."""
    model = lock.output("train", f"artifacts/{lock.recipe}/model")
    if model is None:
        return None
    training = lock.output("train", f"artifacts/{lock.recipe}/training")
    examples = lock.dependency("train", f"artifacts/{lock.recipe}/examples")
    return model, training or "", examples or ""


def _take_in(db: sqlite3.Connection, root: Path, revision: str) -> None:
    db.execute("INSERT INTO lock VALUES (?)", (revision,))
    try:
        locks = dvc_files.parse_locks(git_objects.show(root, revision, LOCK))
    except (LineageError, WorkspaceError):  # in the middle of a merge, or taken away
        return
    for recipe, lock in locks.items():
        made, data = lock.output("examples", f"artifacts/{recipe}/examples"), lock.dataset()
        if made and data:
            db.execute("INSERT OR IGNORE INTO examples VALUES (?, ?, ?, ?)", (recipe, made, *data))
        if (trained := of_lock(lock)) is not None:
            db.execute("INSERT INTO trained VALUES (?, ?, ?, ?, ?)", (revision, recipe, *trained))


def _trainings(db: sqlite3.Connection, commits: Sequence[Commit]) -> list[Training]:
    """Returns the trainings of the commits that there are; a data version may have been found
    by the examples of another commit's lock, when a later stage failed at first.
    """
    data = {
        (recipe, md5): (dataset, version)
        for recipe, md5, dataset, version in db.execute("SELECT * FROM examples")
    }
    of_commit: dict[str, list[tuple[str, str, str, str]]] = {}
    for revision, *rest in db.execute("SELECT * FROM trained"):
        of_commit.setdefault(revision, []).append((rest[0], rest[1], rest[2], rest[3]))
    found: dict[tuple[str, str, str, str], list[Commit]] = {}
    for commit in commits:
        for key in of_commit.get(commit.revision, ()):
            found.setdefault(key, []).append(commit)
    return [
        Training(recipe, model, training, *data.get((recipe, examples), ("", "")), commits=where)
        for (recipe, model, training, examples), where in found.items()
    ]
