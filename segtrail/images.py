"""Decodes images and label images that nobody vouches for, and encodes PNG."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError

MAX_PIXELS = 1 << 26  # 8192 x 8192: a decoded RGBA image of this size takes 256 MiB
MAX_LABEL = 65_535

_PNG = b"\x89PNG\r\n\x1a\n"
_FORMATS = "PNG, JPEG, BMP or TIFF"


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """Returns `(height, width)` from the header, before anything is decoded.

    Args:
        data: A PNG, JPEG, BMP or TIFF file.
        name: What to call it in messages.

    Raises:
        DataError: Not one of these formats, or the header is cut short.
    """
    if not data:
        raise DataError(f"{name}: the file is empty; expected {_FORMATS}")
    try:
        if data.startswith(_PNG):
            if data[12:16] != b"IHDR":
                raise DataError(f"{name}: a PNG file without its header chunk (IHDR)")
            width, height = struct.unpack(">II", data[16:24])
        elif data.startswith(b"\xff\xd8\xff"):
            height, width = _jpeg_size(data)
        elif data.startswith(b"BM"):
            height, width = _bmp_size(data)
        elif data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            height, width = _tiff_size(data)
        else:
            raise DataError(
                f"{name}: not an image: it starts with {data[:12]!r}; expected {_FORMATS}",
                "replace the file by the image, or take it out",
            )
    except (struct.error, IndexError, KeyError, OverflowError):
        raise DataError(f"{name}: its header is cut short after {len(data)} bytes") from None
    if height < 1 or width < 1:
        raise DataError(f"{name}: its header says {width}x{height} pixels")
    return height, width


def decode_image(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.integer]:
    """Decodes one image. Orientation tags and colour profiles are not applied.

    Args:
        data: A PNG, JPEG, BMP or TIFF file (of several pages, the first).
        name: What to call it in messages.
        max_pixels: Refused above this, by the header, before any memory is taken.

    Returns:
        uint8 or uint16, `[H, W]` if grey, `[H, W, 3]` RGB or `[H, W, 4]` RGBA.

    Raises:
        DataError: Not an image, cut short, damaged, too large, or of another depth.
    """
    height, width = image_size(data, name)
    if height * width > max_pixels:
        raise DataError(
            f"{name}: {width}x{height} pixels by its header; at most {max_pixels:,} are read",
            "cut the image into smaller fields",
        )
    if data.startswith(_PNG):
        _check_png(data, name)
    try:
        image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as e:
        raise DataError(f"{name}: cannot be decoded: {e.err}") from None
    if image is None:
        raise DataError(f"{name}: cannot be decoded: damaged, cut short, or an unknown variant")
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{name}: pixels of type {image.dtype}; expected 8 or 16 bit, unsigned")
    if image.shape[:2] != (height, width):
        raise DataError(
            f"{name}: {width}x{height} by its header, {image.shape[1]}x{image.shape[0]} decoded"
        )
    if image.ndim == 3:
        if image.shape[2] == 3:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        elif image.shape[2] == 4:
            image = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
        else:
            raise DataError(f"{name}: {image.shape[2]} channels; expected grey, RGB or RGBA")
    return image


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
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ValueError(f"expected [H, W], [H, W, 3] or [H, W, 4]; received {array.shape}")
    image = np.ascontiguousarray(array)
    if image.ndim == 3 and image.shape[2] > 1:
        code = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        image = cv2.cvtColor(image, code)
    done, encoded = cv2.imencode(".png", image)
    if not done:
        raise ValueError(f"OpenCV could not encode an array of shape {array.shape}")
    return bytes(encoded.tobytes())


def _check_png(data: bytes, name: str) -> None:
    """Refuses a PNG that is cut short or damaged: OpenCV would fill the rest with black."""
    at = len(_PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise DataError(f"{name}: damaged: the checksum of its {kind!r} chunk is wrong")
        if kind == b"IEND":
            return
        at = end
    raise DataError(
        f"{name}: cut short: the PNG ends after {len(data)} bytes without its last chunk",
        "copy the file again from where it came",
    )


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while True:
        if data[at] != 0xFF:
            raise KeyError("marker")
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return height, width
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length
            at += 2
            continue
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        at += 2 + length


def _bmp_size(data: bytes) -> tuple[int, int]:
    (header,) = struct.unpack("<I", data[14:18])
    if header == 12:
        width, height = struct.unpack("<HH", data[18:22])
    else:
        width, height = struct.unpack("<ii", data[18:26])
    return abs(height), width


def _tiff_size(data: bytes) -> tuple[int, int]:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    at_format, count_format, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    (at,) = struct.unpack_from(order + at_format, data, 8 if big else 4)
    (count,) = struct.unpack_from(order + count_format, data, at)
    at += struct.calcsize(count_format)
    found: dict[int, int] = {}
    for _ in range(min(count, 4096)):
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if tag in (256, 257):  # ImageWidth, ImageLength
            value = {3: "H", 4: "I", 16: "Q"}[kind]
            (found[tag],) = struct.unpack_from(order + value, data, at + (12 if big else 8))
        at += entry
    return found[257], found[256]
