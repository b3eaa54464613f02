"""Objects in TensorFlow ops: what `model.objects` computes, inside the serving graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from segtrail.recipe import Objects

_STEPS = 8  # propagation steps between two looks whether anything still changes


def label_objects(foreground: Any, border: Any, options: Objects) -> tuple[Any, Any]:
    """Returns instance ids and their number, equal to `model.objects.label_objects`.

    Connected components by label propagation: each marker pixel starts with a value that falls
    in raster order, and takes the largest value among itself and its four neighbours until
    nothing changes. Values are exact in float32 up to 2^24 pixels.

    Args:
        foreground: bool `[H, W]`.
        border: bool `[H, W]`.
        options: `grow`, `min_size`.

    Returns:
        uint16 `[H, W]` ids and int64 `[]` count.
    """
    import tensorflow as tf

    shape = tf.shape(foreground)
    area = tf.size(foreground)
    inside = _as_image(tf.logical_and(foreground, tf.logical_not(border)))
    marker = tf.cast(inside, tf.float32)
    values = tf.reshape(tf.cast(area - tf.range(area), tf.float32), tf.shape(marker)) * marker

    def propagate(before: Any, _: Any) -> tuple[Any, Any]:
        after = before
        for _step in range(_STEPS):
            after = _spread(after) * marker
        return after, tf.reduce_any(after != before)

    values, _ = tf.while_loop(lambda _, changed: changed, propagate, (values, tf.constant(True)))
    space = tf.cast(_as_image(foreground), tf.float32)
    for _ in range(options.grow):
        values = tf.where(values == 0, _spread(values) * space, values)

    unique, index, sizes = tf.unique_with_counts(tf.reshape(tf.cast(values, tf.int32), [-1]))
    order = tf.argsort(unique, direction="DESCENDING")
    keep = tf.logical_and(unique > 0, sizes >= max(options.min_size, 1))
    ids = tf.cumsum(tf.cast(tf.gather(keep, order), tf.int32))
    ids = tf.scatter_nd(order[:, None], ids, tf.shape(unique))
    most = np.iinfo(np.uint16).max
    ids = tf.where(tf.logical_and(keep, ids <= most), ids, 0)
    labels = tf.reshape(tf.cast(tf.gather(ids, index), tf.uint16), shape)
    return labels, tf.cast(tf.reduce_max(tf.concat([ids, [0]], 0)), tf.int64)


def _as_image(plane: Any) -> Any:
    import tensorflow as tf

    return plane[tf.newaxis, :, :, tf.newaxis]


def _spread(values: Any) -> Any:
    """Returns the maximum over each pixel and its four neighbours."""
    import tensorflow as tf

    rows = tf.nn.max_pool2d(values, [3, 1], 1, "SAME")
    columns = tf.nn.max_pool2d(values, [1, 3], 1, "SAME")
    return tf.maximum(rows, columns)
