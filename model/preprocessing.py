"""The transform graph: what happens between decoded pixels and the network.

One `preprocessing_fn`, analysed by TF Transform over all training images and then used as
one graph in training, evaluation and serving. The analysis sees only a grey-level histogram
a channel of an image, so its cost does not grow with the pixels; means, standard deviations and the
data set's own statistics follow from exact integer counts, whatever the order of the images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from segtrail.colour import CHANNELS
from segtrail.settings.preprocessing import Preprocessing

IMAGE, HISTOGRAM, OUTPUT = "image", "histogram", "normalised"
LEVELS = 256
STD_FLOOR = 0.1  # of the data set's standard deviation: an empty image stays quiet
CLIP = 8.0


def level_histogram(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Returns the counts of the 256 levels of each channel, one channel after the other.

    Args:
        pixels: uint8 `[H, W, C]`.

    Returns:
        int64 `[C * 256]`.
    """
    channels = [
        np.bincount(pixels[..., channel].ravel(), minlength=LEVELS)
        for channel in range(pixels.shape[2])
    ]
    return np.concatenate(channels).astype(np.int64)


def make_preprocessing_fn(options: Preprocessing) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Returns the `preprocessing_fn` of a recipe.

    It maps the pixels `image` (uint8 `[P, C]`, one row a pixel, since TF Transform wants all
    dimensions but the first known) of one image or tile and the `histogram` (int64
    `[1, C * 256]`) of the whole image to `normalised` (float32 `[P, C]`): images whose mean over
    the channels is bright inverted, then each channel's z-score, either by the image's own mean
    and standard deviation (the latter not below a tenth of the data set's) or by the data
    set's, clipped to ±8.

    With `intensity: sqrt` the z-score is of sqrt(255 v) instead of the grey level v. The noise
    of counted photons grows like the square root of the signal, so this gives faint and bright
    pixels about the same noise (Bartlett, 1936), and what is faint a larger share of the range.
    """
    channels = CHANNELS[options.colour]

    def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
        import tensorflow as tf
        import tensorflow_transform as tft

        top = LEVELS - 1
        histogram = tf.reshape(inputs[HISTOGRAM], [-1, channels, LEVELS])
        pixels = tf.cast(inputs[IMAGE], tf.float32)
        root = options.intensity == "sqrt"
        mean, std = _moments(histogram)
        if options.invert_bright:
            bright = tf.reduce_mean(mean, 1, keepdims=True) > top / 2
            mean = tf.where(bright, top - mean, mean)
            histogram = tf.where(bright[:, None], histogram[:, :, ::-1], histogram)
            pixels = tf.where(bright, top - pixels, pixels)
        if root:
            mean, std = _moments(histogram, root)
            pixels = tf.sqrt(pixels * top)
        total = tft.sum(histogram, reduce_instance_dims=False)
        all_mean, all_std = _moments(total[None, :], root)
        if options.normalisation == "dataset":
            mean, std = all_mean, all_std
        std = tf.maximum(std, tf.maximum(STD_FLOOR * all_std, 1.0))
        z = (pixels - mean) / std
        return {OUTPUT: tf.clip_by_value(z, -CLIP, CLIP)}

    return preprocessing_fn


def normalise(graph: Any, image: Any, histogram: Any) -> Any:
    """Applies the transform graph to one image or tile.

    Args:
        graph: The layer of the transform graph.
        image: uint8 `[H, W, C]`.
        histogram: int64 `[C * 256]`, of the whole image.

    Returns:
        float32 `[H, W, C]`.
    """
    import tensorflow as tf

    channels = image.shape[-1]
    rows = {IMAGE: tf.reshape(image, [-1, channels]), HISTOGRAM: histogram[None]}
    return tf.reshape(graph(rows)[OUTPUT], tf.shape(image))


def _moments(histogram: Any, root: bool = False) -> tuple[Any, Any]:
    """Returns mean and standard deviation, float32 `[N, C]`, of counts, int64 `[N, C, 256]`.

    Those of the grey levels v, or with `root` of sqrt(255 v).
    """
    import tensorflow as tf

    counts = tf.cast(histogram, tf.float64)
    levels = tf.range(LEVELS, dtype=tf.float64)
    if root:
        levels = tf.sqrt(levels * (LEVELS - 1))
    n = tf.maximum(tf.reduce_sum(counts, 2), 1.0)
    mean = tf.reduce_sum(counts * levels, 2) / n
    variance = tf.reduce_sum(counts * (levels - mean[..., None]) ** 2, 2) / n
    return tf.cast(mean, tf.float32), tf.cast(tf.sqrt(variance), tf.float32)
