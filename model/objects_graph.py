"""Objects in TensorFlow ops: what `model.objects` computes, inside the serving graph."""

from __future__ import annotations

from typing import Any

from model.components_graph import components, grown, numbered
from model.objects_blocks_graph import label_by_blocks
from segtrail.settings.objects import Objects

BLOCK = 1024  # pixels a side of what is labelled at once


def label_objects(foreground: Any, border: Any, options: Objects, block: int = BLOCK) -> Any:
    """Returns instance ids and their number, equal to `model.objects.label_objects`.

    Connected components by label propagation: see `components`. An image of more than `block`
    squared pixels is labelled in blocks, whose components are then joined across their seams.

    Args:
        foreground: bool `[H, W]`.
        border: bool `[H, W]`.
        options: `grow`, `min_size`.
        block: Pixels a side.

    Returns:
        uint16 `[H, W]` ids and int64 `[]` count.
    """
    import tensorflow as tf

    def at_once() -> Any:
        return _label_at_once(foreground, border, options)

    def by_blocks() -> Any:
        return label_by_blocks(foreground, border, options, block)

    few = tf.size(foreground, tf.int64) <= block * block
    return tf.cond(few, at_once, by_blocks)


def _label_at_once(foreground: Any, border: Any, options: Objects) -> tuple[Any, Any]:
    import tensorflow as tf

    values = components(tf.logical_and(foreground, tf.logical_not(border)))
    values = grown(values, foreground, options.grow)
    unique, index, sizes = tf.unique_with_counts(tf.reshape(tf.cast(values, tf.int32), [-1]))
    order = tf.argsort(unique, direction="DESCENDING")
    kept = tf.logical_and(unique > 0, sizes >= max(options.min_size, 1))
    ids, count = numbered(tf.gather(kept, order))
    ids = tf.scatter_nd(order[:, tf.newaxis], ids, tf.shape(unique))
    return tf.reshape(tf.gather(ids, index), tf.shape(foreground)), count
