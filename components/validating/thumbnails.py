"""Small pictures of images with the outline of their masks, and rings about tiny objects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError
from segtrail.files import sha256_bytes
from segtrail.images import decode_image, read_labels
from segtrail.overlay import PREDICTED, TRUE, to_rgb
from segtrail.settings.dataset import MaskKind
from segtrail.task import class_planes, own_places

SIDE = 192
RING = PREDICTED
_QUALITY = 85
_RADIUS = 7  # pixels of the thumbnail, about an object that is a point there
_RINGS = 50


@dataclass(frozen=True)
class Tiny:
    """Which objects are too small to be seen in a thumbnail.

    Attributes:
        masks: What the values of masks are.
        classes: How many classes there are.
        below: Objects of fewer pixels get a ring.
    """

    masks: MaskKind
    classes: int
    below: int


def write(
    images: Iterable[str],
    digests: Mapping[str, tuple[str, str]],
    data: Path,
    folder: Path,
    tiny: Tiny | None = None,
) -> dict[str, str]:
    """Writes a thumbnail of each image that is still there as it was.

    Args:
        images: Ids.
        digests: SHA-256 of each image's file and of its mask's.
        data: The dataset's folder.
        folder: Where to put them; made if need be.
        tiny: Objects to put a ring about.

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
        jpeg = thumbnail(pixels, mask, tiny)
        name = f"{sha256_bytes(of_image.encode() + of_mask.encode())[:32]}.jpg"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg)
        out[image] = name
    return out


def thumbnail(
    pixels: npt.NDArray[np.integer],
    mask: npt.NDArray[np.uint16] | None = None,
    tiny: Tiny | None = None,
) -> bytes:
    """Returns a JPEG, its longest side at most 192, with the mask's values outlined in green.

    Args:
        pixels: uint8 or uint16, `[H, W]` or `[H, W, C]`.
        mask: uint16 `[H, W]`, whatever its values mean; left out if it has another size.
        tiny: Objects of the mask to put a magenta ring about, at most fifty.
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
        for (row, column), pixel_count in tiny_objects(mask, tiny) if tiny else ():
            centre = int((column + 0.5) * size[0] / width), int((row + 0.5) * size[1] / height)
            radius = _RADIUS + math.ceil(scale * math.sqrt(pixel_count))
            cv2.circle(small, centre, radius, RING, 1, cv2.LINE_AA)
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    if not done:
        raise ValueError(f"OpenCV could not encode an array of shape {small.shape}")
    return bytes(encoded.tobytes())


def tiny_objects(mask: npt.NDArray[np.uint16], tiny: Tiny) -> list[tuple[tuple[float, float], int]]:
    """Returns the centre (row, column) and the pixels of each tiny object, the first fifty.

    What an object is, `segtrail.image_statistics.mask_statistics` says.
    """
    found: list[tuple[tuple[float, float], int]] = []
    for labels in _numbered(mask, tiny):
        sizes = np.bincount(labels.ravel())
        sizes[:1] = 0
        for number in np.flatnonzero((sizes > 0) & (sizes < tiny.below))[: _RINGS - len(found)]:
            rows, columns = np.nonzero(labels == number)
            found.append(((float(rows.mean()), float(columns.mean())), int(sizes[number])))
    return found


def _numbered(mask: npt.NDArray[np.uint16], tiny: Tiny) -> Iterator[npt.NDArray[np.integer]]:
    if tiny.masks == "instances":
        yield mask
        return
    planes = class_planes(mask, tiny.masks, own_places(tiny.classes))
    for k in range(tiny.classes):
        yield cv2.connectedComponents(planes[..., k].astype(np.uint8), connectivity=8)[1]


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
