"""Models that were trained and perhaps never promoted, by their MLflow run: git and DVC have them.

Each run of the pipeline commits `dvc.lock`, whose outputs DVC keeps in its cache.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineage import dvc_files
from lineage.dvc_files import Lock
from segtrail import git
from segtrail.errors import LineageError
from segtrail.files import write_bytes

SHORT = 8  # characters of a run's id, in names and messages


@dataclass(frozen=True)
class TrainedRun:
    """One training.

    Attributes:
        run_id: Of MLflow.
        commit: The latest whose `dvc.lock` records it.
        model_md5: Of the SavedModel's folder, as DVC names it.
    """

    run_id: str
    commit: str
    model_md5: str


def every(root: Path, recipe: str) -> list[TrainedRun]:
    """Returns the trainings that git and DVC's cache know of, the latest first, each once."""
    cache, found = dvc_files.cache_folder(root), dict[str, TrainedRun]()
    seen: set[str] = set()
    for commit in git.run(root, "log", "--all", "--format=%H", "--", "dvc.lock").split():
        try:
            lock = dvc_files.lock_at(root, commit, recipe)
            model = lock.output("train", f"artifacts/{recipe}/model")
            if model is None or model in seen:
                continue
            run_id = str(record(root, commit, lock, cache)["mlflow_run_id"])
        except LineageError:
            continue  # of an earlier segtrail, or gone from the cache: another one is asked for
        seen.add(model)
        found.setdefault(run_id, TrainedRun(run_id, commit, model))
    return list(found.values())


def record(root: Path, commit: str, lock: Lock, cache: Path) -> dict[str, Any]:
    """Returns what a training wrote of itself: its `run.json`.

    Args:
        root: The workspace's.
        commit: Whose `dvc.lock` it is.
        lock: The recipe's part of it.
        cache: DVC's.

    Raises:
        LineageError: It is gone or changed, or does not name an MLflow run.
    """
    path = f"artifacts/{lock.recipe}/training/run.json"
    content = dvc_files.output_at(root, commit, lock, cache, path)
    try:
        run: dict[str, Any] = json.loads(content)
        run["mlflow_run_id"]
    except (ValueError, LookupError, TypeError):
        raise LineageError(f"{path} at {commit[:10]}: expected a run of MLflow") from None
    return run


def find(root: Path, recipe: str, beginning: str) -> TrainedRun:
    """Returns the training whose MLflow run id begins so.

    Raises:
        LineageError: None does, or several do; says which there are.
    """
    runs = every(root, recipe)
    fit = [run for run in runs if beginning and run.run_id.startswith(beginning)]
    if len(fit) == 1:
        return fit[0]
    known = ", ".join(run.run_id[:SHORT] for run in runs) or "none"
    many = "no run" if not fit else f"{len(fit)} runs"
    raise LineageError(
        f"{many} of {recipe} begin{'s' if not fit else ''} with {beginning!r}; there are {known}",
        "dvc fetch --all-commits   (a run is found by git's dvc.lock and DVC's cache)",
    )


def restore(root: Path, run: TrainedRun, folder: Path) -> None:
    """Writes the run's SavedModel from DVC's cache, each file's md5 checked.

    Raises:
        LineageError: A file is not in the cache or changed, or a name leads out of the folder.
    """
    cache = dvc_files.cache_folder(root)
    for name, md5 in dvc_files.read_listing(cache, run.model_md5).items():
        path = dvc_files.inside(folder, name)
        write_bytes(path, dvc_files.read_object(cache, md5))
