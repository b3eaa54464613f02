"""Pieces that synthetic micrographs are drawn with, the same to the bit on every machine.

Only raw integers of PCG64, integer arithmetic, and `+ - * / sqrt` on whole arrays, which IEEE 754
rounds exactly: no `exp`, `sin` or `pow`, whose last bit depends on the mathematics library,
and no sums of floats, whose order depends on the vector unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.floating]
_FIXED_POINT = 256.0


class Dice:
    """Random numbers from the raw 64-bit integers of PCG64."""

    def __init__(self, *seed: int) -> None:
        self._bits = np.random.PCG64(list(seed))

    def integer(self, low: int, high: int) -> int:
        """Returns one of `low`, …, `high - 1`."""
        return low + int(self._bits.random_raw()) % (high - low)

    def between(self, low: float, high: float) -> float:
        """Returns a number in `[low, high)`."""
        return low + (high - low) * float(self.uniform(1)[0])

    def uniform(self, *shape: int) -> Field:
        """Returns numbers in `[0, 1)`."""
        raw = self._raw(shape)
        return (raw >> np.uint64(11)).astype(np.float64) / 2.0**53

    def normal(self, *shape: int) -> Field:
        """Returns nearly normal numbers, mean 0, variance 1: four uniform ones added."""
        raw = self._raw(shape)
        total = np.zeros(shape, np.int64)
        for lane in range(4):
            total += ((raw >> np.uint64(16 * lane)) & np.uint64(0xFFFF)).astype(np.int64)
        return (total - 2 * 65_535) / 37_837.2  # sqrt(4 * (65536**2 - 1) / 12)

    def _raw(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint64]:
        count = 1
        for side in shape:
            count *= side
        return np.asarray(self._bits.random_raw(count), np.uint64).reshape(shape)


def cloud(dice: Dice, height: int, width: int, cell: int) -> Field:
    """Returns smooth noise `[height, width]` in `[0, 1)`, with features of `cell` pixels."""
    knots = dice.uniform(height // cell + 2, width // cell + 2)
    rows, down = _knots(height, cell)
    columns, right = _knots(width, cell)
    down, right = down[:, None], right[None, :]
    top, bottom = knots[rows], knots[rows + 1]
    left = top[:, columns] * (1 - down) + bottom[:, columns] * down
    next_ = top[:, columns + 1] * (1 - down) + bottom[:, columns + 1] * down
    return left * (1 - right) + next_ * right


def _knots(length: int, cell: int) -> tuple[npt.NDArray[np.int64], Field]:
    at = np.arange(length)
    t = (at % cell) / cell
    return at // cell, t * t * (3 - 2 * t)


def blur(image: Field, radius: int, passes: int = 2) -> Field:
    """Returns `image` under `passes` box filters of `2 * radius + 1`, in fixed point."""
    out = (image * _FIXED_POINT).astype(np.int64)
    size = 2 * radius + 1
    for _ in range(passes):
        for axis in (0, 1):
            pad = [(0, 0), (0, 0)]
            pad[axis] = (radius + 1, radius)
            total = np.cumsum(np.pad(out, pad, mode="edge"), axis=axis)
            upper = np.take(total, range(size, total.shape[axis]), axis=axis)
            lower = np.take(total, range(total.shape[axis] - size), axis=axis)
            out = (upper - lower) // size
    return out / _FIXED_POINT


@dataclass(frozen=True)
class Blobs:
    """Wobbly ellipses that may touch and do not overlap.

    Attributes:
        labels: int64 `[H, W]`, 0 outside, 1..count.
        depth: `[H, W]`, 1 in the middle of a blob, 0 at its rim and outside.
        count: How many.
        centres: `(row, column)` of each.
    """

    labels: npt.NDArray[np.int64]
    depth: Field
    count: int
    centres: tuple[tuple[int, int], ...]

    def per_blob(self, values: Field) -> Field:
        """Returns `values[i]` on blob i + 1, and 0 outside."""
        return np.concatenate([[0.0], values])[self.labels]


def scatter(
    dice: Dice, height: int, width: int, count: int, radius: float, clumping: float = 0.5
) -> Blobs:
    """Places up to `count` blobs of about `radius` pixels.

    Args:
        clumping: How often a blob is put at the side of one that is there.
    """
    labels = np.zeros((height, width), np.int64)
    depth = np.zeros((height, width))
    wobble = cloud(dice, height, width, max(3, int(radius)))
    centres: list[tuple[int, int]] = []
    for _ in range(3 * count):
        if len(centres) == count:
            break
        long = radius * dice.between(0.8, 1.35)
        short = long * dice.between(0.55, 1.0)
        row, column = _place(dice, height, width, centres, clumping, radius)
        box, inside = _ellipse(dice, labels.shape, row, column, long, short, wobble)
        free = (inside > 0) & (labels[box] == 0)
        if 5 * np.count_nonzero(free) < 4 * np.count_nonzero(inside > 0) or free.sum() < 20:
            continue
        centres.append((row, column))
        labels[box][free] = len(centres)
        depth[box][free] = inside[free]
    return Blobs(labels, depth, len(centres), tuple(centres))


def _place(
    dice: Dice,
    height: int,
    width: int,
    centres: list[tuple[int, int]],
    clumping: float,
    radius: float,
) -> tuple[int, int]:
    if not centres or dice.between(0, 1) >= clumping:
        return dice.integer(0, height), dice.integer(0, width)
    near = centres[dice.integer(0, len(centres))]
    reach = int(2.2 * radius) + 1
    row = near[0] + dice.integer(-reach, reach + 1)
    column = near[1] + dice.integer(-reach, reach + 1)
    return min(max(row, 0), height - 1), min(max(column, 0), width - 1)


def _ellipse(
    dice: Dice,
    shape: tuple[int, ...],
    row: int,
    column: int,
    long: float,
    short: float,
    wobble: Field,
) -> tuple[tuple[slice, slice], Field]:
    """Returns where a blob lies and how deep each pixel is in it (not above 0: outside)."""
    reach = int(1.3 * long) + 2
    box = (
        slice(max(0, row - reach), min(shape[0], row + reach + 1)),
        slice(max(0, column - reach), min(shape[1], column + reach + 1)),
    )
    down = np.arange(box[0].start, box[0].stop)[:, None] - row
    right = np.arange(box[1].start, box[1].stop)[None, :] - column
    a, b = dice.integer(-16, 17), dice.integer(1, 17)  # a direction, without sin and cos
    norm = np.sqrt(float(a * a + b * b))
    along = (a * down + b * right) / norm / long
    across = (b * down - a * right) / norm / short
    return box, 1 - (along * along + across * across) * (0.7 + 0.6 * wobble[box])
