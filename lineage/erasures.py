"""Images that a model learned from and that were erased since; who lets it serve nonetheless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lineage import data_version
from lineage.data_snapshot import IMAGES, PNG
from segtrail import split_ledger, tombstones
from segtrail.artifacts import TEST
from segtrail.split_ledger import LEDGER
from segtrail.tombstones import TOMBSTONES
from segtrail.words import counted
from segtrail.workspace import Workspace

DETAIL = "despite_erasure"  # of the ledger's lines about a version that serves all the same


def learned_from(workspace: Workspace, dataset: str, commit: str) -> list[tombstones.Row]:
    """Returns the tombstones of a data version's images, but those that a model is judged by.

    What it was tuned on counts as learned from; what has come back into the data since does not.

    Args:
        workspace: Whose; tombstones are those of the data version at HEAD.
        dataset: Its name.
        commit: That holds the data version.

    Raises:
        LineageError: One of the two data versions is not in DVC's cache.
        DataError: A table of theirs cannot be read.
        WorkspaceError: There is no such commit.
    """
    root = workspace.root
    now = data_version.tree(root, "HEAD", dataset)
    if TOMBSTONES not in now:
        return []
    then = data_version.tree(root, commit, dataset)
    splits = split_ledger.parse(data_version.read_file(root, then, LEDGER), f"{commit}: {LEDGER}")
    graves = tombstones.parse(data_version.read_file(root, now, TOMBSTONES), TOMBSTONES)
    found = {}
    for grave in graves:
        name = f"{IMAGES}{grave.image}{PNG}"
        learned = grave.image not in splits or splits[grave.image].split != TEST
        if learned and grave.md5 and then.get(name) == grave.md5 != now.get(name):
            found[grave.image] = grave
    return list(found.values())


def told(rows: Sequence[tombstones.Row]) -> dict[str, Any]:
    """Returns what the ledger keeps of them: how many images they are, and why they were erased."""
    return {"images": len(rows), "erased": "; ".join(sorted({row.reason for row in rows}))}


def what(word: Mapping[str, Any]) -> str:
    """Returns in words what was erased, such as `2 images that were erased (consent withdrawn)`."""
    were = "was" if word["images"] == 1 else "were"
    return f"{counted(word['images'], 'image', 'images')} that {were} erased ({word['erased']})"


def says(word: Mapping[str, Any]) -> str:
    """Returns in words who let a version serve that learned from what was erased."""
    return f"although it learned from {what(word)}, by {word['by']} because {word['reason']}"
