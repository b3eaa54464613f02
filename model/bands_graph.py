"""Works on large images a part at a time, so that what lies between input and output stays small.

In TensorFlow ops, for the serving graph. An image of a usual size is one part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_BAND = 1 << 22  # pixels


def in_bands(make: Callable[[Any, Any], Any], height: Any, width: Any, spec: Any) -> Any:
    """Returns bands of whole rows, one below another.

    Args:
        make: From the first row of a band, and the one after its last, to its pixels
            `[bottom - top, width, ...]`, or what else is made of it.
        height: Rows of the result, int32 `[]`, 1 or more.
        width: Columns, by which a band has more rows or fewer.
        spec: `tf.TensorSpec` of a band; what is unknown is None.

    Returns:
        `[height, width, ...]` where bands are pixels.
    """
    import tensorflow as tf

    rows = tf.maximum(_BAND // tf.maximum(width, 1), 1)
    starts = tf.range(0, height, rows)

    def band(k: Any) -> Any:
        return make(starts[k], tf.minimum(starts[k] + rows, height))

    return joined(band, tf.size(starts), spec)


def level_counts(pixels: Any, levels: int) -> Any:
    """Returns how often each level is in each channel, one channel after the other.

    Args:
        pixels: Whole numbers from 0 to `levels` - 1, `[H, W, C]`.
        levels: How many there are.

    Returns:
        int64 `[C * levels]`.
    """
    import tensorflow as tf

    height, width, channels = tf.unstack(tf.shape(pixels))
    every = channels * levels

    def band(top: Any, bottom: Any) -> Any:
        places = tf.cast(pixels[top:bottom], tf.int32) + tf.range(0, every, levels)
        counts = tf.math.bincount(tf.reshape(places, [-1]), minlength=every, maxlength=every)
        return tf.cast(counts, tf.int64)[tf.newaxis]

    return tf.reduce_sum(in_bands(band, height, width, tf.TensorSpec([None, None], tf.int64)), 0)


def in_blocks(
    make: Callable[[Any, Any, Any, Any], Any], height: Any, width: Any, side: int, dtype: Any
) -> Any:
    """Returns square blocks, put together.

    Args:
        make: From a block's top, left, bottom and right to its values
            `[bottom - top, right - left]`.
        height: Of the result.
        width: Of the result.
        side: Of a block; those at the bottom and at the right may be smaller.
        dtype: Of the values.
    """
    import tensorflow as tf

    spec = tf.TensorSpec([None, None], dtype)
    down, across = tf.range(0, height, side), tf.range(0, width, side)

    def row(i: Any) -> Any:
        top, bottom = down[i], tf.minimum(down[i] + side, height)

        def block(k: Any) -> Any:
            left, right = across[k], tf.minimum(across[k] + side, width)
            return tf.transpose(make(top, left, bottom, right))

        return tf.transpose(joined(block, tf.size(across), spec))

    return joined(row, tf.size(down), spec)


def joined(make: Callable[[Any], Any], count: Any, spec: Any) -> Any:
    """Returns `make(0)`, … `make(count - 1)`, made one after another, along the first axis.

    Args:
        make: From an index, int32 `[]`.
        count: 1 or more.
        spec: `tf.TensorSpec` of what is made; what is unknown is None.
    """
    import tensorflow as tf

    done = tf.TensorArray(spec.dtype, count, infer_shape=False, element_shape=spec.shape)

    def step(k: Any, done: Any) -> tuple[Any, Any]:
        return k + 1, done.write(k, make(k))

    _, done = tf.while_loop(
        lambda k, _: k < count, step, (tf.constant(0), done), parallel_iterations=1
    )
    return tf.ensure_shape(done.concat(), [None, *spec.shape[1:]])
