"""Small pictures of images with the outline of their masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError
from segtrail.files import sha256_bytes
from segtrail.images import decode_image, read_labels
from segtrail.overlay import TRUE, to_rgb

SIDE = 192
_QUALITY = 85


def write(
    images: Iterable[str], digests: Mapping[str, tuple[str, str]], data: Path, folder: Path
) -> dict[str, str]:
    """Writes a thumbnail of each image that is still there as it was.

    Args:
        images: Ids.
        digests: SHA-256 of each image's file and of its mask's.
        data: The dataset's folder.
        folder: Where to put them; made if need be.

    Returns:
        The file name of each thumbnail by image; without those that could not be made, because
        the data is not there, or is another by now, or cannot be decoded.
    """
    out = {}
    for image in images:
        if image not in digests:
            continue
        of_image, of_mask = digests[image]
        pixels = _read(data / "images", image, of_image)
        if pixels is None:
            continue
        mask = _read(data / "masks", image, of_mask, labels=True)
        jpeg = thumbnail(pixels, mask)
        name = f"{sha256_bytes(of_image.encode() + of_mask.encode())[:32]}.jpg"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg)
        out[image] = name
    return out


def thumbnail(pixels: npt.NDArray[np.integer], mask: npt.NDArray[np.uint16] | None = None) -> bytes:
    """Returns a JPEG, its longest side at most 192, with the mask's values outlined in green.

    Args:
        pixels: uint8 or uint16, `[H, W]` or `[H, W, C]`.
        mask: uint16 `[H, W]`, whatever its values mean; left out if it has another size.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small: npt.NDArray[Any] = cv2.resize(to_rgb(pixels), size, interpolation=cv2.INTER_AREA)
    if mask is not None and mask.shape == (height, width):
        labels = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        edge = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, cross) > 0
        small[edge & (labels > 0)] = TRUE
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    if not done:
        raise ValueError(f"OpenCV could not encode an array of shape {small.shape}")
    return bytes(encoded.tobytes())


def _read(folder: Path, image: str, digest: str, labels: bool = False) -> Any:
    path = folder / f"{image}.png"
    try:
        if path.parent != folder:  # an id is a file name, nothing else
            return None
        content = path.read_bytes()
        if sha256_bytes(content) != digest:
            return None
        return read_labels(content, image) if labels else decode_image(content, image)
    except (OSError, ValueError, DataError):
        return None
