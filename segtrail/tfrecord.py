"""TFRecord files, read and written without the seconds that importing TensorFlow takes.

The format is TensorFlow's (`tensorflow/core/lib/io/record_writer.h`): for each record its length,
the length's checksum, the record and its checksum; a checksum is a masked CRC-32C.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import google_crc32c

from segtrail.errors import DataError

HEADER = struct.Struct("<QI")  # length of the record, checksum of these eight bytes
CHECKSUM = struct.Struct("<I")  # of the record, after it
_LENGTH = struct.Struct("<Q")


def read_records(path: Path) -> Iterator[bytes]:
    """Yields the records of a file in their order.

    Raises:
        DataError: The file ends within a record, or a checksum does not fit.
    """
    with open(path, "rb") as file:
        left = os.fstat(file.fileno()).st_size
        number = 0
        while header := file.read(HEADER.size):
            number += 1
            left -= HEADER.size + CHECKSUM.size
            if left < 0:
                raise _damaged(path, number, "the file ends within it")
            size, checksum = HEADER.unpack(header)
            if _masked(header[: _LENGTH.size]) != checksum:
                raise _damaged(path, number, "the checksum of its length does not fit")
            left -= size
            if left < 0:
                raise _damaged(path, number, "the file ends within it")
            record = file.read(size)
            if CHECKSUM.unpack(file.read(CHECKSUM.size)) != (_masked(record),):
                raise _damaged(path, number, "its checksum does not fit")
            yield record


@contextmanager
def records_to(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Opens a new file for the time of the block; yields what appends a record to it."""
    with open(path, "wb") as file:

        def write(record: bytes) -> None:
            length = _LENGTH.pack(len(record))
            file.write(length + CHECKSUM.pack(_masked(length)))
            file.write(record)
            file.write(CHECKSUM.pack(_masked(record)))

        yield write


def _masked(data: bytes) -> int:
    """Returns the CRC-32C of `data`, masked as TensorFlow does it."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _damaged(path: Path, number: int, why: str) -> DataError:
    return DataError(
        f"{path}: record {number} is damaged: {why}",
        "make the file anew: delete it and run the stage that writes it, or segtrail retrain",
    )
