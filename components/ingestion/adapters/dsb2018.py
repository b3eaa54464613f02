"""The layout of the Data Science Bowl 2018, stage 1.

`<id>/images/<id>.png` and one 0/255 mask a nucleus, `<id>/masks/<any name>.png`; also with
folders around it all. Public as BBBC038 at the Broad Bioimage Benchmark Collection, CC0 (Caicedo
et al., Nature Methods 16, 2019).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from components.ingestion.adapter import (
    Adapter,
    Item,
    Mask,
    check_id,
    register,
)
from components.ingestion.archive import Source
from components.ingestion.problems import Problems
from components.ingestion.reading import read_values
from segtrail.errors import DataError
from segtrail.images import MAX_LABEL
from segtrail.settings.dataset import MaskKind

# Masks may share this much: the fixed masks of the Data Science Bowl share up to 2 pixels,
# 0.6 % of the mask, in 5 of 609 images. The later mask wins, unless nothing would be left of
# another. More is one nucleus drawn twice.
SHARED_PIXELS = 4
SHARED_FRACTION = 0.01


@register
class Dsb2018(Adapter):
    """One folder an image, one mask file a nucleus; ids follow the masks' names."""

    name: ClassVar[str] = "dsb2018"
    layout: ClassVar[str] = "<id>/images/<id>.png, <id>/masks/*.png: one 0/255 mask an object"
    licence: ClassVar[str] = "CC0-1.0"
    masks: ClassVar[MaskKind | None] = "instances"

    def find(self, source: Source, problems: Problems) -> list[Item]:
        """See `Adapter.find`. Other files outside the layout (a table) are left alone."""
        found: dict[str, _Found] = {}
        unsafe: set[str] = set()
        skip = _enclosing_folders(source.names)
        for name in sorted(source.names):
            parts = name.split("/")[skip:]
            if len(parts) == 3 and parts[1] in ("images", "masks"):
                if parts[0] not in unsafe and not (
                    parts[0] in found or check_id(parts[0], "/".join(parts[:2]), problems)
                ):
                    unsafe.add(parts[0])
                if parts[0] not in unsafe:
                    _place(name, parts, found, problems)
            elif name.lower().endswith(".png"):
                problems.add(
                    name,
                    "not in its place: expected <id>/images/<id>.png or <id>/masks/<name>.png",
                    "move it, or take it out",
                )
        items = [item for key, f in sorted(found.items()) if (item := f.item(key, problems))]
        if not found and not problems:
            problems.add("the whole source", "no images: expected <id>/images/<id>.png, found none")
        return items

    def read_mask(
        self, source: Source, item: Item, size: tuple[int, int], problems: Problems
    ) -> Mask | None:
        """See `Adapter.read_mask`."""
        own = Problems(source.name)  # other threads add to `problems` meanwhile
        labels = np.zeros(size, np.uint16)
        shared = 0
        for number, name in enumerate(item.masks, 1):
            try:
                mask = read_values(source, name, size, self.dataset.limits)
                shared = max(shared, _paint(mask, number, labels, name))
            except DataError as e:
                own.add(name, e.message.removeprefix(f"{name}: "), e.hint or "", item.id)
        if shared:
            _refuse_covered(item, labels, own)
        for problem in own:
            problems.add(problem.where, problem.what, problem.remedy, problem.image)
        return None if own else Mask(labels, shared)


@dataclass
class _Found:
    image: str = ""
    masks: list[str] = field(default_factory=list)

    def item(self, key: str, problems: Problems) -> Item | None:
        if not self.image:
            problems.add(
                f"{key}/masks",
                f"{len(self.masks)} masks without an image: expected {key}/images/{key}.png, "
                "found none",
                "add the image or take the masks out",
                key,
            )
        elif not self.masks:
            problems.add(
                self.image,
                f"an image without masks: expected one PNG a nucleus in {key}/masks, found none",
                "add the masks or take the image out",
                key,
            )
        elif len(self.masks) > MAX_LABEL:
            problems.add(
                f"{key}/masks",
                f"{len(self.masks):,} masks; a 16-bit label image holds {MAX_LABEL:,} objects",
                "cut the image into smaller fields",
                key,
            )
        else:
            return Item(key, self.image, tuple(self.masks))
        return None


def _place(name: str, parts: list[str], found: dict[str, _Found], problems: Problems) -> None:
    key, kind, file = parts
    if not file.lower().endswith(".png"):
        problems.add(name, "expected a file named *.png", "convert it, or take it out", key)
    elif kind == "masks":
        found.setdefault(key, _Found()).masks.append(name)
    elif file != f"{key}.png":
        problems.add(name, f"expected the image to be named {key}.png", "rename it", key)
    else:
        found.setdefault(key, _Found()).image = name


def _enclosing_folders(names: Sequence[str]) -> int:
    """Returns how many folders lie around it all."""
    paths = [name.split("/") for name in names]
    depths = [len(parts) - 3 for parts in paths if parts[-2:-1] in (["images"], ["masks"])]
    if not depths:
        return 0
    around = os.path.commonpath(names)
    return max(0, min(len(around.split("/")) if around else 0, *depths))


def _paint(
    mask: npt.NDArray[np.integer], number: int, labels: npt.NDArray[np.uint16], name: str
) -> int:
    """Writes `number` into `labels` where the mask is 255; returns how many were taken.

    Raises:
        DataError: The mask is empty, has other values, or shares too much with another.
    """
    if mask.dtype != np.uint8:
        raise DataError(f"{name}: expected 8 bits a pixel, found 16", "export it as 8-bit PNG")
    left, top, wide, high = cv2.boundingRect(mask)
    if not wide:
        raise DataError(
            f"{name}: all black: expected one nucleus drawn in 255, found none", "take it out"
        )
    box = (slice(top, top + high), slice(left, left + wide))
    drawn, area = mask[box] == 255, cv2.countNonZero(mask[box])
    if np.count_nonzero(drawn) != area:
        other = sorted({int(v) for v in np.unique(mask)} - {0, 255})
        raise DataError(
            f"{name}: expected 0 and 255 only, found {', '.join(map(str, other[:5]))}"
            + (" …" if len(other) > 5 else ""),
            "threshold the mask",
        )
    region = labels[box]
    shared = int(np.count_nonzero(region[drawn]))
    if shared > max(SHARED_PIXELS, SHARED_FRACTION * area):
        raise DataError(
            f"{name}: shares {shared} of its {area} pixels with masks before it; at most "
            f"{SHARED_FRACTION:.0%} or {SHARED_PIXELS} pixels may be shared",
            "draw each nucleus once, without overlap",
        )
    region[drawn] = number
    return shared


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
                item.id,
            )
