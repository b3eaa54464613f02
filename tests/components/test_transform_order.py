"""Tiles that workers wrote in any order get the order of the examples, each exactly once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.transforming.ordering import settle, with_key
from segtrail.errors import StageError

SLICES = {"z": "one", "ä": "two", "b": "one", "c": "two"}
TILES = {"z": 3, "ä": 1, "b": 2, "c": 4}
WHOLE = [(image, number) for image in SLICES for number in range(TILES[image])]


def payload(image, number):
    return f"{image}/{number} ".encode() * (number + 1)


def write(folder, tiles, shards):
    """Writes tiles over shards in turn; returns the shards."""
    import tensorflow as tf

    paths = [str(folder / f"tiles-{n}") for n in range(shards)]
    writers = [tf.io.TFRecordWriter(path) for path in paths]
    for place, (image, number) in enumerate(tiles):
        record = with_key(image, number, TILES[image], payload(image, number))
        writers[place % shards].write(record)
    for writer in writers:
        writer.close()
    return paths


def read(folder, part):
    import tensorflow as tf

    path = folder / part / "tiles-00000-of-00001"
    return [record.numpy() for record in tf.data.TFRecordDataset(str(path))]


def test_any_order_over_any_shards_comes_out_the_same(tmp_path_factory):
    @settings(deadline=None, max_examples=15)
    @given(st.permutations(WHOLE), st.integers(1, 4))
    def check(tiles, shards):
        folder = tmp_path_factory.mktemp("order")
        counts = settle(write(folder, tiles, shards), SLICES, folder / "out")
        assert counts == {"one": 5, "two": 5}
        for part in ("one", "two"):
            expected = [payload(*tile) for tile in WHOLE if SLICES[tile[0]] == part]
            assert read(folder / "out", part) == expected

    check()


@pytest.mark.parametrize("lost", WHOLE)
def test_a_lost_tile_is_told(tmp_path, lost):
    tiles = [tile for tile in WHOLE if tile != lost]
    with pytest.raises(StageError, match=f"expected tile {lost[1]} of image {lost[0]} next"):
        settle(write(tmp_path, tiles, 2), SLICES, tmp_path / "out")


@pytest.mark.parametrize("twice", WHOLE)
def test_a_tile_written_twice_is_told(tmp_path, twice):
    order = np.random.default_rng(0).permutation(len(WHOLE))
    tiles = [WHOLE[n] for n in order] + [twice]
    with pytest.raises(StageError, match="not every tile once"):
        settle(write(tmp_path, tiles, 3), SLICES, tmp_path / "out")
