"""Puts the tiles that workers wrote, in whatever order, into the order of the examples.

Training reads tiles file by file, so its result depends on their order, and that must not depend
on the runner or on how many workers it has. So each tile is written with its key, the image's id
and its own number, and put in its place here.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from segtrail.errors import StageError
from segtrail.tfrecord import CHECKSUM, HEADER, records_to

_KEY = struct.Struct("<HII")  # length of the image's id, number of the tile, tiles of the image


class Place(NamedTuple):
    """Where a tile lies. They sort into the order in which tiles are stored."""

    rank: int
    number: int
    tiles_of_image: int
    shard: int
    offset: int
    length: int


def with_key(image: str, number: int, tiles_of_image: int, tile: bytes) -> bytes:
    """Returns a tile's bytes after its image's id and its number in the image."""
    name = image.encode()
    return _KEY.pack(len(name), number, tiles_of_image) + name + tile


def settle(shards: Sequence[str], slices: Mapping[str, str], folder: Path) -> Counter[str]:
    """Writes the tiles of one split, by slice, in the order of the examples.

    Args:
        shards: What the workers wrote, TFRecords of tiles with keys, anywhere Beam can read.
        slices: The slice of each image of the split, in the order of the examples.
        folder: Gets `<slice>/tiles-00000-of-00001`.

    Returns:
        How many tiles each slice has.

    Raises:
        StageError: A tile is there twice, or an image has none: the runner lost or doubled it.
    """
    ranks = {image: rank for rank, image in enumerate(slices)}
    parts = list(slices.values())
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        files = [stack.enter_context(_open(shard)) for shard in shards]
        places = [
            place for number, file in enumerate(files) for place in _index(file, number, ranks)
        ]
        places.sort()
        _check(places, list(slices))
        write = {}
        for part in sorted(set(parts)):
            (folder / part).mkdir(parents=True)
            path = folder / part / "tiles-00000-of-00001"
            write[part] = stack.enter_context(records_to(path))
        for place in places:
            file = files[place.shard]
            file.seek(place.offset)
            part = parts[place.rank]
            write[part](file.read(place.length))
            counts[part] += 1
    return counts


def _open(shard: str) -> Any:
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    return FileSystems.open(shard, compression_type=CompressionTypes.UNCOMPRESSED)


def _index(file: Any, shard: int, ranks: Mapping[str, int]) -> Iterator[Place]:
    """Yields where the tiles of a shard lie, without reading their pixels."""
    start = 0
    while header := file.read(HEADER.size):
        size, _ = HEADER.unpack(header)
        name_length, number, of = _KEY.unpack(file.read(_KEY.size))
        rank = ranks[file.read(name_length).decode()]
        key = _KEY.size + name_length
        yield Place(rank, number, of, shard, start + HEADER.size + key, size - key)
        start += HEADER.size + size + CHECKSUM.size
        file.seek(start)


def _check(places: Sequence[Place], images: Sequence[str]) -> None:
    expected = 0, 0
    for place in places:
        if (place.rank, place.number) != expected:
            break
        whole = place.number + 1 == place.tiles_of_image
        expected = (place.rank + 1, 0) if whole else (place.rank, place.number + 1)
    else:
        if expected == (len(images), 0):
            return
    rank, number = expected
    raise StageError(
        f"what the Beam runner wrote is not every tile once: expected tile {number} of image "
        f"{images[rank] if rank < len(images) else 'after the last one'} next",
        "use another runner: FnApiRunner runs in this process",
    )
