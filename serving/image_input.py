"""The images that are given to a client, and the bytes of them that a server decodes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError

Image = bytes | bytearray | memoryview | str | os.PathLike[str] | npt.NDArray[np.integer[Any]]

THE_IMAGE = "the image"  # what one without a path is called that is asked for alone
MAX_PIXELS = 120_000_000  # that are decoded here: 10,000 by 10,000, and some more

# TensorFlow has no TIFF decoder, and takes the indices of a BMP's palette for its pixels.
_RECODED = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM")


def name_of(image: Image, otherwise: str) -> str:
    """Returns what to call an image in messages: its path, if it has one."""
    return os.fsdecode(image) if isinstance(image, str | os.PathLike) else otherwise


def encoded(image: Image, name: str) -> bytes:
    """Returns an image as a server decodes it: what is encoded stays; TIFF and BMP become PNG.

    Args:
        image: Bytes of a PNG, JPEG, BMP or TIFF; the path of one; or pixels, uint8 or uint16,
            `[H, W]`, `[H, W, 3]` RGB or `[H, W, 4]` RGBA.
        name: What to call it in messages.

    Raises:
        DataError: It is not one image; a server would refuse the whole request.
    """
    from segtrail.images import encode_png, image_size

    if isinstance(image, np.ndarray):
        try:
            return encode_png(image)
        except ValueError as e:
            raise DataError(f"{name}: {e}") from None
    data = _read(image, name)
    if data.startswith(_RECODED):
        return encode_png(decoded(data, name))
    image_size(data, name)
    return data


def decoded(data: bytes, name: str) -> npt.NDArray[np.integer[Any]]:
    """Returns the pixels of a file of one image: see `segtrail.images.decode_image`.

    Raises:
        DataError: See there; or it is a TIFF of several pages.
    """
    from segtrail.images import decode_image, page_count

    if (pages := page_count(data, name)) > 1:
        raise DataError(
            f"{name}: a TIFF of {pages} pages; expected one image",
            "ask for each page by itself: save the pages as files (tiffsplit does it), or give "
            "the client their pixels",
        )
    return decode_image(data, name, MAX_PIXELS)


def pixels_of(data: bytes, name: str) -> int:
    """Returns how many pixels an encoded image has, by its header."""
    from segtrail.images import image_size

    height, width = image_size(data, name)
    return height * width


def _read(image: Any, name: str) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, bytearray | memoryview):
        return bytes(image)
    if not isinstance(image, str | os.PathLike):
        kind = type(image)
        hint = "give numpy.asarray(image)" if hasattr(image, "__array_interface__") else None
        raise DataError(
            f"{name}: expected an image's path, its bytes or an array of its pixels; received "
            f"{kind.__module__}.{kind.__qualname__}".replace("builtins.", ""),
            hint,
        )
    try:
        return Path(os.fsdecode(image)).read_bytes()
    except OSError as e:
        raise DataError(f"{name}: cannot be read: {e.strerror}") from None
    except ValueError as e:  # a zero byte in it
        raise DataError(f"{name!a}: cannot be read: {e}") from None
