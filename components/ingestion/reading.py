"""Reads an image of a delivery and brings it into the form in which it lands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.ingestion import grey_png
from components.ingestion.archive import Source
from segtrail import png
from segtrail.errors import DataError
from segtrail.files import sha256_bytes
from segtrail.images import decode_image
from segtrail.settings.dataset import Limits

MAX_TABLE = 32 << 20  # bytes; as Python's rows they take up to 40 times as much
_PNG = b"\x89PNG"


@dataclass(frozen=True)
class Delivered:
    """An image that was delivered.

    Attributes:
        png: The file that lands: a PNG as delivered, byte for byte; else a PNG of the same
            pixels at the same depth.
        pixels: uint8 or uint16; `[H, W]`, `[H, W, 3]` RGB or `[H, W, 4]` RGBA.
        sha256: Of the file as delivered.
    """

    png: bytes
    pixels: npt.NDArray[np.integer]
    sha256: str


def read_text(source: Source, name: str) -> str:
    """Reads a CSV file of a delivery as text, UTF-8.

    Raises:
        DataError: It cannot be read, is too large, or is no UTF-8; begins with its name.
    """
    data = source.read(name)
    if len(data) > MAX_TABLE:
        raise DataError(f"{name}: {len(data):,} bytes; at most {MAX_TABLE:,} are read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise DataError(f"{name}: not UTF-8: {e}", "save it as CSV in UTF-8") from None


def read_image(source: Source, name: str, page: int, limits: Limits) -> Delivered:
    """Reads a PNG, JPEG, BMP or TIFF; what it is, the first bytes say, not its name.

    Raises:
        DataError: It cannot be read or decoded, is too large, or has no such page.
    """
    data = source.read(name)
    pixels = decode_image(data, name, limits.megapixels * 1_000_000, page)
    kept = data if data.startswith(_PNG) else png.encode(pixels)
    return Delivered(kept, pixels, sha256_bytes(data))


def read_values(
    source: Source, name: str, size: tuple[int, int], limits: Limits, page: int = 0
) -> npt.NDArray[np.integer]:
    """Reads a grey mask of its image's size, the values as they are stored.

    Returns:
        uint8 or uint16 `[H, W]`. An RGB or RGBA file counts as grey if its colours are equal
        and it is opaque.

    Raises:
        DataError: It cannot be read or decoded, has colours, or another size.
    """
    data, most = source.read(name), limits.megapixels * 1_000_000
    values: npt.NDArray[np.integer] | None = grey_png.decode(data, most)
    if values is None:
        values = decode_image(data, name, most, page)
    if values.shape[:2] != size:
        raise DataError(
            f"{name}: expected {size[1]}x{size[0]} pixels like its image, found "
            f"{values.shape[1]}x{values.shape[0]}",
            "export the mask at the image's size",
        )
    if values.ndim == 3:
        grey = values[..., 0]
        opaque = values.shape[2] == 3 or bool((values[..., 3] == np.iinfo(values.dtype).max).all())
        if not opaque or (values[..., :3] != grey[..., None]).any():
            raise DataError(
                f"{name}: expected a grey mask, found {values.shape[2]} channels that differ",
                "export it as grey, one value a pixel",
            )
        values = grey
    return values
