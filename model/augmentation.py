"""Random changes of an image and its target together, inside the `tf.data` graph.

Shape first, on the tile's pixels, in one resampling (`model.warping`), however many of the
changes are on; then the levels of the pixels, with the histogram that the transform graph
normalises by; and after the transform graph brightness and contrast. All follow from one seed.
"""

from __future__ import annotations

import math
from typing import Any

from model.stains import jitter_stains
from model.tile_records import target_bits
from model.warping import (
    corner_around_a_class,
    random_coordinates,
    random_corner,
    sample_bits,
    sample_levels,
)
from segtrail.settings.training import Augmentation, Training


def augment_pixels(
    pixels: Any, target: Any, histogram: Any, training: Training, planes: int, seed: Any
) -> tuple[Any, Any, Any]:
    """Returns a random crop of a tile, changed at random, and the histogram to normalise it by.

    Gamma maps the levels of the pixels and of the histogram alike, so that the crop is
    normalised as an image of that gamma would be when it is served.

    Args:
        pixels: uint8 `[T, T, C]`.
        target: uint8 `[T, T]`, see `model.targets`.
        histogram: int64 `[C * 256]`, of the whole image.
        training: S, the crop's side, at most T; what is done; how often around a class.
        planes: How many bits of a target are learnt.
        seed: int64 `[2]`; the same seed gives the same change.

    Returns:
        uint8 `[S, S, C]`, uint8 `[S, S]` and int64 `[C * 256]`.
    """
    import tensorflow as tf

    options, shape = training.augmentation, tf.shape(target)
    corner = random_corner(shape, training.crop, seed)
    if training.oversample_classes:
        bits = target_bits(target, planes)
        around = corner_around_a_class(bits, training.crop, seed + 6)
        draw = tf.random.stateless_uniform([], seed + 7)
        corner = tf.where(draw < training.oversample_classes, around, corner)
    y, x = random_coordinates(shape, corner, training.crop, options, seed)
    target = sample_bits(target, y, x)
    pixels = sample_levels(pixels, y, x)
    if options.gamma:
        u = tf.random.stateless_uniform([], seed + 3, -1.0, 1.0)
        levels = _gamma_levels(tf.exp(u * math.log1p(options.gamma)))
        pixels = tf.gather(levels, tf.cast(pixels, tf.int32))
        histogram = _map_levels(histogram, levels)
    if options.stain:
        pixels = jitter_stains(pixels, options.stain, seed + 4)
    return pixels, target, histogram


def augment_normalised(x: Any, options: Augmentation, seed: Any) -> Any:
    """Returns a normalised crop, contrast and brightness changed at random.

    Contrast multiplies by 1 ± `contrast`, brightness adds up to ±`brightness`, in units of the
    normalised image.

    Args:
        x: float32 `[S, S, C]`.
        options: What is done.
        seed: int64 `[2]`.
    """
    import tensorflow as tf

    draws = tf.random.stateless_uniform([2], seed + 1, -1.0, 1.0)
    return x * (1 + options.contrast * draws[0]) + options.brightness * draws[1]


def _gamma_levels(gamma: Any) -> Any:
    """Returns uint8 `[256]`, what each level becomes."""
    import tensorflow as tf

    share = tf.range(256, dtype=tf.float32) / 255
    return tf.cast(tf.round(255 * share**gamma), tf.uint8)


def _map_levels(histogram: Any, levels: Any) -> Any:
    """Returns the histogram, int64 `[C * 256]`, of an image whose levels were replaced."""
    import tensorflow as tf

    counts = tf.transpose(tf.reshape(histogram, [-1, 256]))
    mapped = tf.math.unsorted_segment_sum(counts, tf.cast(levels, tf.int32), 256)
    return tf.reshape(tf.transpose(mapped), [-1])
