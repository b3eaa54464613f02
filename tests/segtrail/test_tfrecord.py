"""TFRecords without TensorFlow: the same bytes, and damage is told."""

from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from segtrail.errors import DataError
from segtrail.tfrecord import read_records, records_to

RECORDS = [b"one", b"", b"three" * 1000]


def written(path: Path, records: list[bytes]) -> Path:
    with records_to(path) as write:
        for record in records:
            write(record)
    return path


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_tensorflow_writes_the_same_bytes(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("records")
    with tf.io.TFRecordWriter(str(folder / "theirs")) as writer:
        for record in records:
            writer.write(record)
    ours = written(folder / "ours", records)
    assert ours.read_bytes() == (folder / "theirs").read_bytes()
    assert list(read_records(ours)) == records


@pytest.mark.parametrize(
    ("at", "says"),
    [
        (1, "record 1 .* checksum of its length"),
        (9, "record 1 .* checksum of its length"),
        (13, "record 1 is damaged: its checksum"),
        (40, "record 3 .* checksum of its length"),
        (-1, "record 3 is damaged: its checksum"),
    ],
)
def test_a_changed_byte_is_told(tmp_path, at, says):
    path = written(tmp_path / "x", RECORDS)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=says):
        list(read_records(path))


@pytest.mark.parametrize("left", [1, 12, 17, 40, 1000])
def test_a_file_that_was_cut_off_is_told(tmp_path, left):
    path = written(tmp_path / "x", RECORDS)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(DataError, match=r"x: record \d is damaged: the file ends within it"):
        list(read_records(path))
