"""What the SavedModel does around the network: bytes to pixels, probabilities to answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from model.objects_graph import label_objects
from model.preprocessing import LEVELS, normalise
from segtrail.grey import LUMA, LUMA_ROUND, LUMA_SHIFT
from segtrail.recipe import Objects

_PNG_MAGIC = b"\x89PNG"


def decode_grey(data: Any) -> Any:
    """Returns uint8 `[H, W, 1]` of an encoded image: what `segtrail.grey.to_grey` gives.

    Args:
        data: string `[]`: PNG (8 or 16 bit), JPEG or BMP; grey, RGB, either with alpha.
    """
    import tensorflow as tf

    def eight_bit() -> Any:
        return tf.io.decode_image(data, expand_animations=False)

    def sixteen_bit() -> Any:
        return tf.cast(tf.io.decode_png(data, dtype=tf.uint16) // 256, tf.uint8)

    # the bit depth is the 25th byte of a PNG file; a short file is left to the decoder
    start = tf.strings.join([data, " " * 25])
    header = tf.strings.substr(start, 0, 4) == _PNG_MAGIC
    deep = tf.logical_and(header, tf.strings.substr(start, 24, 1) == b"\x10")
    image = tf.cond(deep, sixteen_bit, eight_bit)
    return to_grey(tf.ensure_shape(image, [None, None, None]))


def to_grey(image: Any) -> Any:
    """Returns uint8 `[H, W, 1]` of uint8 `[H, W, C]`, C from 1 to 4 (2 and 4: with alpha)."""
    import tensorflow as tf

    def of_colours() -> Any:
        weighted = tf.cast(image[..., :3], tf.int32) * tf.constant(LUMA, tf.int32)
        luma = tf.reduce_sum(weighted, -1, keepdims=True) + LUMA_ROUND
        return tf.cast(tf.bitwise.right_shift(luma, LUMA_SHIFT), tf.uint8)

    grey = tf.cond(tf.shape(image)[-1] < 3, lambda: image[..., :1], of_colours)
    return tf.ensure_shape(grey, [None, None, 1])


def probabilities(grey: Any, graph: Any, network: Callable[[Any], Any], multiple: int) -> Any:
    """Returns float32 `[H, W, P]` of a grey image uint8 `[H, W, 1]`.

    The normalised image is reflected at its bottom and right edges up to a multiple of
    `multiple`, whatever its size, and the answer is cut back.
    """
    import tensorflow as tf

    counts = tf.math.bincount(
        tf.cast(tf.reshape(grey, [-1]), tf.int32), minlength=LEVELS, maxlength=LEVELS
    )
    x = normalise(graph, grey, tf.cast(counts, tf.int64))
    height, width = tf.shape(grey)[0], tf.shape(grey)[1]
    x = tf.gather(x, _reflected(height, multiple), axis=0)
    x = tf.gather(x, _reflected(width, multiple), axis=1)
    return tf.sigmoid(network(x[tf.newaxis])[0, :height, :width])


def _reflected(length: Any, multiple: int) -> Any:
    """Returns the indices 0, 1, …, n-1, n-2, … up to the next multiple; also for n = 1."""
    import tensorflow as tf

    period = tf.maximum(2 * (length - 1), 1)
    position = tf.range(-(-length // multiple) * multiple) % period
    return tf.minimum(position, period - position) * tf.cast(length > 1, tf.int32)


def answer(planes: Any, objects: Objects) -> dict[str, Any]:
    """Returns the outputs of `serving_default` for one image.

    Args:
        planes: float32 `[H, W, 2]`, probability of foreground and border.
        objects: Thresholds and the definition of an object.
    """
    import tensorflow as tf

    foreground = planes[..., 0] > objects.threshold
    labels, count = label_objects(foreground, planes[..., 1] > objects.border_threshold, objects)
    shown = tf.cast(tf.round(planes[..., :1] * 255), tf.uint8)
    return {
        "mask_png": tf.io.encode_png(tf.cast(foreground, tf.uint8)[..., tf.newaxis]),
        "probability_png": tf.io.encode_png(shown)[tf.newaxis],
        "labels_png": tf.io.encode_png(labels[..., tf.newaxis]),
        "count": count,
        "height": tf.cast(tf.shape(planes)[0], tf.int64),
        "width": tf.cast(tf.shape(planes)[1], tf.int64),
    }
