"""Where each pixel of a random crop comes from: flips, turns, shift, shear, zoom, elastic.

All of them are composed into one map from the crop to the tile, so that an image is
interpolated once, and only where the map does not meet pixels: flips and turns by 90° are exact.
Beyond a tile's edge the tile is reflected.
"""

from __future__ import annotations

import math
from typing import Any

from segtrail.settings.training import Augmentation


def random_corner(shape: Any, side: int, seed: Any) -> Any:
    """Returns where a crop may begin, float32 `[2]`: row and column, each place equally often.

    Args:
        shape: int32 `[2]`, height and width of the tile.
        side: Of the crop.
        seed: int64 `[2]`.
    """
    import tensorflow as tf

    return tf.floor(tf.random.stateless_uniform([2], seed) * _room(shape, side))


def corner_around_a_class(bits: Any, side: int, seed: Any) -> Any:
    """Returns where a crop begins that has a random pixel of a random class in its middle.

    Each class that the tile has is taken equally often, as nnU-Net does (Isensee et al., 2021).
    At the tile's edge the pixel is not in the middle; a tile without a class gives any corner.

    Args:
        bits: bool `[T, T, P]`.
        side: Of the crop.
        seed: int64 `[2]`.
    """
    import tensorflow as tf

    draws = tf.random.stateless_uniform([bits.shape[-1] + 1], seed)
    present = tf.cast(tf.reduce_any(bits, [0, 1]), tf.float32)
    place = tf.where(tf.gather(bits, tf.argmax(draws[1:] * present), axis=2))
    number = tf.cast(draws[0] * tf.cast(tf.shape(place)[0], tf.float32), tf.int32)
    nowhere = random_corner(tf.shape(bits)[:2], side, seed)
    some = tf.shape(place)[0] > 0
    middle = tf.cond(some, lambda: tf.cast(place[number], tf.float32), lambda: nowhere + side // 2)
    room = _room(tf.shape(bits)[:2], side)
    return tf.clip_by_value(middle - side // 2, 0.0, room - 1)


def random_coordinates(
    shape: Any, corner: Any, side: int, options: Augmentation, seed: Any
) -> tuple[Any, Any]:
    """Returns the tile's row and column under each pixel of a randomly changed crop.

    Args:
        shape: int32 `[2]`, height and width of the tile.
        corner: float32 `[2]`, where the crop would begin if nothing were changed.
        side: S, of the crop.
        options: Which changes, how large.
        seed: int64 `[2]`.

    Returns:
        Two of float32 `[S, S]`, in pixels, from 0 to the tile's last row or column.
    """
    import tensorflow as tf

    draws = tf.random.stateless_uniform([9], seed + 2, -1.0, 1.0)
    centre = corner + (side - 1) / 2 + tf.round(options.shift * side * draws[:2])
    # free changes come to a share of the crops; the others keep every pixel as it is
    free = tf.cast((draws[2] + 1) / 2 < options.chance, tf.float32)
    (a, b), (c, d) = _turned(_free_matrix(options, draws[3:6], free), options, draws[6:9])

    offset = tf.range(side, dtype=tf.float32) - (side - 1) / 2
    rows, columns = offset[:, None], offset[None, :]
    y = centre[0] + a * rows + b * columns
    x = centre[1] + c * rows + d * columns
    if options.elastic:
        flow = free * _elastic(side, options, seed + 5)
        y, x = y + flow[..., 0], x + flow[..., 1]
    return _reflect(y, shape[0]), _reflect(x, shape[1])


def sample_levels(pixels: Any, y: Any, x: Any) -> Any:
    """Returns uint8 `[S, S, C]`: the pixels of uint8 `[T, T, C]` at `y`, `x`, bilinear."""
    import tensorflow as tf

    height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
    flat = tf.cast(tf.reshape(pixels, [-1, pixels.shape[-1]]), tf.float32)
    top, left = tf.floor(y), tf.floor(x)
    down, right = (y - top)[..., None], (x - left)[..., None]
    row, column = tf.cast(top, tf.int32), tf.cast(left, tf.int32)
    row_after, column_after = tf.minimum(row + 1, height - 1), tf.minimum(column + 1, width - 1)

    def at(i: Any, j: Any) -> Any:
        return tf.gather(flat, i * width + j)

    upper = at(row, column) * (1 - right) + at(row, column_after) * right
    lower = at(row_after, column) * (1 - right) + at(row_after, column_after) * right
    return tf.cast(tf.round(upper * (1 - down) + lower * down), tf.uint8)


def sample_bits(target: Any, y: Any, x: Any) -> Any:
    """Returns uint8 `[S, S]`: the pixel of uint8 `[T, T]` nearest to `y`, `x`."""
    import tensorflow as tf

    row, column = tf.cast(tf.round(y), tf.int32), tf.cast(tf.round(x), tf.int32)
    return tf.gather(tf.reshape(target, [-1]), row * tf.shape(target)[1] + column)


def _room(shape: Any, side: int) -> Any:
    """Returns how many rows and columns a crop may begin at, float32 `[2]`."""
    import tensorflow as tf

    return tf.cast(shape - side + 1, tf.float32)


def _free_matrix(options: Augmentation, draws: Any, free: Any) -> tuple[Any, Any]:
    """Returns rotation times shear times zoom as two rows, the identity where `free` is 0."""
    import tensorflow as tf

    angle = free * draws[0] * math.radians(options.rotate)
    shear = free * draws[1] * math.tan(math.radians(options.shear))
    size = tf.exp(-free * draws[2] * math.log1p(options.zoom))
    cos, sin = size * tf.cos(angle), size * tf.sin(angle)
    return (cos, cos * shear - sin), (sin, sin * shear + cos)


def _turned(matrix: tuple[Any, Any], options: Augmentation, draws: Any) -> tuple[Any, Any]:
    """Returns the matrix after random flips and quarter turns, all of them exact."""
    import tensorflow as tf

    (a, b), (c, d) = matrix
    if options.flip:
        up = tf.where(draws[0] < 0, -1.0, 1.0)
        over = tf.where(draws[1] < 0, -1.0, 1.0)
        a, b, c, d = up * a, up * b, over * c, over * d
    if options.rotate90:
        turns = tf.cast(2 * (draws[2] + 1), tf.int32)  # 0 to 3
        cos, sin = tf.gather([1.0, 0.0, -1.0, 0.0], turns), tf.gather([0.0, 1.0, 0.0, -1.0], turns)
        a, b, c, d = cos * a - sin * c, cos * b - sin * d, sin * a + cos * c, sin * b + cos * d
    return (a, b), (c, d)


def _elastic(side: int, options: Augmentation, seed: Any) -> Any:
    """Returns a smooth random displacement, float32 `[S, S, 2]` (Simard et al., 2003).

    Normal displacements of `elastic` pixels on a grid of `elastic_spacing`, cubic between: as
    Ronneberger et al. (2015) do it, rather than by a wide Gaussian filter.
    """
    import tensorflow as tf

    nodes = -(-side // options.elastic_spacing) + 3
    coarse = options.elastic * tf.random.stateless_normal([1, nodes, nodes, 2], seed)
    whole = nodes * options.elastic_spacing
    smooth = tf.image.resize(coarse, [whole, whole], "bicubic")[0]
    start = (whole - side) // 2
    return smooth[start : start + side, start : start + side]


def _reflect(position: Any, length: Any) -> Any:
    """Returns positions mirrored at 0 and at the last pixel until they lie between them."""
    import tensorflow as tf

    last = tf.cast(length - 1, tf.float32)
    period = tf.maximum(2 * last, 1.0)
    position = tf.math.floormod(position, period)
    return tf.minimum(tf.minimum(position, period - position), last)
