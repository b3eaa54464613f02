"""Lets the network see large images in overlapping tiles, in TensorFlow ops.

The transform graph's numbers are those of the whole image, so tiles differ from it only by what
the network cannot see beyond a cut. A tile's answer counts from `margin` pixels inside of its
cuts; over the `ramp` pixels after that, one tile's fades out and the next one's in. Tiles begin
at multiples of the network's down-scaling, where its poolings fall as in the whole image: with a
margin that the network cannot see across, tiles answer what the whole image would, up to
rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MARGIN = 128  # pixels at most: networks that see farther hardly look there
_RAMP = 16


@dataclass(frozen=True)
class Tiling:
    """How images are cut; lengths are multiples of `multiple`.

    Attributes:
        whole: Pixels up to which an image is seen whole.
        side: Of a tile, pixels, at most.
        margin: See above.
        ramp: See above.
        multiple: What the sides of an image are reflected up to a multiple of.
    """

    whole: int
    side: int
    margin: int
    ramp: int
    multiple: int

    @classmethod
    def of(cls, megapixels: float, multiple: int, radius: int | None) -> Tiling:
        """Returns the tiling whose tiles have the area up to which images are seen whole.

        Args:
            megapixels: That area.
            multiple: What the sides of the network's input must be a multiple of.
            radius: How far the network sees: see `model.receptive_field`; None: without end.
        """
        whole = round(megapixels * 1e6)
        ramp = _up(_RAMP, multiple)
        side = max(math.isqrt(whole) // multiple * multiple, 2 * (ramp + multiple))
        most = min(MARGIN, (side // 2 - ramp) // 2)
        wanted = MARGIN if radius is None else radius
        margin = min(_up(wanted, multiple), most // multiple * multiple)
        return cls(whole, side, margin, ramp, multiple)

    @property
    def stride(self) -> int:
        """From tile to tile."""
        return self.side - 2 * self.margin - self.ramp


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def in_tiles(
    see: Callable[[Any, Any], Any],
    finish: Callable[[Any], Any],
    height: Any,
    width: Any,
    planes: int,
    spec: Any,
    tiling: Tiling,
) -> Any:
    """Returns what the network says of an image, put together from tiles.

    Args:
        see: From the rows and columns of a tile, int32 `[h]` and `[w]`, to float32 `[h, w, P]`.
            They are indices into the image: it is reflected at its bottom and right edges up to
            a multiple of `tiling.multiple`.
        finish: From float32 `[h, w, P]`, where no other tile adds to, to what is kept of each
            pixel. The image may lie on its side.
        height: Of the image, int32 `[]`.
        width: Of the image, int32 `[]`.
        planes: P.
        spec: `tf.TensorSpec` of what `finish` gives, of three dimensions.
        tiling: How it is cut.

    Returns:
        What `finish` gave, `[height, width, ...]`.
    """
    import tensorflow as tf

    # strips of tiles lie along the shorter axis: a long image takes no more memory than a square
    turned = width > height
    turn = tf.where(turned, [1, 0, 2], [0, 1, 2])
    longer, shorter = tf.maximum(height, width), tf.minimum(height, width)
    places, others = _reflected(longer, tiling.multiple), _reflected(shorter, tiling.multiple)
    whole = tf.size(places, tf.int64) * tf.size(others, tf.int64) <= tiling.whole
    along, across = _cuts(tf.size(places), whole, tiling), _cuts(tf.size(others), whole, tiling)
    values = tf.TensorSpec([None, None, planes], tf.float32)

    def strip(start: Any) -> Any:
        chosen = places[start : start + along.side]

        def tile(start: Any) -> Any:
            other = others[start : start + across.side]
            rows, columns = tf.cond(turned, lambda: (other, chosen), lambda: (chosen, other))
            standing = tf.transpose(see(rows, columns), turn)
            return tf.transpose(standing, [1, 0, 2])

        lying = _blended(tile, tf.identity, across, shorter, along.side, planes, values)
        return tf.transpose(lying, [1, 0, 2])

    made = _blended(strip, finish, along, longer, shorter, planes, spec)
    return tf.ensure_shape(tf.transpose(made, turn), spec.shape)


@dataclass(frozen=True)
class _Cuts:
    """One axis: where tiles start, int32 `[n]`, their side, and weights, float32 `[n, side]`."""

    starts: Any
    side: Any
    weights: Any


def _cuts(length: Any, whole: Any, tiling: Tiling) -> _Cuts:
    import tensorflow as tf

    overlap = tiling.side - tiling.stride
    count = tf.where(whole, 1, tf.maximum(-((overlap - length) // tiling.stride), 1))  # rounded up
    # the tiles of an axis have one side, the smallest at which so many of them cover it
    even = -((-length - (count - 1) * overlap) // count)
    side = -(-even // tiling.multiple) * tiling.multiple
    starts = tf.minimum(tf.range(count) * (side - overlap), length - side)
    place = tf.cast(tf.range(side), tf.float32) + 0.5
    rise = tf.clip_by_value((place - tiling.margin) / tiling.ramp, 0, 1)[tf.newaxis]
    inside, ones = tf.range(count)[:, tf.newaxis], tf.ones([count, side])
    rising = tf.where(inside == 0, ones, rise)
    falling = tf.where(inside == count - 1, ones, rise[:, ::-1])
    weights = tf.minimum(rising, falling)
    places = starts[:, tf.newaxis] + tf.range(side)
    total = tf.math.unsorted_segment_sum(weights, places, length)
    return _Cuts(starts, side, weights / tf.gather(total, places))


def _blended(
    make: Callable[[Any], Any],
    finish: Callable[[Any], Any],
    cuts: _Cuts,
    length: Any,
    across: Any,
    planes: int,
    spec: Any,
) -> Any:
    """Returns the weighted sum of strips along an axis, finished as soon as no other adds to it.

    Args:
        make: From where a strip starts to float32 `[side, across, planes]`.
        finish: See `in_tiles`.
        cuts: Where strips start, and their weights.
        length: Of the result; the last strip may reach beyond.
        across: Of a strip.
        planes: Of a strip.
        spec: Of what `finish` gives.
    """
    import tensorflow as tf

    ends = tf.concat([cuts.starts[1:], [length]], 0)
    count = tf.size(cuts.starts)
    done = tf.TensorArray(spec.dtype, count, infer_shape=False, element_shape=spec.shape)
    nothing = tf.zeros([0, across, planes])

    def step(k: Any, carried: Any, done: Any) -> tuple[Any, Any, Any]:
        strip = make(cuts.starts[k]) * cuts.weights[k][:, tf.newaxis, tf.newaxis]
        strip += tf.pad(carried, [[0, cuts.side - tf.shape(carried)[0]], [0, 0], [0, 0]])
        ready = ends[k] - cuts.starts[k]
        return k + 1, strip[ready:], done.write(k, finish(strip[:ready]))

    _, _, done = tf.while_loop(
        lambda k, *_: k < count,
        step,
        (tf.constant(0), nothing, done),
        shape_invariants=(
            tf.TensorShape([]), tf.TensorShape([None, None, planes]), tf.TensorShape(None),
        ),
        parallel_iterations=1,
    )  # fmt: skip
    return tf.ensure_shape(done.concat(), [None, *spec.shape[1:]])


def _reflected(length: Any, multiple: int) -> Any:
    """Returns the indices 0, 1, …, n-1, n-2, … up to the next multiple; also for n = 1."""
    import tensorflow as tf

    period = tf.maximum(2 * (length - 1), 1)
    position = tf.range(-(-length // multiple) * multiple) % period
    return tf.minimum(position, period - position) * tf.cast(length > 1, tf.int32)
