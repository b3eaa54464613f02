"""Sizes, shapes and outlines of all objects of an image at once.

Equal to scikit-image's `regionprops`, which measures one object after another: in images of
hundreds that takes as long as the network.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# What a pixel of the outline adds to its length, by 1 + 2 * (neighbours in the outline by a side)
# + 10 * (those by a corner): Benkrid and Crookes, "Design and FPGA Implementation of a Perimeter
# Estimator", 2000.
_LENGTHS = np.zeros(50)
_LENGTHS[[5, 7, 15, 17, 25, 27]] = 1
_LENGTHS[[21, 33]] = np.sqrt(2)
_LENGTHS[[13, 23]] = (1 + np.sqrt(2)) / 2


class Measures:
    """The objects of one image, in the order of their ids.

    Args:
        labels: Integers `[H, W]`, ids, 0 background.

    Attributes:
        ids: int64 `[n]`.
        area: int64 `[n]`, pixels.
        y: float64 `[n]`, the mean row, in pixels from the middle of the first one.
        x: float64 `[n]`, the mean column.
    """

    def __init__(self, labels: npt.NDArray[np.integer]) -> None:
        self._labels = labels
        self._rows, self._columns = np.nonzero(labels)
        sizes = np.bincount(labels[self._rows, self._columns], minlength=1)
        self.ids: Ints = np.flatnonzero(sizes)
        self.area: Ints = sizes[self.ids].astype(np.int64)
        place = np.zeros(len(sizes), np.int64)
        place[self.ids] = np.arange(len(self.ids))
        self._of = place[labels[self._rows, self._columns]]
        self.y: Floats = self._mean(self._rows)
        self.x: Floats = self._mean(self._columns)

    def mean(self, image: npt.NDArray[np.integer]) -> Floats:
        """Returns the mean of a `[H, W]` image in each object."""
        return self._mean(image[self._rows, self._columns])

    def boxes(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Returns each object's first row and column, and the row and column after its last."""
        ends = []
        for along in (self._rows, self._columns):
            first = np.full(len(self.ids), np.iinfo(np.int64).max)
            last = np.full(len(self.ids), -1, np.int64)
            np.minimum.at(first, self._of, along)
            np.maximum.at(last, self._of, along)
            ends.append((first, last + 1))
        (top, bottom), (left, right) = ends
        return top, left, bottom, right

    def eccentricity(self) -> Floats:
        """Returns that of the ellipse with the same second moments: 0 of a circle, below 1."""
        down, right = self._rows - self.y[self._of], self._columns - self.x[self._of]
        yy, xx, xy = (self._mean(each) for each in (down * down, right * right, down * right))
        middle, apart = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
        long, short = middle + apart, np.maximum(middle - apart, 0)
        with np.errstate(invalid="ignore"):  # 0 / 0, of one pixel
            return np.asarray(np.where(long == 0, 0, np.sqrt(1 - short / long)))

    def perimeter(self) -> Floats:
        """Returns the length, in pixels, of the line through the centres of border pixels.

        A pixel is at the border when one of its four neighbours is not of the object.
        """
        labels = np.pad(self._labels, 1)
        width = labels.shape[1]
        flat = labels.ravel()
        at = (self._rows + 1) * width + self._columns + 1
        own = flat[at]
        sides = (-width, -1, 1, width)
        outline = np.any([flat[at + step] != own for step in sides], axis=0)
        at, own, of = at[outline], own[outline], self._of[outline]
        line = np.zeros(len(flat), bool)
        line[at] = True
        code = np.ones(len(at), np.int64)
        for steps, counts in ((sides, 2), ((-width - 1, -width + 1, width - 1, width + 1), 10)):
            for step in steps:
                code += counts * (line[at + step] & (flat[at + step] == own))
        return np.asarray(np.bincount(of, _LENGTHS[code], len(self.ids)), np.float64)

    def _mean(self, values: npt.NDArray[np.generic]) -> Floats:
        return np.bincount(self._of, weights=values, minlength=len(self.ids)) / self.area
