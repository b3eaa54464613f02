"""What tiles were made with, so that a stage that is run by hand takes no stale ones."""

from __future__ import annotations

from typing import Any

from segtrail.artifacts import TransformGraph
from segtrail.errors import StageError
from segtrail.files import read_json
from segtrail.params import dump
from segtrail.recipe import Recipe
from segtrail.task import Task

MADE_WITH = "made_with"  # in the statistics of the tiles


def tile_settings(recipe: Recipe, task: Task) -> dict[str, Any]:
    """Returns all settings that tiles depend on, as plain JSON values."""
    said = dump(recipe)
    return {
        **{f"preprocessing.{key}": value for key, value in said["preprocessing"].items()},
        "classes": said["classes"],
        "masks": task.masks,
        "numbers": [list(group) for group in task.numbers],
    }


def require_tiles(transform: TransformGraph, recipe: Recipe, task: Task) -> TransformGraph:
    """Returns the tiles of a recipe, made with what it says now.

    Raises:
        MissingArtifactError: There are none.
        StageError: They were made with something else.
    """
    made = read_json(transform.require().statistics).get(MADE_WITH)
    if made is None:  # by an earlier version, which did not tell
        return transform
    now = tile_settings(recipe, task)
    changed = [key for key in made | now if made.get(key) != now.get(key)]
    if changed:
        said = "; ".join(f"{key} was {made.get(key)}, is {now.get(key)}" for key in changed)
        raise StageError(
            f"{transform.root}: the tiles were made with other settings than params.yaml has: "
            f"{said}",
            f"segtrail transform --recipe {transform.recipe}",
        )
    return transform
