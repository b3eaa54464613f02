"""Clears the files of erased images out of working trees: the workspace's and its workers'."""

from __future__ import annotations

import contextlib
import hashlib
import html
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from components.ingestion import quarantine
from components.ingestion.derived import LOOKED_INTO, REMADE, holds_erased
from components.scoring import FOLDER as SCORES
from lineage import report_record
from segtrail.errors import ConfigError
from segtrail.params import load_params
from segtrail.workspace import WORKERS, Workspace


def of_workers(workspace: Workspace) -> list[Workspace]:
    """Returns the clones in which workers run the workspace's recipes."""
    folders = sorted(workspace.workers.glob("*/.git"))
    return [Workspace(git.parent, workspace.home) for git in folders]


def find(
    workspace: Workspace,
    dataset: str,
    images: Collection[str],
    erased: Collection[str],
    delivered: Collection[str],
) -> list[Path]:
    """Returns files and folders of one working tree that hold copies of erased images.

    What a landing has left in `data/` stays: there the images are gone already, except in a
    worker's clone.

    Args:
        workspace: Whose tree.
        dataset: Whose images.
        images: Their ids: what was quarantined for them goes, bad masks too.
        erased: The md5 of image and mask files.
        delivered: The SHA-256 of files in which they were delivered.
    """
    found: list[Path] = []
    for folder in _artifacts(workspace, dataset):
        for name in REMADE:
            found += [
                path
                for path in (folder / name, *sorted(folder.glob(f".{name}.*.tmp")))
                if path.exists()
            ]
        if (scores := workspace.scratch / SCORES / folder.name).exists():
            found.append(scores)
        for name in LOOKED_INTO:
            found += [
                path
                for path in sorted(folder.glob(f"*/{name}"))
                if holds_erased(path.read_bytes(), erased)
            ]
    found += quarantine.files_of(workspace, dataset, images)
    for path in _scratch_files(workspace, dataset):
        with contextlib.suppress(FileNotFoundError):  # somebody else's, and gone
            md5, sha256 = _digests(path)
            if md5 in erased or sha256 in delivered:
                found.append(path)
    return list(dict.fromkeys(found))


def reports(workspace: Workspace, dataset: str, images: Collection[str]) -> list[Path]:
    """Returns the reports among MLflow's files that show one of a dataset's images, or name it.

    No digest rests on them: see `lineage.run_digests`.
    """
    named = "|".join(re.escape(html.escape(image)) for image in images)
    shown = re.compile(rf"(?<![\w-])(?:{named})(?![\w-])")
    pages = sorted(workspace.mlflow_artifacts.glob(f"*/*/artifacts/{report_record.FOLDER}/*.html"))
    other = {workspace.mlflow_artifacts / name for name in _recipes_of_others(workspace, dataset)}
    return [
        page
        for page in pages
        if page.parents[3] not in other and shown.search(page.read_text(errors="replace"))
    ]


def described(root: Path, paths: Iterable[Path]) -> list[str]:
    """Returns a line for each folder that `find` returned, or in which it found files.

    Args:
        root: Below which they are, but those of MLflow.
        paths: Which exist.
    """
    counts: Counter[str] = Counter()
    for path in paths:
        inside = path.relative_to(root) if path.is_relative_to(root) else path
        if path.is_dir():
            counts[f"{inside.as_posix()}/"] = 0
        elif inside.parts[0] == "quarantine":  # quarantine/<dataset>/<delivery>/...
            counts["/".join(inside.parent.parts[:3]) + "/"] += 1
        else:
            counts[f"{inside.parent.as_posix()}/"] += 1
    return [
        f"{name} ({n} file{'' if n == 1 else 's'})" if n else name
        for name, n in sorted(counts.items())
    ]


def remove(paths: Iterable[Path]) -> None:
    """Removes what `find` returned."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _artifacts(workspace: Workspace, dataset: str) -> list[Path]:
    """Returns the folders of recipes, but those that are of another dataset for sure."""
    other, root = _recipes_of_others(workspace, dataset), workspace.root / "artifacts"
    return [p for p in sorted(root.glob("*")) if p.is_dir() and p.name not in other]


def _recipes_of_others(workspace: Workspace, dataset: str) -> set[str]:
    try:
        recipes = load_params(workspace.params).recipes
    except ConfigError:
        recipes = {}
    return {name for name, recipe in recipes.items() if recipe.dataset != dataset}


def _scratch_files(workspace: Workspace, dataset: str) -> Iterator[Path]:
    quarantine = workspace.root / "quarantine"
    roots = [workspace.scratch, quarantine]
    if workspace.root.parent.name == WORKERS:
        roots.append(workspace.dataset(dataset))
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink() and workspace.workers not in path.parents:
                yield path


def _digests(path: Path) -> tuple[str, str]:
    with open(path, "rb") as f:
        md5 = hashlib.file_digest(f, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        f.seek(0)
        return md5, hashlib.file_digest(f, "sha256").hexdigest()
