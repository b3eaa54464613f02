"""Stain jitter: how strongly each dye of a slide took, changed at random.

Colour deconvolution by Ruifrok and Johnston (2001) with the vectors of scikit-image's
`rgb2hed`, jittered as Tellez et al. (2018, "Whole-slide mitosis detection") do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# optical density of haematoxylin, eosin and DAB in red, green and blue
RGB_OF_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], np.float32)


def jitter_stains(pixels: Any, strength: float, seed: Any) -> Any:
    """Returns an image in which the amount of each stain is changed at random.

    Each stain is multiplied by 1 ± `strength` and shifted by up to ± `strength` / 10 of optical
    density, both uniform.

    Args:
        pixels: uint8 `[H, W, 3]`, RGB of a transmitted-light image.
        strength: 0 changes nothing.
        seed: int64 `[2]`.
    """
    import tensorflow as tf

    draws = strength * tf.random.stateless_uniform([2, 3], seed, -1.0, 1.0)
    # from pixels to stains, changed, and back, is one 3 x 3 matrix and one shift
    to_stains = tf.constant(np.linalg.inv(RGB_OF_STAINS))
    back = tf.constant(RGB_OF_STAINS)
    matrix = tf.matmul(to_stains * (1 + draws[0]), back)
    shift = tf.matmul(draws[1:] / 10, back)
    density = -tf.math.log(tf.maximum(tf.cast(pixels, tf.float32), 1.0) / 255)
    rgb = 255 * tf.exp(-(tf.tensordot(density, matrix, 1) + shift))
    return tf.cast(tf.round(tf.clip_by_value(rgb, 0.0, 255.0)), tf.uint8)
