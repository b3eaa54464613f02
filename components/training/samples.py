"""Validation tiles to look at while a network learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.emergence import Emergence
from model.preprocessing import HISTOGRAM, IMAGE, normalise
from model.tile_records import TARGET, read_tiles, target_bits
from segtrail.recipe import Recipe
from segtrail.settings.loss import head_of
from segtrail.task import Task

_ROWS = 8
_LOOKED_AT = 32  # tiles of a slice


def emergence(
    tiles: Mapping[str, Sequence[Path]], graph: Any, recipe: Recipe, task: Task
) -> Emergence:
    """Returns a callback over one tile of each of up to eight slices.

    Of the first tiles of a slice it is the one with most foreground.

    Args:
        tiles: TFRecords of the validation split, by slice.
        graph: The layer of the transform graph.
        recipe: How the tiles were made, and what the network answers.
        task: What its planes are.
    """
    inputs, pictures, true, titles = [], [], [], []
    for name, paths in list(tiles.items())[:_ROWS]:
        tile = fullest_tile(paths, recipe)
        inputs.append(np.asarray(normalise(graph, tile[IMAGE], tile[HISTOGRAM])))
        pictures.append(np.asarray(tile[IMAGE]))
        bits = np.asarray(target_bits(tile[TARGET], len(task.planes)))
        true.append(bits[..., : len(task.classes)])
        titles.append(name)
    head = head_of(recipe.training.loss)
    return Emergence(np.stack(inputs), pictures, np.stack(true), titles, task, head, recipe.objects)


def fullest_tile(paths: Sequence[Path], recipe: Recipe) -> dict[str, Any]:
    """Returns, of the first tiles, the one with most foreground: see `read_tiles`."""
    some = read_tiles(paths, recipe.preprocessing).take(_LOOKED_AT)
    tile: dict[str, Any] = max(some, key=lambda tile: int(np.count_nonzero(tile[TARGET])))
    return tile
