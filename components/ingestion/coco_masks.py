"""Draws COCO's segmentations: polygons, and run lengths, compressed or not.

pycocotools draws them. It is C code that trusts its input, so each segmentation is checked
first: kinds, numbers, coordinates, and that run lengths sum to the image. And each is drawn in
as small a field as holds it: thousands of objects in a large image take no longer than their
own pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError

OUTSIDE = 1.0  # pixels that a corner may lie outside; tools round. It is pulled to the edge
MAX_OUTLINE = 1_000_000  # pixels along an annotation's polygons; pycocotools takes 60 bytes each
_OUTLINE_COST = 64  # how many pixels of a field take as long as one of the outline


@dataclass(frozen=True)
class Patch:
    """A region of an image.

    Attributes:
        top: Its first row in the image.
        left: Its first column.
        drawn: bool `[h, w]`: the pixels of the region.
    """

    top: int
    left: int
    drawn: npt.NDArray[np.bool_]

    @property
    def box(self) -> tuple[slice, slice]:
        """Where in the image it is."""
        height, width = self.drawn.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


@dataclass(frozen=True)
class Shape:
    """A segmentation that was checked, not drawn yet.

    Attributes:
        top: The first row of the field that holds it.
        left: The first column.
        height: Of the field.
        width: Of the field.
        parts: For pycocotools, in the field's own coordinates: polygons, or run lengths.
        outline: How many pixels long the polygons are; 0 for run lengths.
    """

    top: int
    left: int
    height: int
    width: int
    parts: Any
    outline: int = 0

    @property
    def cost(self) -> int:
        """How long it takes to draw, in pixels of its field."""
        return self.height * self.width + _OUTLINE_COST * self.outline

    def draw(self) -> Patch:
        """Returns its pixels."""
        from pycocotools import mask as coco

        runs = coco.frPyObjects(self.parts, self.height, self.width)
        drawn = coco.decode(coco.merge(runs) if isinstance(runs, list) else runs)
        return Patch(self.top, self.left, drawn.astype(bool))


def check(segmentation: object, size: tuple[int, int]) -> Shape:
    """Returns a segmentation that can be drawn without harm.

    Args:
        segmentation: A list of polygons `[x, y, x, y, ...]`, or `{size, counts}`.
        size: Height and width of the image.

    Raises:
        DataError: Not one of the two, or numbers that cannot be; the message is what was
            expected and found, without a file.
    """
    if isinstance(segmentation, dict):
        return _check_runs(segmentation, size)
    if isinstance(segmentation, list) and segmentation:
        return _check_polygons(segmentation, size)
    raise DataError(
        "expected polygons or run lengths, found none: a box is not a mask",
        "draw the object's outline",
    )


def _check_polygons(polygons: list[Any], size: tuple[int, int]) -> Shape:
    height, width = size
    checked = [_check_polygon(polygon, size) for polygon in polygons]
    outline = int(sum(_outline(points) for points in checked))
    if outline > MAX_OUTLINE:
        raise DataError(
            f"its polygons are {outline:,} pixels long; at most {MAX_OUTLINE:,} are drawn"
        )
    every = np.concatenate(checked)
    left, top = (int(v) for v in np.floor(every.min(0)))
    left, top = min(left, width - 1), min(top, height - 1)
    right, bottom = (int(v) for v in np.ceil(every.max(0)))
    parts = [(points - (left, top)).ravel().tolist() for points in checked]
    return Shape(top, left, max(1, bottom - top), max(1, right - left), parts, outline)


def _check_polygon(polygon: object, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Returns float64 `[n, 2]`, x and y, inside the image."""
    if not isinstance(polygon, list) or not all(type(v) in (int, float) for v in polygon):
        raise DataError("expected a polygon to be a list of numbers [x, y, x, y, ...]")
    if len(polygon) < 6 or len(polygon) % 2:
        raise DataError(
            f"expected a polygon of three or more corners, x and y of each, found {len(polygon)} "
            "numbers"
        )
    try:
        points = np.array(polygon, np.float64).reshape(-1, 2)
    except OverflowError:
        points = np.full((1, 2), np.inf)
    limits = np.array(size[::-1], np.float64)
    with np.errstate(invalid="ignore"):
        inside = ((points >= -OUTSIDE) & (points <= limits + OUTSIDE)).all(1)
    if not inside.all():
        x, y = points[~inside][0]
        raise DataError(
            f"expected corners inside {size[1]}x{size[0]} pixels, found one at ({x:g}, {y:g})",
            "see whether the annotations belong to this image, at this size",
        )
    return np.clip(points, 0, limits)


def _outline(points: npt.NDArray[np.float64]) -> float:
    return float(np.abs(points - np.roll(points, 1, 0)).max(1).sum()) + len(points)


def _check_runs(segmentation: dict[str, Any], size: tuple[int, int]) -> Shape:
    said = segmentation.get("size")
    if not isinstance(said, list) or said != list(size):
        shown = said if isinstance(said, list) and len(said) == 2 else "none"
        raise DataError(
            f"expected run lengths of the image's size {list(size)} (height, width), found "
            f"{str(shown)[:60]}",
            "see whether the annotations belong to this image, at this size",
        )
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        runs = decompress(counts)
    elif isinstance(counts, list) and all(type(v) is int and 0 <= v < 1 << 32 for v in counts):
        runs = np.array(counts, np.int64)
    else:
        raise DataError("expected counts to be a text, or a list of whole numbers from 0")
    pixels = size[0] * size[1]
    if (wrong := runs[(runs < 0) | (runs > pixels)]).size:  # first: their sum may overflow
        raise DataError(f"expected run lengths from 0 to {pixels:,}, found {wrong[0]:,}")
    if (total := int(runs.sum())) != pixels:
        raise DataError(f"expected run lengths that sum to {pixels:,} pixels, found {total:,}")
    return _columns(runs, size[0])


def _columns(runs: npt.NDArray[np.int64], height: int) -> Shape:
    """Returns the run lengths of those columns only that the region touches."""
    ends = np.cumsum(runs)
    inside = np.flatnonzero((np.arange(len(runs)) % 2 == 1) & (runs > 0))
    if not len(inside):
        return Shape(0, 0, height, 1, {"size": [height, 1], "counts": [height]})
    starts, stops = ends[inside] - runs[inside], ends[inside]
    first, last = int(starts[0]) // height, int(stops[-1] - 1) // height
    width = last - first + 1
    changes = np.stack([starts, stops], 1).ravel() - first * height
    counts = np.diff(np.concatenate([[0], changes, [width * height]])).tolist()
    return Shape(0, first, height, width, {"size": [height, width], "counts": counts})


def decompress(text: str) -> npt.NDArray[np.int64]:
    """Returns the run lengths that COCO's compressed text says; they may be negative.

    Six bits a character from `0` on, five of them of the number, the sixth says that it goes
    on; the lowest first, signed. From the fourth on, the difference to the number two before.

    Raises:
        DataError: Not such a text.
    """
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64) - 48
    if not len(codes) or (codes < 0).any() or (codes > 63).any():
        raise DataError("expected counts to be compressed run lengths, found other characters")
    ends = np.flatnonzero((codes & 0x20) == 0)
    if not len(ends) or ends[-1] != len(codes) - 1:
        raise DataError("expected counts to be compressed run lengths, found a text cut short")
    firsts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - firsts + 1
    if (lengths > 8).any():  # 40 bits: no image has as many pixels
        raise DataError("expected counts to be compressed run lengths, found one out of reach")
    places = np.arange(len(codes)) - np.repeat(firsts, lengths)
    numbers = np.add.reduceat((codes & 0x1F) << (5 * places), firsts)
    negative = (codes[ends] & 0x10) > 0
    numbers[negative] -= np.int64(1) << (5 * lengths[negative])
    # from the fourth on the difference: running sums of the odd ones, and of the even ones but 0
    with np.errstate(over="ignore"):
        numbers[1::2] = np.cumsum(numbers[1::2])
        numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
