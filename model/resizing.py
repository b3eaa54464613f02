"""Gives an image of any size another one: the same integers in numpy as in the serving graph.

An axis that shrinks is averaged over the area of each new pixel, one that grows is interpolated
linearly between the centres of the old ones. Both are a matrix of whole numbers. Its products
with 8-bit pixels stay below 2^53, so that in float64 they are exact, in whatever order a library
adds them up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from model.bands_graph import in_bands


def resize(pixels: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Returns an image of another size, rounded half up.

    Args:
        pixels: uint8 `[H, W, C]`.
        height: Of the result.
        width: Of the result.

    Returns:
        uint8 `[height, width, C]`.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    down, across = _weights(pixels.shape[0], height), _weights(pixels.shape[1], width)
    total = int(down[0].sum() * across[0].sum())
    planes = np.moveaxis(pixels, 2, 0).astype(np.float64)
    sums = (down @ planes @ across.T).astype(np.int64)
    return np.moveaxis((sums + total // 2) // total, 0, 2).astype(np.uint8)


def resize_labels(mask: npt.NDArray[np.uint16], height: int, width: int) -> npt.NDArray[np.uint16]:
    """Returns a mask of another size: each new pixel takes the value at its centre.

    So ids stay ids, and classes that exclude each other still do.
    """
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(mask.shape, (height, width), strict=True)
    )
    return mask[np.ix_(rows, columns)]


def _weights(old: int, new: int) -> npt.NDArray[np.float64]:
    """Returns whole numbers `[new, old]`, by which an axis is resized; all rows have one sum."""
    of, at = np.arange(new, dtype=np.int64)[:, None], np.arange(old, dtype=np.int64)[None]
    if new < old:  # where the old pixel [at, at + 1] * new and the new one [of, of + 1] * old meet
        overlap = np.minimum((of + 1) * old, (at + 1) * new) - np.maximum(of * old, at * new)
        return np.maximum(overlap, 0).astype(np.float64)
    centre = np.clip((2 * of + 1) * old - new, 0, (old - 1) * 2 * new)  # in 1 / (2 new) pixels
    return np.maximum(2 * new - np.abs(centre - at * 2 * new), 0).astype(np.float64)


def resize_in_graph(pixels: Any, height: int, width: int) -> Any:
    """Returns what `resize` gives, in TensorFlow ops."""
    import tensorflow as tf

    old, across = tf.shape(pixels)[:2], _weights_in_graph(tf.shape(pixels)[1], width)
    down = _weights_in_graph(old[0], height)
    total = tf.cast(tf.reduce_sum(down[0]) * tf.reduce_sum(across[0]), tf.int64)

    def band(top: Any, bottom: Any) -> Any:
        planes = tf.transpose(tf.cast(pixels[top:bottom], tf.float64), [2, 0, 1])
        return _products(down[:, top:bottom], planes, across)[tf.newaxis]

    spec = tf.TensorSpec([None, pixels.shape[2], height, width], tf.float64)
    sums = tf.cast(tf.reduce_sum(in_bands(band, old[0], old[1], spec), 0), tf.int64)
    resized = tf.cast((sums + total // 2) // total, tf.uint8)
    return tf.ensure_shape(tf.transpose(resized, [1, 2, 0]), [height, width, pixels.shape[2]])


def resize_planes_in_graph(planes: Any, size: tuple[Any, Any], rows: tuple[Any, Any]) -> Any:
    """Returns some rows of planes given another size, by the weights of `resize`.

    Args:
        planes: float32 `[h, w, P]`.
        size: The new height and width.
        rows: The first new row, and the one after the last.

    Returns:
        float32 `[bottom - top, width, P]`.
    """
    import tensorflow as tf

    shares = []
    for new, old in zip(size, tf.unstack(tf.shape(planes)[:2]), strict=True):
        weights = _weights_in_graph(old, new)
        shares.append(tf.cast(weights / tf.reduce_sum(weights[0]), tf.float32))
    down = shares[0][rows[0] : rows[1]]
    resized = _products(down, tf.transpose(planes, [2, 0, 1]), shares[1])
    return tf.ensure_shape(tf.transpose(resized, [1, 2, 0]), [None, None, planes.shape[2]])


def _products(down: Any, planes: Any, across: Any) -> Any:
    """Returns `down @ plane @ across.T` of each plane of `[P, h, w]`."""
    import tensorflow as tf

    return tf.matmul(tf.matmul(down, planes), across, transpose_b=True)


def _weights_in_graph(old: Any, new: Any) -> Any:
    """Returns what `_weights` gives, float64, in TensorFlow ops."""
    import tensorflow as tf

    old, new = tf.cast(old, tf.int64), tf.cast(new, tf.int64)
    of, at = tf.range(new)[:, tf.newaxis], tf.range(old)[tf.newaxis]
    overlap = tf.minimum((of + 1) * old, (at + 1) * new) - tf.maximum(of * old, at * new)
    centre = tf.clip_by_value((2 * of + 1) * old - new, 0, (old - 1) * 2 * new)
    hat = 2 * new - tf.abs(centre - at * 2 * new)
    return tf.cast(tf.maximum(tf.where(new < old, overlap, hat), 0), tf.float64)
