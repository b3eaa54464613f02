"""Clears the files of erased images out of working trees: the workspace's and its workers'."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from components.ingestion import quarantine
from components.ingestion.derived import LOOKED_INTO, REMADE, holds_erased
from segtrail.errors import ConfigError
from segtrail.params import load_params
from segtrail.workspace import Workspace

_WORKERS = "workers"  # under the scratch folder: see flows/clone.py


def of_workers(workspace: Workspace) -> list[Workspace]:
    """Returns the clones in which workers run the workspace's recipes."""
    folders = sorted((workspace.scratch / _WORKERS).glob("*/.git"))
    return [Workspace(git.parent, workspace.home) for git in folders]


def clear(
    workspace: Workspace,
    dataset: str,
    images: Collection[str],
    erased: Collection[str],
    delivered: Collection[str],
) -> int:
    """Removes copies of erased images from one working tree; returns how many files.

    What a landing has left in `data/` stays: there the images are gone already, except in a
    worker's clone.

    Args:
        workspace: Whose tree.
        dataset: Whose images.
        images: Their ids: what was quarantined for them goes, bad masks too.
        erased: The md5 of image and mask files.
        delivered: The SHA-256 of files in which they were delivered.
    """
    count = 0
    for folder in _artifacts(workspace, dataset):
        for name in REMADE:
            for path in (folder / name, *folder.glob(f".{name}.*.tmp")):
                if path.exists():
                    shutil.rmtree(path)
                    count += 1
        for name in LOOKED_INTO:
            for path in folder.glob(f"*/{name}"):
                if holds_erased(path.read_bytes(), erased):
                    path.unlink()
                    count += 1
    for path in quarantine.files_of(workspace, dataset, images):
        path.unlink()
        count += 1
    for path in _scratch_files(workspace, dataset):
        md5, sha256 = _digests(path)
        if md5 in erased or sha256 in delivered:
            path.unlink()
            count += 1
    return count


def _artifacts(workspace: Workspace, dataset: str) -> list[Path]:
    """Returns the folders of recipes, but those that are of another dataset for sure."""
    try:
        recipes = load_params(workspace.params).recipes
    except ConfigError:
        recipes = {}
    other = {name for name, recipe in recipes.items() if recipe.dataset != dataset}
    root = workspace.root / "artifacts"
    return [p for p in sorted(root.glob("*")) if p.is_dir() and p.name not in other]


def _scratch_files(workspace: Workspace, dataset: str) -> Iterator[Path]:
    workers = workspace.scratch / _WORKERS
    quarantine = workspace.root / "quarantine"
    roots = [workspace.scratch, quarantine]
    if workspace.root.parent.name == _WORKERS:
        roots.append(workspace.dataset(dataset))
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink() and workers not in path.parents:
                yield path


def _digests(path: Path) -> tuple[str, str]:
    with open(path, "rb") as f:
        md5 = hashlib.file_digest(f, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        f.seek(0)
        return md5, hashlib.file_digest(f, "sha256").hexdigest()
