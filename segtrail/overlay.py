"""Pictures of masks over images, for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

TRUE, PREDICTED = (0, 200, 0), (255, 0, 200)  # RGB: green, magenta; told apart in any vision


def draw(
    image: npt.NDArray[np.generic],
    predicted: npt.NDArray[np.uint16],
    true: npt.NDArray[np.uint16] | None = None,
) -> npt.NDArray[np.uint8]:
    """Returns the image with object outlines: predicted in magenta, true ones in green.

    Args:
        image: uint8 or uint16, `[H, W]` or `[H, W, C]`.
        predicted: Instance ids, `[H, W]`.
        true: Instance ids, `[H, W]`, or None when they are not known.

    Returns:
        uint8 RGB; with sides doubled while the image is smaller than 256 pixels.
    """
    canvas = to_rgb(image)
    scale = 1
    while min(canvas.shape[:2]) * scale < 256:
        scale *= 2
    canvas = cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    for labels, colour in ((true, TRUE), (predicted, PREDICTED)):
        if labels is not None:
            large = np.kron(labels, np.ones((scale, scale), np.uint16))
            canvas[_outline(large)] = colour
    return canvas.astype(np.uint8)


def to_rgb(image: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Returns an image as uint8 RGB; 16 bits are stretched to the darkest and lightest."""
    pixels = image
    if pixels.dtype == np.uint16:
        low, high = int(pixels.min()), max(int(pixels.max()), 1)
        pixels = (pixels.astype(np.float32) - low) * (255 / max(high - low, 1))
    pixels = pixels.astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, 2)
    return np.ascontiguousarray(pixels[..., :3])


def _outline(labels: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """Returns the pixels of objects that touch something else in their four neighbours."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    edge = cv2.dilate(labels, cross) != cv2.erode(labels, cross)
    return edge & (labels > 0)


def sheet(
    pictures: Sequence[npt.NDArray[Any]],
    titles: Sequence[str],
    side: int = 320,
    columns: int = 4,
) -> npt.NDArray[np.uint8]:
    """Returns pictures in a grid, each fitted into `side` pixels under its title."""
    cells = []
    for picture, title in zip(pictures, titles, strict=True):
        cell = np.full((side + 24, side, 3), 255, np.uint8)
        ratio = side / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        small = small[:side, :side]
        cell[24 : 24 + small.shape[0], : small.shape[1]] = small
        cv2.putText(cell, title, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        cells.append(cell)
    while len(cells) % columns:
        cells.append(np.full_like(cells[0], 255))
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return np.vstack(rows)
