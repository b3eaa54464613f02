"""Cuts images into overlapping tiles for training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

Pixels = TypeVar("Pixels", bound=npt.NDArray[np.generic])


def starts(length: int, tile: int, stride: int) -> list[int]:
    """Returns where the tiles of one axis begin; the last one ends at the image's edge."""
    if length <= tile:
        return [0]
    return [*range(0, length - tile, stride), length - tile]


def pad_to(pixels: Pixels, tile: int) -> Pixels:
    """Reflects an image smaller than `tile` at its bottom and right edges, up to `tile`."""
    height, width = pixels.shape[:2]
    missing = max(0, tile - height), max(0, tile - width)
    while any(missing):  # a reflection can at most double an image
        bottom, right = (min(m, max(n - 1, 0)) for m, n in zip(missing, pixels.shape, strict=False))
        kind = cv2.BORDER_REFLECT_101 if bottom or right else cv2.BORDER_REPLICATE
        bottom, right = (bottom, right) if bottom or right else missing
        pixels = cv2.copyMakeBorder(pixels, 0, bottom, 0, right, kind)
        missing = max(0, tile - pixels.shape[0]), max(0, tile - pixels.shape[1])
    return pixels


def cut(pixels: Pixels, tile: int, strides: tuple[int, int]) -> Iterator[Pixels]:
    """Yields tiles `[tile, tile, ...]` that cover an image `[H, W, ...]`, row by row.

    Args:
        pixels: The image.
        tile: Pixels a side.
        strides: From one tile to the next, down and across.
    """
    padded = pad_to(pixels, tile)
    down, across = strides
    for y in starts(padded.shape[0], tile, down):
        for x in starts(padded.shape[1], tile, across):
            yield padded[y : y + tile, x : x + tile]  # type: ignore[misc]
