"""Objects of a large image, labelled in blocks: the same ids as if it were labelled at once.

The components of each block are named by the place of their first pixel in the image; those that
meet across a seam take the lowest of their names; then each block is grown with as much of its
neighbours as growing can reach.
"""

from __future__ import annotations

from typing import Any

from model.bands_graph import in_bands, in_blocks
from model.components_graph import components, grown, numbered
from segtrail.settings.objects import Objects


def label_by_blocks(foreground: Any, border: Any, options: Objects, side: int) -> tuple[Any, Any]:
    """Returns instance ids, uint16 `[H, W]`, and their number, int64 `[]`.

    Args:
        foreground: bool `[H, W]`, fewer than 2^31 pixels.
        border: bool `[H, W]`.
        options: `grow`, `min_size`.
        side: Of a block, pixels.
    """
    import tensorflow as tf

    height, width = tf.shape(foreground)[0], tf.shape(foreground)[1]

    def named(top: Any, left: Any, bottom: Any, right: Any) -> Any:
        block = slice(top, bottom), slice(left, right)
        marker = tf.logical_and(foreground[block], tf.logical_not(border[block]))
        place = tf.size(marker) - tf.cast(components(marker), tf.int32)
        y, x = top + place // (right - left), left + place % (right - left)
        return tf.where(marker, y * width + x + 1, 0)

    names = in_blocks(named, height, width, side, tf.int32)
    met, first = _joined_across(names, side)
    reach = options.grow

    def regrown(top: Any, left: Any, bottom: Any, right: Any) -> Any:
        above, before = tf.maximum(top - reach, 0), tf.maximum(left - reach, 0)
        around = slice(above, bottom + reach), slice(before, right + reach)
        unique, index = tf.unique(tf.reshape(names[around], [-1]))
        at = tf.minimum(tf.searchsorted(met, unique), tf.size(met) - 1)
        unique = tf.where(tf.gather(met, at) == unique, tf.gather(first, at), unique)
        # in float32, which is exact: the earlier an object begins, the higher its value
        here = tf.sort(tf.unique(unique)[0], direction="DESCENDING")
        value = tf.searchsorted(-here, -unique) + 1
        values = tf.gather(tf.cast(tf.where(unique > 0, value, 0), tf.float32), index)
        space = foreground[around]
        values = grown(tf.reshape(values, tf.shape(space)), space, reach)
        inner = values[top - above : bottom - above, left - before : right - before]
        return tf.gather(tf.concat([[0], here], 0), tf.cast(inner, tf.int32))

    names = in_blocks(regrown, height, width, side, tf.int32)
    return _numbered(names, options.min_size)


def _joined_across(names: Any, side: int) -> tuple[Any, Any]:
    """Returns the names that meet another across a seam, ascending, and the lowest each reaches.

    Both int32 `[N]`; the first pair is 0 and 0, the background.
    """
    import tensorflow as tf

    pairs = []
    for axis in (0, 1):
        seams = tf.range(side, tf.maximum(tf.shape(names)[axis], side), side)
        sides = [tf.reshape(tf.gather(names, seams - k, axis=axis), [-1]) for k in (1, 0)]
        both = tf.logical_and(sides[0] > 0, sides[1] > 0)
        pairs.append(tf.boolean_mask(tf.stack(sides, 1), both))
    met = tf.sort(tf.unique(tf.reshape(tf.concat([*pairs, [[0, 0]]], 0), [-1]))[0])
    ends = tf.searchsorted(met, tf.reshape(tf.concat(pairs, 0), [-1]))
    ends = tf.reshape(ends, [-1, 2])
    count = tf.size(met)

    def lower(before: Any, _: Any) -> tuple[Any, Any]:
        lowest = tf.reduce_min(tf.gather(before, ends), 1)
        after = before
        for k in (0, 1):
            after = tf.minimum(after, tf.math.unsorted_segment_min(lowest, ends[:, k], count))
        after = tf.gather(after, after)
        return after, tf.reduce_any(after != before)

    first, _ = tf.while_loop(
        lambda _, changed: changed, lower, (tf.range(count), tf.constant(True))
    )
    return met, tf.gather(met, first)


def _numbered(names: Any, min_size: int) -> tuple[Any, Any]:
    """Returns ids by the order of the names, and their number; what is too small has none."""
    import tensorflow as tf

    height, width = tf.shape(names)[0], tf.shape(names)[1]

    def sizes_in(top: Any, bottom: Any) -> Any:
        unique, _, sizes = tf.unique_with_counts(tf.reshape(names[top:bottom], [-1]))
        return tf.stack([unique, sizes], 1)

    found = in_bands(sizes_in, height, width, tf.TensorSpec([None, 2], tf.int32))
    known, index = tf.unique(found[:, 0])
    sizes = tf.math.unsorted_segment_sum(found[:, 1], index, tf.size(known))
    order = tf.argsort(known)
    known, sizes = tf.gather(known, order), tf.gather(sizes, order)
    ids, count = numbered(tf.logical_and(known > 0, sizes >= max(min_size, 1)))

    def ids_of(top: Any, bottom: Any) -> Any:
        rows = names[top:bottom]
        unique, index = tf.unique(tf.reshape(rows, [-1]))
        here = tf.gather(ids, tf.searchsorted(known, unique))
        return tf.reshape(tf.gather(here, index), tf.shape(rows))

    return in_bands(ids_of, height, width, tf.TensorSpec([None, None], tf.uint16)), count
