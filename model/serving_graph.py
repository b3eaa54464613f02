"""What the SavedModel does around the network: bytes to pixels, probabilities to answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from model import heads
from model.objects_graph import label_objects
from model.preprocessing import LEVELS, normalise
from model.scaling import to_image_size_in_graph, to_network_size_in_graph
from segtrail.colour import CHANNELS
from segtrail.grey import LEVELS_16, LUMA, LUMA_ROUND, LUMA_SHIFT, PER_MILLE
from segtrail.settings.loss import Head
from segtrail.settings.objects import Objects
from segtrail.settings.preprocessing import Preprocessing, SixteenBit
from segtrail.task import Task

_PNG_MAGIC = b"\x89PNG"


def decode(data: Any, options: Preprocessing) -> Any:
    """Returns uint8 `[H, W, C]` of an encoded image: what `segtrail.colour.to_channels` gives.

    Args:
        data: string `[]`: PNG (8 or 16 bit), JPEG or BMP; grey, RGB, either with alpha.
        options: Which channels, and which eight of 16 bits.
    """
    import tensorflow as tf

    def eight_bit() -> Any:
        return tf.io.decode_image(data, expand_animations=False)

    def sixteen_bit() -> Any:
        return eight_bit_of(tf.io.decode_png(data, dtype=tf.uint16), options.sixteen_bit)

    # the bit depth is the 25th byte of a PNG file; a short file is left to the decoder
    start = tf.strings.join([data, " " * 25])
    header = tf.strings.substr(start, 0, 4) == _PNG_MAGIC
    deep = tf.logical_and(header, tf.strings.substr(start, 24, 1) == b"\x10")
    image = tf.cond(deep, sixteen_bit, eight_bit)
    return to_channels(tf.ensure_shape(image, [None, None, None]), options.colour)


def to_channels(image: Any, colour: str) -> Any:
    """Returns uint8 `[H, W, CHANNELS[colour]]` of uint8 `[H, W, C]`, C from 1 to 4.

    2 and 4 channels are 1 and 3 with alpha.
    """
    import tensorflow as tf

    def grey_of_colours() -> Any:
        weighted = tf.cast(image[..., :3], tf.int32) * tf.constant(LUMA, tf.int32)
        luma = tf.reduce_sum(weighted, -1, keepdims=True) + LUMA_ROUND
        return tf.cast(tf.bitwise.right_shift(luma, LUMA_SHIFT), tf.uint8)

    is_grey, channels = tf.shape(image)[-1] < 3, CHANNELS[colour]
    if colour == "grey":
        made = tf.cond(is_grey, lambda: image[..., :1], grey_of_colours)
    else:
        made = tf.cond(
            is_grey, lambda: tf.repeat(image[..., :1], 3, axis=-1), lambda: image[..., :3]
        )
    return tf.ensure_shape(made, [None, None, channels])


def eight_bit_of(image: Any, how: SixteenBit) -> Any:
    """Returns uint8 of uint16 `[H, W, C]`, alpha not looked at: as `segtrail.grey.eight_bit`."""
    import tensorflow as tf

    colours = tf.where(tf.shape(image)[-1] < 3, 1, 3)
    pixels = tf.cast(image, tf.int32)
    if how == "percentiles":
        return _stretched(pixels, pixels[..., :colours])
    shift = tf.constant(8)
    if how == "used-bits":
        highest = tf.reduce_max(pixels[..., :colours])
        shift = tf.reduce_sum(tf.cast(highest >= [1 << bit for bit in range(8, 16)], tf.int32))
    return tf.cast(tf.bitwise.right_shift(pixels, shift), tf.uint8)


def _stretched(pixels: Any, colours: Any) -> Any:
    """Returns uint8 of int32 `[H, W, C]`, from the low percentile of `colours` to the high one."""
    import tensorflow as tf

    values = tf.reshape(colours, [-1])
    counts = tf.math.bincount(values, minlength=LEVELS_16, maxlength=LEVELS_16)
    below = tf.cumsum(tf.cast(counts, tf.int64)) * PER_MILLE
    ranks = tf.size(values, tf.int64) * tf.constant([1, PER_MILLE - 1], tf.int64)
    ends = tf.searchsorted(below, ranks)
    span = tf.maximum(ends[1] - ends[0], 1)
    above = tf.clip_by_value(pixels - ends[0], 0, span)
    return tf.cast((above * 255 + span // 2) // span, tf.uint8)


def probabilities(
    pixels: Any,
    graph: Any,
    network: Callable[[Any], Any],
    multiple: int,
    options: Preprocessing,
    head: Head,
) -> Any:
    """Returns float32 `[H, W, P]` of an image uint8 `[H, W, C]`.

    The image gets the network's size and is normalised; it is reflected at its bottom and
    right edges up to a multiple of `multiple`, whatever its size; the answer is cut back and
    gets the image's own size again.
    """
    import tensorflow as tf

    small = to_network_size_in_graph(pixels, options)
    x = normalise(graph, small, _level_histogram(small))
    height, width = tf.shape(small)[0], tf.shape(small)[1]
    x = tf.gather(x, _reflected(height, multiple), axis=0)
    x = tf.gather(x, _reflected(width, multiple), axis=1)
    planes = heads.probabilities(network(x[tf.newaxis])[0, :height, :width], head)
    return to_image_size_in_graph(planes, options, tf.shape(pixels)[0], tf.shape(pixels)[1])


def _level_histogram(pixels: Any) -> Any:
    """Returns what `model.preprocessing.level_histogram` gives."""
    import tensorflow as tf

    levels = pixels.shape[-1] * LEVELS
    places = tf.cast(pixels, tf.int32) + tf.range(0, levels, LEVELS)
    counts = tf.math.bincount(tf.reshape(places, [-1]), minlength=levels, maxlength=levels)
    return tf.cast(counts, tf.int64)


def _reflected(length: Any, multiple: int) -> Any:
    """Returns the indices 0, 1, …, n-1, n-2, … up to the next multiple; also for n = 1."""
    import tensorflow as tf

    period = tf.maximum(2 * (length - 1), 1)
    position = tf.range(-(-length // multiple) * multiple) % period
    return tf.minimum(position, period - position) * tf.cast(length > 1, tf.int32)


def answer(planes: Any, task: Task, objects: Objects, head: Head) -> dict[str, Any]:
    """Returns the outputs of `serving_default` for one image.

    Where each class is, `model.heads.chosen` says.

    Args:
        planes: float32 `[H, W, P]`, probabilities of `task.planes`.
        task: What the planes are, and what the mask's values mean.
        objects: Thresholds and the definition of an object.
        head: What made the probabilities.
    """
    import tensorflow as tf

    classes = planes[..., : len(task.classes)]
    exclusive = task.masks == "classes"
    chosen = heads.chosen(classes, head, exclusive, objects.threshold)
    values = [k + 1 if exclusive else 1 << k for k in range(len(task.classes))]
    mask = tf.reduce_sum(tf.cast(chosen, tf.int32) * values, -1)
    shown = tf.unstack(tf.cast(tf.round(classes * 255), tf.uint8), axis=-1)
    found = {
        "mask_png": tf.io.encode_png(tf.cast(mask, tf.uint8)[..., tf.newaxis]),
        "probability_png": tf.stack([tf.io.encode_png(p[..., tf.newaxis]) for p in shown]),
        "height": tf.cast(tf.shape(planes)[0], tf.int64),
        "width": tf.cast(tf.shape(planes)[1], tf.int64),
    }
    if task.has_objects:
        border = planes[..., -1] > objects.border_threshold
        labels, count = label_objects(chosen[..., 0], border, objects)
        found |= {"labels_png": tf.io.encode_png(labels[..., tf.newaxis]), "count": count}
    return found
