"""Decodes images and label images that nobody vouches for, and encodes PNG."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segtrail import tiff
from segtrail.errors import DataError
from segtrail.image_files import (
    BMP,
    JPEG,
    PNG,
    BmpHeader,
    check_png,
    jpeg_frame,
    png_values,
)
from segtrail.tiff_directory import MAGIC as TIFF
from segtrail.tiff_directory import TiffFile, page_size

# What OpenCV would print about a broken file, the errors here say.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

MAX_PIXELS = 1 << 26  # 8192 x 8192: a decoded RGBA image of this size takes 256 MiB
MAX_LABEL = 65_535

_FORMATS = "PNG, JPEG, BMP or TIFF"


def image_size(data: bytes, name: str, page: int = 0) -> tuple[int, int]:
    """Returns `(height, width)` from the header, before anything is decoded.

    Args:
        data: A PNG, JPEG, BMP or TIFF file.
        name: What to call it in messages.
        page: Which page of a TIFF, from 0.

    Raises:
        DataError: Not one of these formats, the header is cut short, or no such page.
    """
    with _header_errors(data, name):
        if data.startswith(PNG):
            if data[12:16] != b"IHDR":
                raise DataError(f"{name}: a PNG file without its header chunk (IHDR)")
            width, height = struct.unpack(">II", data[16:24])
        elif data.startswith(JPEG):
            height, width = jpeg_frame(data).size
        elif data.startswith(BMP):
            bmp = BmpHeader.of(data)
            height, width = bmp.height, bmp.width
        elif data.startswith(TIFF):
            height, width = page_size(data, name, page)
        else:
            raise DataError(
                f"{name}: not an image: it starts with {data[:12]!r}; expected {_FORMATS}",
                "replace the file by the image, or take it out",
            )
    if height < 1 or width < 1:
        raise DataError(f"{name}: its header says {width}x{height} pixels")
    if page and not data.startswith(TIFF):
        raise DataError(f"{name}: no page {page + 1}: it is not a TIFF and has one image")
    return height, width


def page_count(data: bytes, name: str) -> int:
    """Returns how many images a file holds: the pages of a TIFF; else 1.

    Raises:
        DataError: The chain of a TIFF's pages is damaged.
    """
    if not data.startswith(TIFF):
        return 1
    with _header_errors(data, name):
        return TiffFile.of(data).page_count(name)


def decode_image(
    data: bytes, name: str, max_pixels: int = MAX_PIXELS, page: int = 0
) -> npt.NDArray[np.integer]:
    """Decodes one image. Orientation tags and colour profiles are not applied.

    A palette is looked up; grey of 1, 2 or 4 bits is stretched to 0..255; grey with alpha
    becomes RGBA. A file that is cut short is refused, and so is one that is damaged where its
    format tells: a JPEG and a BMP have no checksums.

    Args:
        data: A PNG, JPEG, BMP or TIFF file.
        name: What to call it in messages.
        max_pixels: Refused above this, by the header, before any memory is taken.
        page: Which page of a TIFF, from 0.

    Returns:
        uint8 or uint16, `[H, W]` if grey, `[H, W, 3]` RGB or `[H, W, 4]` RGBA.

    Raises:
        DataError: Not an image, cut short, damaged, too large, or of another depth.
    """
    return _decode(data, name, max_pixels, page, stored=False)


def decode_values(
    data: bytes, name: str, max_pixels: int = MAX_PIXELS, page: int = 0
) -> npt.NDArray[np.integer]:
    """Decodes a label map: like `decode_image`, but the numbers as they are stored.

    That is a palette's indices, not its colours, and grey of 1, 2 or 4 bits as 0..1, 0..3 or
    0..15. Colour images come as they are; it is for the caller to refuse them.

    Raises:
        DataError: See `decode_image`.
    """
    return _decode(data, name, max_pixels, page, stored=True)


def read_labels(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint16]:
    """Decodes a grey image whose values are ids or classes.

    Returns:
        uint16 `[H, W]`, the values as stored.

    Raises:
        DataError: See `decode_image`; or the image has colours.
    """
    labels = decode_image(data, name, max_pixels)
    if labels.ndim != 2:
        raise DataError(
            f"{name}: a label image must be grey, one value a pixel; "
            f"found {labels.shape[2]} channels"
        )
    return labels.astype(np.uint16)


def encode_png(array: npt.NDArray[np.integer]) -> bytes:
    """Encodes uint8 or uint16 `[H, W]`, `[H, W, 3]` RGB or `[H, W, 4]` RGBA as PNG.

    The pixels come back as they were; the bytes may differ between builds of OpenCV. For
    bytes that never differ, see `segtrail.png`.
    """
    if array.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16 pixels; received {array.dtype}")
    shapes = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not shapes or not array.size:
        raise ValueError(f"expected [H, W], [H, W, 3] or [H, W, 4]; received {array.shape}")
    image = np.ascontiguousarray(array)
    if image.ndim == 3 and image.shape[2] > 1:
        code = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        image = cv2.cvtColor(image, code)
    done, encoded = cv2.imencode(".png", image)
    if not done:
        raise ValueError(f"OpenCV could not encode an array of shape {array.shape}")
    return bytes(encoded.tobytes())


def _decode(
    data: bytes, name: str, max_pixels: int, page: int, stored: bool
) -> npt.NDArray[np.integer]:
    height, width = image_size(data, name, page)
    if height * width > max_pixels:
        raise DataError(
            f"{name}: {width}x{height} pixels by its header; at most {max_pixels:,} are read",
            "cut the image into smaller fields",
        )
    if data.startswith(TIFF):
        with _header_errors(data, name):
            return tiff.decode(data, name, max_pixels, page, stored)
    stretch = 1
    if data.startswith(PNG):
        check_png(data, name)
        if stored:
            data, stretch = png_values(data)
    elif data.startswith(JPEG):
        jpeg_frame(data).check(name)
    else:
        bmp = BmpHeader.of(data)
        bmp.check(data, name)
        data = bmp.plain(data, stored)
    image = _opencv(data, name)
    if image.shape[:2] != (height, width):
        raise DataError(
            f"{name}: {width}x{height} by its header, {image.shape[1]}x{image.shape[0]} decoded"
        )
    if image.ndim == 2:
        return image if stretch == 1 else image // stretch
    if image.shape[2] not in (3, 4):
        raise DataError(f"{name}: {image.shape[2]} channels; expected grey, RGB or RGBA")
    swap = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return np.asarray(cv2.cvtColor(image, swap))


def _opencv(data: bytes, name: str) -> npt.NDArray[np.integer]:
    try:
        image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as e:
        raise DataError(f"{name}: cannot be decoded: {e.err}") from None
    if image is None:
        raise DataError(f"{name}: cannot be decoded: damaged, cut short, or an unknown variant")
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{name}: pixels of type {image.dtype}; expected 8 or 16 bit, unsigned")
    return np.asarray(image)


@contextlib.contextmanager
def _header_errors(data: bytes, name: str) -> Iterator[None]:
    """Says of a header that ends too early, or is nonsense, what a person can use."""
    if not data:
        raise DataError(f"{name}: the file is empty; expected {_FORMATS}")
    try:
        yield
    except (struct.error, IndexError, KeyError, OverflowError):
        raise DataError(
            f"{name}: its header is damaged, or cut short after {len(data):,} bytes"
        ) from None
