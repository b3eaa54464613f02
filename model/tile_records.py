"""Training tiles as they are stored: one `tf.train.Example` a tile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.preprocessing import HISTOGRAM, IMAGE, LEVELS
from segtrail.colour import CHANNELS
from segtrail.settings.preprocessing import Preprocessing

TARGET, SHARE = "target", "share"
_FULL_TILES = 4  # an image with more tiles than this is not seen more often than with this many


def serialize_tile(
    image: npt.NDArray[np.uint8],
    target: npt.NDArray[np.uint8],
    histogram: npt.NDArray[np.int64],
    tiles_of_image: int,
) -> bytes:
    """Returns a tile as the bytes of a `tf.train.Example`.

    Args:
        image: uint8 `[T, T, C]`.
        target: uint8 `[T, T]`, see `model.targets`.
        histogram: int64 `[C * 256]`, of the whole image that the tile is from.
        tiles_of_image: How many tiles that image has: the more, the less often each is seen.
    """
    import tensorflow as tf

    def of_bytes(value: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    share = min(1.0, _FULL_TILES / tiles_of_image)
    feature = {
        IMAGE: of_bytes(image.tobytes()),
        TARGET: of_bytes(target.tobytes()),
        HISTOGRAM: tf.train.Feature(int64_list=tf.train.Int64List(value=histogram.tolist())),
        SHARE: tf.train.Feature(float_list=tf.train.FloatList(value=[share])),
    }
    example: Any = tf.train.Example(features=tf.train.Features(feature=feature))
    data: bytes = example.SerializeToString(deterministic=True)
    return data


def read_tiles(paths: Sequence[Path], options: Preprocessing) -> Any:
    """Returns a `tf.data.Dataset` of stored tiles, as a dict of tensors."""
    import tensorflow as tf

    channels, side = CHANNELS[options.colour], options.tile
    spec = {
        IMAGE: tf.io.FixedLenFeature([], tf.string),
        TARGET: tf.io.FixedLenFeature([], tf.string),
        HISTOGRAM: tf.io.FixedLenFeature([channels * LEVELS], tf.int64),
        SHARE: tf.io.FixedLenFeature([], tf.float32),
    }

    def parse(record: Any) -> dict[str, Any]:
        tile = tf.io.parse_single_example(record, spec)
        pixels = tf.io.decode_raw(tile[IMAGE], tf.uint8)
        target = tf.io.decode_raw(tile[TARGET], tf.uint8)
        return tile | {
            IMAGE: tf.reshape(pixels, [side, side, channels]),
            TARGET: tf.reshape(target, [side, side]),
        }

    return tf.data.TFRecordDataset([str(p) for p in paths]).map(parse)
