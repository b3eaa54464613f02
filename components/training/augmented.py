"""A page of augmented samples, for the eye: what the network is shown, masks drawn in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.training.samples import fullest_tile
from model.augmentation import augment_pixels
from model.tile_records import target_bits
from segtrail import overlay
from segtrail.artifacts import slice_of
from segtrail.recipe import Recipe
from segtrail.task import Task

_ROWS, _COLUMNS, _SIDE = 6, 8, 200


def augmented_page(
    tiles: Mapping[str, Sequence[Path]], recipe: Recipe, task: Task
) -> npt.NDArray[np.uint8]:
    """Returns uint8 RGB: a row a slice; the tile as it is, then seven random crops of it.

    The outline of each class is in its colour, that of the border between objects in the next.
    Brightness and contrast, which change normalised numbers and not levels, are not shown.

    Args:
        tiles: TFRecords of the training split, by slice or `<slice>.<stratum>`.
        recipe: Its `training` says what is changed; its seed which samples are drawn.
        task: What the planes are.
    """
    import tensorflow as tf

    of_slices: dict[str, list[Path]] = {}
    for name, paths in tiles.items():
        of_slices.setdefault(slice_of(name), []).extend(paths)
    pictures, titles = [], []
    for row, (name, paths) in enumerate(list(of_slices.items())[:_ROWS]):
        tile = fullest_tile(paths, recipe)
        pictures.append(_picture(tile["image"], tile["target"], task))
        titles.append(f"{name}: tile")
        for column in range(1, _COLUMNS):
            seed = tf.constant([recipe.training.seed + column, row], tf.int64)
            pixels, target, _ = augment_pixels(
                tile["image"], tile["target"], tile["histogram"], recipe.training,
                len(task.planes), seed,
            )  # fmt: skip
            pictures.append(_picture(pixels, target, task))
            titles.append(f"crop {column}")
    return overlay.sheet(pictures, titles, _SIDE, _COLUMNS)


def _picture(pixels: Any, target: Any, task: Task) -> npt.NDArray[np.uint8]:
    shown = np.asarray(pixels)
    shown = shown[..., 0] if shown.shape[-1] == 1 else shown
    bits = np.asarray(target_bits(target, len(task.planes)))
    return overlay.draw_classes(shown, bits)
