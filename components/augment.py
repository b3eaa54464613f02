"""Draws what augmentation makes of a recipe's training tiles."""

from __future__ import annotations

from pathlib import Path

from components.training.augmented import augmented_page
from segtrail.artifacts import TRAIN, TransformGraph
from segtrail.files import write_bytes
from segtrail.images import encode_png
from segtrail.made_with import require_tiles
from segtrail.params import load_recipe
from segtrail.progress import say
from segtrail.task import load_task
from segtrail.workspace import Workspace


def augment(workspace: Workspace, name: str, out: Path | None = None) -> Path:
    """Writes a page of augmented samples, the same for the same recipe and tiles.

    Args:
        workspace: Where `transform` has run.
        name: The recipe.
        out: A PNG file; by default `artifacts/<recipe>/augmented.png`.

    Returns:
        The file.
    """
    recipe, task = load_recipe(workspace, name), load_task(workspace, name)
    tiles = require_tiles(TransformGraph.of(workspace, name), recipe, task).tiles(TRAIN)
    path = out or workspace.artifacts(name) / "augmented.png"
    write_bytes(path, encode_png(augmented_page(tiles, recipe, task)))
    say(f"augmented samples in {path}")
    return path
