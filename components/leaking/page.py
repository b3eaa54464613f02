"""The HTML page of leaks: one file with the pairs side by side, readable without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from components.ingestion.neighbours import (
    NEAR_DUPLICATE,
    NEIGHBOURING_CROP,
    OVERLAPPING_CROP,
    SAME_CONTENT,
    SAME_GROUP,
)
from segtrail.errors import DataError
from segtrail.html import data_uri, render_page
from segtrail.overlay import to_rgb

SIDE = 224
SHOWN = 200
_TEMPLATE = "page.html.jinja"
_SCORES = {
    SAME_CONTENT: "the same pixels",
    NEAR_DUPLICATE: "correlation of fine structure",
    OVERLAPPING_CROP: "part of the smaller image in common",
    NEIGHBOURING_CROP: "how much better the edges fit here than elsewhere",
    SAME_GROUP: "the ledger's own group",
}


@dataclass(frozen=True)
class Picture:
    """A thumbnail: a JPEG as a data URI, empty if it cannot be made, and its caption."""

    uri: str
    image: str
    split: str


@dataclass(frozen=True)
class Pair:
    """Two images side by side."""

    kind: str
    score: str
    meaning: str
    pictures: tuple[Picture, Picture]


def html(found: Any, pixels: Callable[[str], npt.NDArray[np.integer]], shown: int = SHOWN) -> str:
    """Returns the page; image names are escaped.

    Args:
        found: `components.leaks.Leaks`.
        pixels: Returns an image's pixels.
        shown: How many pairs have thumbnails; the page counts the others.
    """
    pairs = [
        Pair(
            kind=leak.kind,
            score=f"{leak.score:.3f}",
            meaning=_SCORES[leak.kind],
            pictures=(
                Picture(_uri(leak.first, pixels), leak.first, leak.first_split),
                Picture(_uri(leak.second, pixels), leak.second, leak.second_split),
            ),
        )
        for leak in found.leaks[:shown]
    ]
    return render_page("components.leaking", _TEMPLATE, found=found, pairs=pairs)


def _uri(image: str, pixels: Callable[[str], npt.NDArray[np.integer]]) -> str:
    try:
        rgb = to_rgb(pixels(image))
    except DataError:
        return ""
    height, width = rgb.shape[:2]
    ratio = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    small *= 230 / max(46.0, float(np.percentile(small, 99.5)))  # dark images are dark
    shown = cv2.cvtColor(small.clip(0, 255).astype(np.uint8), cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return data_uri("jpeg", encoded.tobytes())
