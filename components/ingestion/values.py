"""What values a mask holds, and whether they are the ones it may hold."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np
import numpy.typing as npt

from components.ingestion.archive import Source
from components.ingestion.reading import read_values
from segtrail.errors import DataError
from segtrail.images import decode_values
from segtrail.settings.dataset import Limits

_SHOWN = 5


def count_values(values: npt.NDArray[np.integer]) -> dict[int, int]:
    """Returns how many pixels have each value, by value; uint8 or uint16 `[H, W]`."""
    size = 256 if values.dtype == np.uint8 else 65_536
    counts = cv2.calcHist([values], [0], None, [size], [0, size]).ravel()
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}


def require_values(
    values: npt.NDArray[np.integer], allowed: Collection[int], name: str, expected: str, hint: str
) -> dict[int, int]:
    """Returns how many pixels have each value.

    Args:
        values: uint8 or uint16 `[H, W]`.
        allowed: The values that a mask may have.
        name: Of the file.
        expected: What messages call the allowed values.
        hint: What to do about others.

    Raises:
        DataError: There are others; names the first and says how many pixels have them.
    """
    counts = count_values(values)
    others = {value: n for value, n in counts.items() if value not in allowed}
    if others:
        raise DataError(f"{name}: expected {expected}, found {describe(others)}", hint)
    return counts


def describe(counts: dict[int, int]) -> str:
    """Returns values and how many pixels have them, for messages."""
    pixels = sum(counts.values())
    shown = ", ".join(map(str, sorted(counts)[:_SHOWN])) + (" …" if len(counts) > _SHOWN else "")
    return f"{shown} in {pixels:,} pixel{'' if pixels == 1 else 's'}"


def read_label_map(
    source: Source, name: str, size: tuple[int, int], limits: Limits, page: int = 0
) -> npt.NDArray[np.integer]:
    """Reads a mask whose numbers count as they are stored; see `read_values`.

    Annotation tools save label maps with a palette: a pixel's number is the index of its class,
    and the colours are only for the eye.

    Raises:
        DataError: As `read_values`; or it is a JPEG, which does not keep numbers.
    """
    data = source.read(name)
    if data.startswith(b"\xff\xd8"):
        raise DataError(
            f"{name}: a mask saved as JPEG, which changes its values",
            "export it again as PNG or TIFF; a converted JPEG is no better",
        )
    values = decode_values(data, name, limits.megapixels * 1_000_000, page)
    if values.shape == size:
        return values
    return read_values(source, name, size, limits, page)  # grey saved as RGB, or what is wrong
