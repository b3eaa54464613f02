"""From an example to its tiles and its histogram: what Beam's workers do with an image."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.transforming.ordering import with_key
from model.examples import Example
from model.preprocessing import HISTOGRAM, level_histogram
from model.resizing import resize_labels
from model.scaling import shrink_bits, to_network_size
from model.targets import target_planes
from model.tile_records import TileWriter
from model.tiles import cut
from segtrail.colour import to_channels
from segtrail.images import decode_image, read_labels
from segtrail.settings.preprocessing import Preprocessing
from segtrail.task import Task

AT_ONCE = 4  # images that are decoded together: memory grows with it


@dataclass(frozen=True)
class Decoded:
    """One image between decoding and tiling.

    Attributes:
        image: Its id.
        pixels: uint8 `[H, W, C]`, as the transform graph takes them.
        target: uint8 `[H, W]`, see `model.targets`.
        histogram: int64 `[C * 256]`, of the pixels.
    """

    image: str
    pixels: npt.NDArray[np.uint8]
    target: npt.NDArray[np.uint8]
    histogram: npt.NDArray[np.int64]


def decode_all(records: Sequence[bytes], options: Preprocessing, task: Task) -> Iterator[Decoded]:
    """Yields what `decode` gives of each example, in order, decoded by threads.

    Most of the time goes into decoding PNG, for which OpenCV lets other threads run.
    """
    with ThreadPoolExecutor(min(os.cpu_count() or 1, AT_ONCE)) as threads:
        yield from threads.map(lambda record: decode(record, options, task), records)


def decode(record: bytes, options: Preprocessing, task: Task) -> Decoded:
    """Reads an example and makes what the network sees and learns, at the network's size."""
    example = Example.parse(record)
    image = decode_image(example.image_bytes, example.image)
    mask = read_labels(example.mask_bytes, f"{example.image} (mask)")
    channels = to_channels(image, options.colour, options.sixteen_bit)
    pixels = to_network_size(channels, options)
    if options.resize:  # the labels first: the border's width is in the network's pixels
        target = target_planes(resize_labels(mask, *options.resize), task, options.border_width)
    else:
        target = target_planes(mask, task, options.border_width * options.scale)
        target = shrink_bits(target, options.scale, task.masks == "classes")
    return Decoded(example.image, pixels, target, level_histogram(pixels))


def make_tiles(image: Decoded, options: Preprocessing) -> Iterator[bytes]:
    """Yields an image's tiles, serialized, each with its place in the whole."""
    both = zip(
        cut(image.pixels, options.tile, options.strides),
        cut(image.target, options.tile, options.strides),
        strict=True,
    )
    tiles = list(both)
    writer = TileWriter(image.histogram, len(tiles))
    for number, (pixels, target) in enumerate(tiles):
        tile = writer.serialize(pixels, target)
        yield with_key(image.image, number, len(tiles), tile)


def to_record_batch(histograms: list[npt.NDArray[np.int64]]) -> Any:
    """Returns histograms as one Arrow record batch, the only thing that is analysed."""
    import pyarrow as pa

    rows = np.stack(histograms)
    offsets = np.arange(len(rows) + 1, dtype=np.int64) * rows.shape[1]
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()))
    return pa.RecordBatch.from_arrays([lists], [HISTOGRAM])
