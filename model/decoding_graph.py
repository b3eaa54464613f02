"""From the bytes of a file to the pixels that a recipe's network is given, in TensorFlow ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from model.bands_graph import in_bands, level_counts
from segtrail.colour import CHANNELS
from segtrail.grey import LEVELS_16, LUMA, LUMA_ROUND, LUMA_SHIFT, PER_MILLE
from segtrail.settings.preprocessing import Preprocessing, SixteenBit

_PNG_MAGIC = b"\x89PNG"


def decode(data: Any, options: Preprocessing) -> Any:
    """Returns uint8 `[H, W, C]` of an encoded image: what `segtrail.colour.to_channels` gives.

    Args:
        data: string `[]`: PNG (8 or 16 bit), JPEG or BMP; grey, RGB, either with alpha.
        options: Which channels, and which eight of 16 bits.
    """
    import tensorflow as tf

    def eight_bit() -> Any:
        image = tf.io.decode_image(data, expand_animations=False)
        return to_channels(tf.ensure_shape(image, [None, None, None]), options.colour)

    def sixteen_bit() -> Any:
        return channels_of_16_bits(tf.io.decode_png(data, dtype=tf.uint16), options)

    # the bit depth is the 25th byte of a PNG file; a short file is left to the decoder
    start = tf.strings.join([data, " " * 25])
    header = tf.strings.substr(start, 0, 4) == _PNG_MAGIC
    deep = tf.logical_and(header, tf.strings.substr(start, 24, 1) == b"\x10")
    return tf.cond(deep, sixteen_bit, eight_bit)


def to_channels(image: Any, colour: str) -> Any:
    """Returns uint8 `[H, W, CHANNELS[colour]]` of uint8 `[H, W, C]`, C from 1 to 4.

    2 and 4 channels are 1 and 3 with alpha.
    """
    return _by_bands(image, colour, lambda pixels: pixels)


def channels_of_16_bits(image: Any, options: Preprocessing) -> Any:
    """Returns uint8 `[H, W, CHANNELS[colour]]` of uint16 `[H, W, C]`: see `to_channels`."""
    return _by_bands(image, options.colour, _eight_bits(image, options.sixteen_bit))


def _by_bands(image: Any, colour: str, change: Callable[[Any], Any]) -> Any:
    import tensorflow as tf

    spec = tf.TensorSpec([None, None, CHANNELS[colour]], tf.uint8)
    return in_bands(
        lambda top, bottom: _channels(change(image[top:bottom]), colour),
        tf.shape(image)[0], tf.shape(image)[1], spec,
    )  # fmt: skip


def _channels(image: Any, colour: str) -> Any:
    import tensorflow as tf

    def grey_of_colours() -> Any:
        weighted = tf.cast(image[..., :3], tf.int32) * tf.constant(LUMA, tf.int32)
        luma = tf.reduce_sum(weighted, -1, keepdims=True) + LUMA_ROUND
        return tf.cast(tf.bitwise.right_shift(luma, LUMA_SHIFT), tf.uint8)

    is_grey = tf.shape(image)[-1] < 3
    if colour == "grey":
        made = tf.cond(is_grey, lambda: image[..., :1], grey_of_colours)
    else:
        made = tf.cond(
            is_grey, lambda: tf.repeat(image[..., :1], 3, axis=-1), lambda: image[..., :3]
        )
    return tf.ensure_shape(made, [None, None, CHANNELS[colour]])


def _eight_bits(image: Any, how: SixteenBit) -> Callable[[Any], Any]:
    """Returns what makes uint8 of uint16 rows of an image, as `segtrail.grey.eight_bit` does.

    Alpha is not looked at for it.
    """
    import tensorflow as tf

    colours = tf.where(tf.shape(image)[-1] < 3, 1, 3)
    if how == "percentiles":
        return _stretch(image, colours)
    shift = tf.constant(8)
    if how == "used-bits":
        highest = tf.cast(tf.reduce_max(image[..., :colours]), tf.int32)
        shift = tf.reduce_sum(tf.cast(highest >= [1 << bit for bit in range(8, 16)], tf.int32))
    return lambda rows: tf.cast(tf.bitwise.right_shift(tf.cast(rows, tf.int32), shift), tf.uint8)


def _stretch(image: Any, colours: Any) -> Callable[[Any], Any]:
    """Returns what stretches rows from the image's low percentile to its high one."""
    import tensorflow as tf

    values = image[..., :colours]
    counts = tf.reshape(level_counts(values, LEVELS_16), [-1, LEVELS_16])
    below = tf.cumsum(tf.reduce_sum(counts, 0)) * PER_MILLE
    ranks = tf.size(values, tf.int64) * tf.constant([1, PER_MILLE - 1], tf.int64)
    ends = tf.searchsorted(below, ranks)
    span = tf.maximum(ends[1] - ends[0], 1)

    def stretched(rows: Any) -> Any:
        above = tf.clip_by_value(tf.cast(rows, tf.int32) - ends[0], 0, span)
        return tf.cast((above * 255 + span // 2) // span, tf.uint8)

    return stretched
