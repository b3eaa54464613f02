"""Looks at encoded images before they cost anything: what a session would find out too late."""

from __future__ import annotations

from collections.abc import Iterable

from segtrail.errors import DataError
from segtrail.image_files import PNG, check_png
from segtrail.images import image_size
from serving.embedded.refusal import INVALID_ARGUMENT, Refusal
from serving.image_input import MAX_PIXELS

IMAGES = "image_bytes"  # the input that holds encoded images, by the model's contract
_DECODED = (PNG, b"\xff\xd8\xff", b"BM")


def check_images(rows: Iterable[bytes], max_pixels: int = MAX_PIXELS) -> None:
    """Refuses what is no image, cut short, damaged, or too large by its header.

    A session decodes all images of a batch or none: one bad image fails its neighbours', and
    one whose header lies takes their memory. A JPEG has no checksum; what is damaged inside of
    it is found by the decoder.

    Args:
        rows: Encoded images.
        max_pixels: At most so many in one image.

    Raises:
        Refusal: INVALID_ARGUMENT; says which image it was.
    """
    for number, data in enumerate(rows):
        name = f"{IMAGES}[{number}]"
        try:
            if not data.startswith(_DECODED):
                raise DataError(
                    f"{name}: not an image: it starts with {data[:12]!r}; "
                    "expected PNG, JPEG or BMP (Unknown image file format)"
                )
            height, width = image_size(data, name)
            if height * width > max_pixels:
                raise DataError(
                    f"{name}: {width}x{height} pixels by its header; at most {max_pixels:,} "
                    "are read"
                )
            if data.startswith(PNG):
                check_png(data, name)
        except DataError as e:
            raise Refusal(INVALID_ARGUMENT, " ".join(e.message.split())) from None
