"""The `tf.data` pipelines of training and validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.augmentation import augment
from model.preprocessing import HISTOGRAM, IMAGE, normalise
from model.tile_records import SHARE, TARGET, read_tiles
from segtrail.colour import CHANNELS
from segtrail.settings.preprocessing import Preprocessing
from segtrail.settings.training import Training

_SHUFFLE = 512


def target_tensor(target: Any, planes: int) -> Any:
    """Returns float32 `[..., planes]`, the bits of a target byte `[...]`."""
    import tensorflow as tf

    bits = [tf.bitwise.bitwise_and(target, np.uint8(1 << bit)) > 0 for bit in range(planes)]
    return tf.cast(tf.stack(bits, -1), tf.float32)


def training_batches(
    tiles: Mapping[str, Sequence[Path]],
    graph: Any,
    options: Preprocessing,
    training: Training,
    planes: int,
) -> Any:
    """Returns endless batches `(float32 [B, S, S, C], float32 [B, S, S, P])` of random crops.

    Slices are drawn with probability proportional to n^(1 - oversample), n being a slice's
    number of images' worth of tiles. Everything random follows from `training.seed`.

    Args:
        tiles: TFRecords by slice.
        graph: The layer of the transform graph.
        options: How the tiles were cut.
        training: Batch size, crop, oversampling, augmentation, seed.
        planes: P, how many bits of a target are learnt.
    """
    import tensorflow as tf

    channels = CHANNELS[options.colour]
    parts, weights = [], []
    for number, paths in enumerate(tiles.values()):
        seed = training.seed + number
        part = read_tiles(paths, options).cache()
        weights.append(float(sum(t[SHARE] for t in part.as_numpy_iterator())))
        part = part.shuffle(_SHUFFLE, seed=seed, reshuffle_each_iteration=True).repeat()
        chance = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=False)
        part = tf.data.Dataset.zip(part, chance).filter(
            lambda tile, r: tf.cast(r, tf.float32) / 2.0**32 < tile[SHARE]
        )
        parts.append(part.map(lambda tile, _: tile))
    shares = np.asarray(weights) ** (1 - training.oversample)
    drawn = tf.data.Dataset.sample_from_datasets(
        parts, weights=(shares / shares.sum()).tolist(), seed=training.seed
    )
    seeds = tf.data.Dataset.random(seed=training.seed, rerandomize_each_iteration=False).batch(2)

    def prepare(tile: dict[str, Any], seed: Any) -> tuple[Any, Any]:
        seed = tf.cast(seed, tf.int64)
        pixels, target = _crop(tile[IMAGE], tile[TARGET], training.crop, seed)
        x = normalise(graph, pixels, tile[HISTOGRAM])
        x = tf.ensure_shape(x, [training.crop, training.crop, channels])
        y = target_tensor(target, planes)
        y = tf.ensure_shape(y, [training.crop, training.crop, planes])
        return augment(x, y, training.augmentation, seed)

    return (
        tf.data.Dataset.zip(drawn, seeds)
        .map(prepare, num_parallel_calls=2, deterministic=True)
        .batch(training.batch_size, drop_remainder=True)
        .prefetch(2)
    )


def validation_batches(
    tiles: Mapping[str, Sequence[Path]],
    graph: Any,
    options: Preprocessing,
    batch_size: int,
    planes: int,
    every: int = 1,
) -> Any:
    """Returns each `every`-th tile of a split, whole, in order; shapes as `training_batches`."""
    import tensorflow as tf

    paths = [path for part in tiles.values() for path in part]

    def prepare(tile: dict[str, Any]) -> tuple[Any, Any]:
        x = normalise(graph, tile[IMAGE], tile[HISTOGRAM])
        x = tf.ensure_shape(x, [options.tile, options.tile, CHANNELS[options.colour]])
        return x, target_tensor(tile[TARGET], planes)

    return read_tiles(paths, options).shard(every, 0).map(prepare).batch(batch_size).prefetch(1)


def _crop(pixels: Any, target: Any, side: int, seed: Any) -> tuple[Any, Any]:
    import tensorflow as tf

    room = tf.shape(target)[0] - side + 1
    corner = tf.random.stateless_uniform([2], seed, 0, room, tf.int32)
    y, x = corner[0], corner[1]
    return pixels[y : y + side, x : x + side], target[y : y + side, x : x + side]
