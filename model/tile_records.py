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


class TileWriter:
    """Serializes the tiles of one image.

    Args:
        histogram: int64 `[C * 256]`, of the whole image.
        tiles_of_image: How many tiles the image has: the more, the less often each is seen.
    """

    def __init__(self, histogram: npt.NDArray[np.int64], tiles_of_image: int) -> None:
        import tensorflow as tf

        share = min(1.0, _FULL_TILES / tiles_of_image)
        self._example: Any = tf.train.Example()
        self._feature = self._example.features.feature
        self._feature[HISTOGRAM].int64_list.value.extend(histogram.tolist())
        self._feature[SHARE].float_list.value.append(share)

    def serialize(self, image: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8]) -> bytes:
        """Returns a tile as the bytes of a `tf.train.Example`.

        Args:
            image: uint8 `[T, T, C]`.
            target: uint8 `[T, T]`, see `model.targets`.
        """
        self._feature[IMAGE].bytes_list.value[:] = [image.tobytes()]
        self._feature[TARGET].bytes_list.value[:] = [target.tobytes()]
        data: bytes = self._example.SerializeToString(deterministic=True)
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


def target_bits(target: Any, planes: int) -> Any:
    """Returns bool `[..., planes]`, the bits of a target byte `[...]`."""
    import tensorflow as tf

    bits = [tf.bitwise.bitwise_and(target, np.uint8(1 << bit)) > 0 for bit in range(planes)]
    return tf.stack(bits, -1)
