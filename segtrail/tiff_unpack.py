"""Unpacks the strips and tiles of a TIFF page: see `segtrail.tiff`."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

import cv2
import numpy as np

from segtrail.tiff_directory import HEIGHT, WIDTH
from segtrail.tiff_page import (
    BITS,
    BLACK_IS_ZERO,
    COMPRESSION,
    DEFLATE,
    DEFLATE_OLD,
    PHOTOMETRIC,
    ROWS_PER_STRIP,
    SAMPLES,
    STORED,
    STRIP_COUNTS,
    STRIP_OFFSETS,
)

_WIDEST = 1 << 20  # that OpenCV decodes


def unpack(packed: bytes, compression: int, size: int, full: int) -> bytes | None:
    """Returns at least `size` bytes, or None if there are fewer, or they are damaged.

    Args:
        packed: A segment as it lies in the file.
        compression: As the page's field says.
        size: Bytes of the segment's pixels.
        full: The same if it were as high as any other: some writers fill the last strip up.
    """
    if compression == STORED:
        return packed if len(packed) >= size else None
    if compression in (DEFLATE, DEFLATE_OLD):
        inflate = zlib.decompressobj()
        try:  # some writers fill the last strip up to its full height
            raw = inflate.decompress(packed, full + 1)
        except zlib.error:
            return None
        return raw if inflate.eof and size <= len(raw) <= full else None
    if size % 2 == 0:
        return _libtiff(packed, compression, size, 16)
    # Only 16-bit pixels are strict, and an odd number of bytes is none of those.
    strict = next(n for n in range(size - 1, -1, -2) if n == 0 or _shape(n // 2))
    if strict and _libtiff(packed, compression, strict, 16) is None:
        return None
    return _libtiff(packed, compression, size, 8)


def _shape(pixels: int) -> tuple[int, int] | None:
    """Returns height and width of an image of so many pixels that OpenCV decodes."""
    for height in range(1, math.isqrt(pixels) + 1):
        if pixels % height == 0 and pixels // height <= _WIDEST:
            return height, pixels // height
    return None


def _libtiff(packed: bytes, compression: int, size: int, bits: int) -> bytes | None:
    """Unpacks a segment as if it were a grey image, of which OpenCV tells errors at 16 bit."""
    shape = _shape(size * 8 // bits)
    if shape is None:
        return None
    height, width = shape
    padding = bytes(len(packed) % 2)
    fields = (
        (WIDTH, width), (HEIGHT, height), (BITS, bits), (COMPRESSION, compression),
        (PHOTOMETRIC, BLACK_IS_ZERO), (STRIP_OFFSETS, 8), (SAMPLES, 1),
        (ROWS_PER_STRIP, height), (STRIP_COUNTS, len(packed)),
    )  # fmt: skip
    directory = struct.pack("<H", len(fields)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields
    )
    header = b"II*\0" + struct.pack("<I", 8 + len(packed) + len(padding))
    file = b"".join((header, packed, padding, directory, bytes(4)))
    try:
        image: Any = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if image is None or image.shape != shape or image.dtype != f"uint{bits}":
        return None
    return bytes(image.astype(f"<u{bits // 8}").tobytes())
