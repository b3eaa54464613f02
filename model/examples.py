"""The canonical example: one image and its mask as a `tf.train.Example`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model import example_pb2
from segtrail.tfrecord import read_records

IMAGE_ID, IMAGE_BYTES, MASK_BYTES = "image/id", "image/encoded", "mask/encoded"
SLICE, GROUP = "image/slice", "image/group"


@dataclass(frozen=True)
class Example:
    """One image and its mask, the bytes as they lie in the dataset.

    What the mask's values mean is its dataset's to say: see `segtrail.task`.

    Args:
        image: The image's id in its dataset.
        image_bytes: The encoded image.
        mask_bytes: Grey PNG, 8 or 16 bit, 0 background.
        slice: What people call this kind of image.
        group: Images of one group are in one split.
    """

    image: str
    image_bytes: bytes
    mask_bytes: bytes
    slice: str
    group: str

    def serialize(self) -> bytes:
        """Returns the bytes of a `tf.train.Example`, the same for the same content."""
        values = {
            IMAGE_ID: self.image.encode(),
            IMAGE_BYTES: self.image_bytes,
            MASK_BYTES: self.mask_bytes,
            SLICE: self.slice.encode(),
            GROUP: self.group.encode(),
        }
        feature = {
            key: example_pb2.Feature(bytes_list=example_pb2.BytesList(value=[value]))
            for key, value in values.items()
        }
        example = example_pb2.Example(features=example_pb2.Features(feature=feature))
        return example.SerializeToString(deterministic=True)

    @classmethod
    def parse(cls, data: bytes) -> Example:
        """Reads what `serialize` wrote."""
        feature = example_pb2.Example.FromString(data).features.feature

        def get(key: str) -> bytes:
            value: bytes = feature[key].bytes_list.value[0]
            return value

        return cls(
            get(IMAGE_ID).decode(), get(IMAGE_BYTES), get(MASK_BYTES),
            get(SLICE).decode(), get(GROUP).decode(),
        )  # fmt: skip


def read_examples(path: Path) -> Iterator[Example]:
    """Yields the examples of one TFRecord.

    Raises:
        DataError: The file is damaged.
    """
    for record in read_records(path):
        yield Example.parse(record)
