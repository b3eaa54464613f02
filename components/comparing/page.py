"""The HTML page of a comparison: one file, readable without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lineage.data_snapshot import IMAGES, MASKS, PNG, Snapshot
from segtrail import overlay
from segtrail.errors import DataError, LineageError
from segtrail.html import data_uri, render_page
from segtrail.images import decode_image, encode_png, read_labels

SIDE = 256  # pixels of a thumbnail's shorter side; `overlay.draw` doubles what is smaller
LONGEST = 3 * SIDE
_TEMPLATE = "page.html.jinja"
Labels = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Picture:
    """A thumbnail.

    Attributes:
        uri: A PNG as a data URI; empty if it cannot be made.
        caption: What it shows, or why it is missing.
    """

    uri: str
    caption: str


@dataclass(frozen=True)
class Card:
    """One image that differs.

    Attributes:
        image: Its id.
        note: A few words.
        pictures: Before, after, or both.
    """

    image: str
    note: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Section:
    """The images that differ in one way.

    Attributes:
        title: In which.
        count: How many there are.
        cards: Those that are shown.
    """

    title: str
    count: int
    cards: tuple[Card, ...]


def render(**context: Any) -> str:
    """Returns the page; whatever the context holds is escaped."""
    return render_page("components.comparing", _TEMPLATE, **context)


def alone(snapshot: Snapshot, image: str, note: str, after: bool) -> Card:
    """Returns an image that is in one state only, with its mask's outlines."""
    return Card(image, note, (_picture("", lambda: _drawn(snapshot, image, after)),))


def replaced(before: Snapshot, after: Snapshot, image: str, note: str) -> Card:
    """Returns an image with two contents."""
    return Card(
        image,
        note,
        (
            _picture("before", lambda: _drawn(before, image, after=False)),
            _picture("after", lambda: _drawn(after, image, after=True)),
        ),
    )


def relabelled(before: Snapshot, after: Snapshot, image: str, note: str) -> Card:
    """Returns an image with two masks: each whole, and the objects in which they differ."""

    def differing() -> npt.NDArray[np.uint8]:
        pixels, old = _read(before, image)
        _, new = _read(after, image)
        if old.shape != new.shape:
            raise DataError("the masks are of different sizes")
        old, new = without_common(old, new)
        return _draw(pixels, new, old)

    card = replaced(before, after, image, note)
    return Card(image, note, (*card.pictures, _picture("what differs", differing)))


def without_common(old: Labels, new: Labels) -> tuple[Labels, Labels]:
    """Returns two masks without the objects that cover the same pixels in both.

    Args:
        old: uint16 `[H, W]`, 0 background.
        new: The same, of the same shape; its numbers may be others.
    """
    pairs = old.astype(np.uint32) << 16 | new
    both, counts = np.unique(pairs, return_counts=True)
    sizes = [np.bincount(mask.ravel(), minlength=1 << 16) for mask in (old, new)]
    same = (sizes[0][both >> 16] == counts) & (sizes[1][both & 0xFFFF] == counts)
    common = np.isin(pairs, both[same])
    return np.where(common, 0, old).astype(np.uint16), np.where(common, 0, new).astype(np.uint16)


def spread(images: Iterable[str], slices: Mapping[str, str], most: int) -> list[str]:
    """Returns up to `most` images, of all slices in turn."""
    by_slice: dict[str, list[str]] = {}
    for image in sorted(images):
        by_slice.setdefault(slices.get(image, ""), []).append(image)
    out: list[str] = []
    queues = [iter(by_slice[name]) for name in sorted(by_slice)]
    while queues and len(out) < most:
        for queue in list(queues):
            following = next(queue, None)
            if following is None:
                queues.remove(queue)
            elif len(out) < most:
                out.append(following)
    return out


def _picture(caption: str, draw: Callable[[], npt.NDArray[np.uint8]]) -> Picture:
    try:
        png = encode_png(draw())
    except (DataError, LineageError) as e:
        return Picture("", f"{caption}: {e.message}" if caption else e.message)
    return Picture(data_uri("png", png), caption)


def _drawn(snapshot: Snapshot, image: str, after: bool) -> npt.NDArray[np.uint8]:
    """Returns an image with its outlines: magenta after, green before."""
    pixels, labels = _read(snapshot, image)
    none = np.zeros_like(labels)
    return _draw(pixels, labels if after else none, none if after else labels)


def _read(snapshot: Snapshot, image: str) -> tuple[npt.NDArray[np.integer], Labels]:
    """Returns an image and its mask."""
    paths = [f"{folder}{image}{PNG}" for folder in (IMAGES, MASKS)]
    pixels = decode_image(snapshot.read(paths[0]), paths[0])
    labels = read_labels(snapshot.read(paths[1]), paths[1])
    if labels.shape != pixels.shape[:2]:
        raise DataError("the mask has another size than the image")
    return pixels, labels


def _draw(pixels: npt.NDArray[np.integer], after: Labels, before: Labels) -> npt.NDArray[np.uint8]:
    """Returns a thumbnail with outlines; made smaller first, so that they stay visible."""
    height, width = after.shape
    ratio = min(1.0, SIDE / min(height, width), LONGEST / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    canvas = cv2.resize(overlay.to_rgb(pixels), size, interpolation=cv2.INTER_AREA)
    after, before = (
        cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST).astype(np.uint16)
        for labels in (after, before)
    )
    return overlay.draw(canvas, after, before)


def number(value: float | None, digits: int = 3) -> str:
    """Returns a number for people; a dash for none."""
    if value is None:
        return "-"
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{value:.0f}"
    return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}"


def columns() -> Sequence[str]:
    """Returns the heads of the table of shifts."""
    return ("slice", "statistic", "images", "mean before", "mean after", "difference in SD", "KS")
