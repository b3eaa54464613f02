"""The `tf.data` pipelines of training and validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.augmentation import augment_normalised, augment_pixels
from model.preprocessing import HISTOGRAM, IMAGE, normalise
from model.tile_records import SHARE, TARGET, read_tiles, target_bits
from segtrail.artifacts import slice_of
from segtrail.colour import CHANNELS
from segtrail.settings.preprocessing import Preprocessing
from segtrail.settings.training import Training

_SHUFFLE = 512


def training_batches(
    tiles: Mapping[str, Sequence[Path]],
    graph: Any,
    options: Preprocessing,
    training: Training,
    planes: int,
    share: tuple[int, int] = (0, 1),
    start: int = 0,
) -> Any:
    """Returns endless batches `(float32 [B, S, S, C], float32 [B, S, S, P])` of random crops.

    Slices are drawn with probability proportional to n^(1 - oversample), n being a slice's
    number of images' worth of tiles, and within a slice its strata likewise. Everything random
    follows from `training.seed`, so that the batches from `start` on are those of a run that
    was not broken off there.

    Args:
        tiles: TFRecords by slice, or by `<slice>.<stratum>`.
        graph: The layer of the transform graph.
        options: How the tiles were cut.
        training: Batch size, crop, oversampling, augmentation, seed.
        planes: P, how many bits of a target are learnt.
        share: Which worker this is, from 0, of how many; each gets its part of every batch.
        start: How many batches to pass over; a fraction of a millisecond for each image.
    """
    import tensorflow as tf

    channels = CHANNELS[options.colour]
    parts, weights = [], []
    for number, paths in enumerate(tiles.values()):
        seed = training.seed + number
        part = read_tiles(paths, options)
        weights.append(float(sum(t[SHARE] for t in part.as_numpy_iterator())))
        part = _shuffled_passes(part, seed)
        chance = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=False)
        part = tf.data.Dataset.zip(part, chance).filter(
            lambda tile, r: tf.cast(r, tf.float32) / 2.0**32 < tile[SHARE]
        )
        parts.append(part.map(lambda tile, _: tile))
    shares = draw_shares(dict(zip(tiles, weights, strict=True)), training.oversample)
    drawn = tf.data.Dataset.sample_from_datasets(
        parts, weights=[shares[name] for name in tiles], seed=training.seed
    )
    seeds = tf.data.Dataset.random(seed=training.seed, rerandomize_each_iteration=False).batch(2)

    def prepare(tile: dict[str, Any], seed: Any) -> tuple[Any, Any]:
        seed = tf.cast(seed, tf.int64)
        side, changes = training.crop, training.augmentation
        pixels, target, histogram = augment_pixels(
            tile[IMAGE], tile[TARGET], tile[HISTOGRAM], training, planes, seed
        )
        x = normalise(graph, tf.ensure_shape(pixels, [side, side, channels]), histogram)
        x = tf.ensure_shape(augment_normalised(x, changes, seed), [side, side, channels])
        return x, tf.ensure_shape(
            tf.cast(target_bits(target, planes), tf.float32), [side, side, planes]
        )

    return (
        tf.data.Dataset.zip(drawn, seeds)
        .skip(start * training.batch_size)
        .shard(share[1], share[0])
        .map(prepare, num_parallel_calls=2, deterministic=True)
        .batch(training.batch_size // share[1], drop_remainder=True)
        .prefetch(2)
    )


def _shuffled_passes(tiles: Any, seed: int) -> Any:
    """Returns the tiles again and again, in another order each time.

    Each iteration of what is returned gives the same orders, which `shuffle` and `repeat` do not:
    a strategy of several replicas begins to iterate, and begins anew.
    """
    import tensorflow as tf

    passes = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=False)
    return passes.flat_map(
        lambda each: tiles.shuffle(_SHUFFLE, seed=each, reshuffle_each_iteration=False)
    )


def draw_shares(sizes: Mapping[str, float], oversample: float) -> dict[str, float]:
    """Returns how often each stratum is drawn; the shares add up to 1.

    A slice's share is proportional to n^(1 - oversample); that of a stratum within its slice
    likewise. So a rare microscope of a common kind of image is seen more often, at no cost to
    the rare kinds.

    Args:
        sizes: n, by `<slice>` or `<slice>.<stratum>`.
        oversample: 0: as they come; 1: all alike.
    """
    slices: dict[str, dict[str, float]] = {}
    for name, size in sizes.items():
        slices.setdefault(slice_of(name), {})[name] = size
    power = 1 - oversample
    of_slice = _in_parts({kind: sum(own.values()) ** power for kind, own in slices.items()})
    return {
        name: of_slice[kind] * part
        for kind, own in slices.items()
        for name, part in _in_parts({n: size**power for n, size in own.items()}).items()
    }


def _in_parts(weights: Mapping[str, float]) -> dict[str, float]:
    whole = sum(weights.values())
    return {name: weight / whole for name, weight in weights.items()}


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
        return x, tf.cast(target_bits(tile[TARGET], planes), tf.float32)

    return read_tiles(paths, options).shard(every, 0).map(prepare).batch(batch_size).prefetch(1)
