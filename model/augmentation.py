"""Random changes of an image and its target together, inside the `tf.data` graph."""

from __future__ import annotations

from typing import Any

from segtrail.settings.training import Augmentation


def augment(x: Any, y: Any, options: Augmentation, seed: Any) -> tuple[Any, Any]:
    """Returns a randomly changed image and its target.

    Flips and turns by 90° move both alike; brightness adds up to ±`brightness` and contrast
    multiplies by 1 ± `contrast`, in units of the normalised image, the target unchanged.

    Args:
        x: float32 `[S, S, C]`, normalised.
        y: float32 `[S, S, P]`.
        options: What is done.
        seed: int64 `[2]`; the same seed gives the same change.
    """
    import tensorflow as tf

    draws = tf.random.stateless_uniform([5], seed + 1)
    if options.flip:
        x, y = tf.cond(draws[0] < 0.5, lambda: (x[:, ::-1], y[:, ::-1]), lambda: (x, y))
        x, y = tf.cond(draws[1] < 0.5, lambda: (x[::-1], y[::-1]), lambda: (x, y))
    if options.rotate90:
        turn = draws[2] < 0.5
        x, y = (
            tf.cond(turn, lambda: tf.transpose(t, [1, 0, 2]), lambda: t)  # noqa: B023
            for t in (x, y)
        )
    x = x * (1 + options.contrast * (2 * draws[3] - 1)) + options.brightness * (2 * draws[4] - 1)
    return x, y
