"""Reads one image with its masks and checks both."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from components.ingestion.archive import Source
from components.ingestion.dsb2018 import Item
from components.ingestion.problems import Problems
from segtrail.errors import DataError
from segtrail.images import MAX_LABEL, decode_image, image_size

# Masks may share this much: the fixed masks of the Data Science Bowl share up to 2 pixels,
# 0.6 % of the mask, in 5 of 609 images. The later mask wins, unless nothing would be left of
# another. More is one nucleus drawn twice.
SHARED_PIXELS = 4
SHARED_FRACTION = 0.01


@dataclass(frozen=True)
class Checked:
    """An image that may land.

    Attributes:
        id: Its name.
        image: The PNG file as delivered.
        pixels: uint8 `[H, W]`, `[H, W, 3]` or `[H, W, 4]`.
        labels: uint16 `[H, W]`, 0 background, objects 1..n in the order of their mask files.
        shared: The most pixels that one mask shares with those before it.
    """

    id: str
    image: bytes
    pixels: npt.NDArray[np.integer]
    labels: npt.NDArray[np.uint16]
    shared: int = 0


def read_item(source: Source, item: Item, problems: Problems) -> Checked | None:
    """Returns the image and its instance labels, or None after noting what is wrong."""
    before = len(problems)
    if len(item.masks) > MAX_LABEL:
        problems.add(
            f"{item.id}/masks",
            f"{len(item.masks):,} masks; a 16-bit label image holds {MAX_LABEL:,} objects",
            "cut the image into smaller fields",
        )
        return None
    read = _read_png(source, item.image, problems)
    if read is None:
        return None
    data, pixels = read
    labels = np.zeros(pixels.shape[:2], np.uint16)
    shared = 0
    for number, name in enumerate(item.masks, 1):
        shared = max(shared, _paint(source, name, number, labels, problems))
    if shared and len(problems) == before:
        _refuse_covered(item, labels, problems)
    return Checked(item.id, data, pixels, labels, shared) if len(problems) == before else None


def _refuse_covered(item: Item, labels: npt.NDArray[np.uint16], problems: Problems) -> None:
    """Notes masks of which later masks leave nothing."""
    left = np.bincount(labels.ravel(), minlength=len(item.masks) + 1)
    for number, name in enumerate(item.masks, 1):
        if not left[number]:
            problems.add(
                name,
                "each of its pixels is in a later mask too, and the later mask wins: nothing "
                "would be left of it",
                "draw each nucleus once, without overlap",
            )


def _read_png(
    source: Source, name: str, problems: Problems, size: tuple[int, int] | None = None
) -> tuple[bytes, npt.NDArray[np.integer]] | None:
    """Reads an 8-bit PNG, of `size` (height, width) if given."""
    try:
        data = source.read(name)
        height, width = image_size(data, name)
        if not data.startswith(b"\x89PNG"):
            problems.add(name, "not a PNG file, whatever its name says", "convert it to PNG")
            return None
        if size and (height, width) != size:
            problems.add(
                name,
                f"expected {size[1]}x{size[0]} pixels like its image, found {width}x{height}",
                "export the mask at the image's size",
            )
            return None
        pixels = decode_image(data, name)
    except DataError as e:
        problems.add(name, e.message.removeprefix(f"{name}: "), e.hint or "")
        return None
    if pixels.dtype != np.uint8:
        problems.add(name, "expected 8 bits a channel, found 16", "export it as 8-bit PNG")
        return None
    return data, pixels


def _paint(
    source: Source, name: str, number: int, labels: npt.NDArray[np.uint16], problems: Problems
) -> int:
    """Writes `number` into `labels` where the mask is 255; returns how many were taken."""
    height, width = labels.shape
    read = _read_png(source, name, problems, (height, width))
    if read is None:
        return 0
    mask = read[1]
    if mask.ndim != 2:
        problems.add(
            name,
            f"expected a grey mask, found {mask.shape[2]} channels",
            "export it as 8-bit grey",
        )
        return 0
    left, top, wide, high = cv2.boundingRect(mask)
    if not wide:
        problems.add(
            name, "all black: expected one nucleus drawn in 255, found none", "take it out"
        )
        return 0
    box = (slice(top, top + high), slice(left, left + wide))
    drawn, area = mask[box] == 255, cv2.countNonZero(mask)
    if np.count_nonzero(drawn) != area:
        other = sorted({int(v) for v in np.unique(mask)} - {0, 255})
        problems.add(
            name,
            f"expected 0 and 255 only, found {', '.join(map(str, other[:5]))}"
            + (" …" if len(other) > 5 else ""),
            "threshold the mask",
        )
        return 0
    region = labels[box]
    shared = int(np.count_nonzero(region[drawn]))
    if shared > max(SHARED_PIXELS, SHARED_FRACTION * area):
        problems.add(
            name,
            f"shares {shared} of its {area} pixels with masks before it; at most "
            f"{SHARED_FRACTION:.0%} or {SHARED_PIXELS} pixels may be shared",
            "draw each nucleus once, without overlap",
        )
    region[drawn] = number
    return shared
