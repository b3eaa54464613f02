"""Gives images the size that the network sees, and its answer the size of the image.

Either blocks of pixels are averaged, or an image of any size gets a given one (see
`model.resizing`): the same integers in numpy, for training, as in the serving graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from model.bands_graph import in_bands
from model.resizing import resize, resize_in_graph, resize_planes_in_graph
from segtrail.settings.preprocessing import Preprocessing


def to_network_size(pixels: npt.NDArray[np.uint8], options: Preprocessing) -> npt.NDArray[np.uint8]:
    """Returns an image uint8 `[H, W, C]` at the size that the recipe's network sees."""
    if options.resize:
        return resize(pixels, *options.resize)
    return shrink(pixels, options.scale)


def to_network_size_in_graph(pixels: Any, options: Preprocessing) -> Any:
    """Returns what `to_network_size` gives, in TensorFlow ops."""
    if options.resize:
        return resize_in_graph(pixels, *options.resize)
    return shrink_in_graph(pixels, options.scale)


def sees_every_pixel(options: Preprocessing) -> bool:
    """Whether the network's size is the image's own."""
    return options.scale == 1 and not options.resize


def to_image_rows_in_graph(
    planes: Any, options: Preprocessing, size: tuple[Any, Any], rows: tuple[Any, Any]
) -> Any:
    """Returns some rows of planes at the image's size, float32 `[bottom - top, width, P]`.

    Args:
        planes: float32 `[h, w, P]`, at the network's size.
        options: By which the image came to the network's size.
        size: Height and width of the image as it was asked.
        rows: The first, and the one after the last: top and bottom.
    """
    if options.resize:
        return resize_planes_in_graph(planes, size, rows)
    return enlarge_in_graph(planes, options.scale, size[1], rows)


def shrink(pixels: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """Returns the mean of each block of `factor` by `factor` pixels, rounded half up.

    Blocks that reach over the bottom and right edges see the edge repeated.

    Args:
        pixels: uint8 `[H, W, C]`.
        factor: 1 changes nothing.

    Returns:
        uint8 `[ceil(H / factor), ceil(W / factor), C]`.
    """
    if factor == 1:
        return pixels
    area = factor * factor
    return ((_block_sums(pixels, factor) + area // 2) // area).astype(np.uint8)


def shrink_bits(
    target: npt.NDArray[np.uint8], factor: int, exclusive: bool
) -> npt.NDArray[np.uint8]:
    """Returns a target made smaller: a bit is set where at least half of its block has it.

    Args:
        target: uint8 `[H, W]`, see `model.targets`.
        factor: As in `shrink`.
        exclusive: Of two classes that each have half of a block, only the first is set.
    """
    if factor == 1:
        return target
    planes = np.unpackbits(target[..., None], axis=2, bitorder="little")
    most = 2 * _block_sums(planes, factor) >= factor * factor
    made: npt.NDArray[np.uint8] = np.packbits(most, axis=2, bitorder="little")[..., 0]
    return made & -made if exclusive else made  # its lowest bit


def _block_sums(pixels: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.int32]:
    height, width, channels = pixels.shape
    padding = ((0, -height % factor), (0, -width % factor), (0, 0))
    padded = np.pad(pixels, padding, mode="edge")
    blocks = padded.reshape(-(-height // factor), factor, -(-width // factor), factor, channels)
    sums: npt.NDArray[np.int32] = blocks.sum((1, 3), dtype=np.int32)
    return sums


def shrink_in_graph(pixels: Any, factor: int) -> Any:
    """Returns what `shrink` gives, in TensorFlow ops."""
    import tensorflow as tf

    if factor == 1:
        return pixels
    height, width, channels = tf.shape(pixels)[0], tf.shape(pixels)[1], pixels.shape[2]

    def band(top: Any, bottom: Any) -> Any:
        return _shrunk(pixels[top * factor : bottom * factor], factor)

    spec = tf.TensorSpec([None, None, channels], tf.uint8)
    return in_bands(band, -(-height // factor), width * factor, spec)


def _shrunk(pixels: Any, factor: int) -> Any:
    import tensorflow as tf

    height, width, channels = tf.shape(pixels)[0], tf.shape(pixels)[1], pixels.shape[2]
    rows, columns = (-(-side // factor) for side in (height, width))
    padded = tf.gather(pixels, tf.minimum(tf.range(rows * factor), height - 1), axis=0)
    padded = tf.gather(padded, tf.minimum(tf.range(columns * factor), width - 1), axis=1)
    blocks = tf.reshape(tf.cast(padded, tf.int32), [rows, factor, columns, factor, channels])
    area = factor * factor
    return tf.cast((tf.reduce_sum(blocks, [1, 3]) + area // 2) // area, tf.uint8)


def enlarge_in_graph(planes: Any, factor: int, width: Any, rows: tuple[Any, Any]) -> Any:
    """Returns some rows, bilinear, of what `shrink_in_graph` made smaller.

    Args:
        planes: float32 `[ceil(height / factor), ceil(width / factor), P]`.
        factor: 1 changes nothing.
        width: Of the image before it was made smaller.
        rows: Of that image: the first, and the one after the last.

    Returns:
        float32 `[bottom - top, width, P]`.
    """
    import tensorflow as tf

    top, bottom = rows
    if factor == 1:
        return planes[top:bottom, :width]
    first = top // factor - 1  # one more at both ends, of which the outermost new rows are made
    chosen = tf.range(first, -(-bottom // factor) + 1)
    few = tf.gather(planes, tf.clip_by_value(chosen, 0, tf.shape(planes)[0] - 1))
    large = tf.image.resize(few, tf.shape(few)[:2] * factor, "bilinear")
    return large[top - first * factor : bottom - first * factor, :width]
