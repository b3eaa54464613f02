"""Pictures of masks over images, for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

TRUE, PREDICTED = (0, 200, 0), (255, 0, 200)  # RGB: green, magenta; told apart in any vision
# of Okabe and Ito, told apart in any vision: Wong, Nature Methods 8:441, 2011
CLASSES = (
    (0, 158, 115),
    (86, 180, 233),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
    (230, 159, 0),
    (255, 255, 255),
)
_DOT = 3  # pixels


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
    canvas, scale = _canvas(image)
    for labels, colour in ((true, TRUE), (predicted, PREDICTED)):
        if labels is not None:
            canvas[_outline(_enlarged(labels, scale))] = colour
    return canvas


def draw_classes(
    image: npt.NDArray[np.generic],
    predicted: npt.NDArray[np.bool_],
    true: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint8]:
    """Returns the image with the outline of each class in its colour, the true one dotted.

    Args:
        image: uint8 or uint16, `[H, W]` or `[H, W, C]`.
        predicted: `[H, W, K]`, where each class is; K up to 8.
        true: The same, or None when it is not known.

    Returns:
        As `draw`.
    """
    canvas, scale = _canvas(image)
    y, x = np.indices(canvas.shape[:2])
    dots = (y // _DOT + x // _DOT) % 2 == 0
    for planes, shown in ((true, dots), (predicted, np.ones_like(dots))):
        if planes is not None:
            for plane, colour in zip(np.moveaxis(planes, -1, 0), CLASSES, strict=False):
                labels = _enlarged(plane.astype(np.uint16), scale)
                canvas[_outline(labels) & shown] = colour
    return canvas


def _canvas(image: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.uint8], int]:
    """Returns the image as RGB to draw on, and how many times larger it was made."""
    canvas: Any = to_rgb(image)
    scale = 1
    while min(canvas.shape[:2]) * scale < 256:
        scale *= 2
    canvas = cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    return canvas.astype(np.uint8), scale


def _enlarged(labels: npt.NDArray[np.uint16], scale: int) -> npt.NDArray[np.uint16]:
    return np.kron(labels, np.ones((scale, scale), np.uint16))


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


def legend(
    classes: Sequence[str], width: int, says: str = "(outlines; dotted: true)"
) -> npt.NDArray[np.uint8]:
    """Returns a line that explains `draw_classes`: each class's colour, and what is dotted.

    Args:
        classes: The names, up to 8.
        width: Pixels.
        says: What follows.

    Returns:
        uint8 RGB `[24, width, 3]`.
    """
    line = np.full((24, width, 3), 255, np.uint8)
    x = 4
    words = [*zip(classes, CLASSES, strict=False), (says, None)]
    for word, colour in words:
        if colour is not None:
            cv2.rectangle(line, (x, 7), (x + 10, 17), colour, -1)
            cv2.rectangle(line, (x, 7), (x + 10, 17), (0, 0, 0), 1)
            x += 15
        cv2.putText(line, word, (x, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        x += cv2.getTextSize(word, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0][0] + 14
    return line


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
