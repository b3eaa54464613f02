"""What objects are made of, in TensorFlow ops: components, growth and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

_REACHES = (1, 2, 4, 8, 16)  # together a pass carries a value 31 pixels along a row or column


def numbered(kept: Any) -> tuple[Any, Any]:
    """Returns ids, uint16 `[N]`, of the objects that are kept, bool `[N]`, and their number.

    They count from 1; what is not kept has 0, and so has all beyond 65535.
    """
    import tensorflow as tf

    ids = tf.cumsum(tf.cast(kept, tf.int32))
    ids = tf.where(tf.logical_and(kept, ids <= np.iinfo(np.uint16).max), ids, 0)
    return tf.cast(ids, tf.uint16), tf.cast(tf.reduce_max(tf.concat([ids, [0]], 0)), tf.int64)


def components(marker: Any) -> Any:
    """Returns connected components (4 neighbours), each named by its first pixel, row by row.

    Each marker pixel starts with a value that falls in raster order, and the largest value is
    carried along runs of marker pixels, left, right, up and down, until nothing changes. A run
    of 31 pixels takes five shifts (doubling, as in Hillis and Steele's scan, 1986), so that
    nuclei are labelled in a few passes. Values are exact in float32 up to 2^24 pixels.

    Args:
        marker: bool `[H, W]`.

    Returns:
        float32 `[H, W]`: H W less the place of the first pixel; 0 where there is no marker.
    """
    import tensorflow as tf

    area = tf.size(marker)
    marker = tf.cast(marker, tf.float32)
    values = tf.reshape(tf.cast(area - tf.range(area), tf.float32), tf.shape(marker)) * marker
    runs = [(axis, reach, run) for axis in (0, 1) for reach, run in _runs(marker, axis)]

    def carry(before: Any, _: Any) -> tuple[Any, Any]:
        after = before
        for axis, reach, run in runs:
            after = tf.maximum(after, _shifted(after, reach, axis) * run)
            after = tf.maximum(after, _shifted(after * run, -reach, axis))
        return after, tf.reduce_any(after != before)

    values, _ = tf.while_loop(lambda _, changed: changed, carry, (values, tf.constant(True)))
    return values


def grown(values: Any, foreground: Any, times: int) -> Any:
    """Returns float32 `[H, W]` values dilated inside the foreground; the higher one wins.

    Args:
        values: float32 `[H, W]`, 0 where there is none yet.
        foreground: bool `[H, W]`.
        times: How often; each reaches the 4 neighbours.
    """
    import tensorflow as tf

    space = tf.cast(foreground, tf.float32)
    for _ in range(times):
        values = tf.where(values == 0, _spread(values) * space, values)
    return values


def _runs(marker: Any, axis: int) -> list[tuple[int, Any]]:
    """Returns, for each reach d, where a pixel and the d before it along `axis` are all marker."""
    found, run = [], marker * _shifted(marker, 1, axis)
    for reach in _REACHES:
        found.append((reach, run))
        run = run * _shifted(run, reach, axis)
    return found


def _shifted(plane: Any, by: int, axis: int) -> Any:
    """Returns float32 `[H, W]` moved by `by` pixels towards higher indices, zeros moving in."""
    import tensorflow as tf

    shape, padding = tf.shape(plane), [[0, 0], [0, 0]]
    padding[axis][0 if by > 0 else 1] = abs(by)
    start = [0, 0]
    start[axis] = 0 if by > 0 else -by
    return tf.slice(tf.pad(plane, padding), start, shape)


def _spread(values: Any) -> Any:
    """Returns the maximum over each pixel and its four neighbours."""
    import tensorflow as tf

    moved = [_shifted(values, by, axis) for axis in (0, 1) for by in (1, -1)]
    return tf.reduce_max(tf.stack([values, *moved]), 0)
