"""COCO's instance annotations, as CVAT and Label Studio export them.

CVAT: `annotations/instances_<subset>.json` and the images below `images/`. Label Studio:
`result.json` and `images/`. Any other single JSON file of that content does as well. Polygons
and run lengths are read, compressed or not; boxes and key points are not masks.

The format: T.-Y. Lin et al., Microsoft COCO: common objects in context, ECCV 2014, and
https://cocodataset.org/#format-data. Categories are the dataset's classes, by name: `White cell`
in the file is `white-cell` in `params.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
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
from components.ingestion.coco_files import ImageFiles, annotation_files, image_id, parts_of
from components.ingestion.coco_json import Picture, Region, parse
from components.ingestion.coco_masks import Patch, Shape, check
from components.ingestion.problems import Problems
from segtrail.errors import DataError
from segtrail.images import MAX_LABEL

# Outlines of cells that touch, drawn by hand, share a pixel along the contact: 3 % of a round
# cell of 20 pixels. The later annotation wins. More is one object drawn twice.
SHARED_PIXELS = 4
SHARED_FRACTION = 0.05

MAX_DRAWN = 1 << 32  # cost of drawing an image's regions: some seconds
SHOWN = 20  # problems an image

_IMAGE = re.compile(r".*\.(?:png|jpe?g|bmp|tiff?)", re.IGNORECASE)


@dataclass(frozen=True)
class AnnotatedItem(Item):
    """An image and its annotations.

    Attributes:
        regions: In the order of the file.
        size: Height and width that the file says; None if it does not.
    """

    regions: tuple[Region, ...] = ()
    size: tuple[int, int] | None = None


@register
class Coco(Adapter):
    """Annotations in one file for many images; ids are the images' names.

    An image without an annotation is refused: the format cannot tell one with nothing to see
    from one that nobody has looked at yet.

    `instances`: numbered in the order of the file. CVAT marks all that was drawn with its brush
    as crowds, so a crowd is one object if it is one piece. `classes`: painted in the order of the
    dataset's classes, so that a later class may lie on an earlier one, as a nucleus in its cell.
    `multilabel`: each category its bit.
    """

    name: ClassVar[str] = "coco"
    layout: ClassVar[str] = (
        "annotations/instances_*.json or result.json, images/...: polygons or run lengths"
    )

    def find(self, source: Source, problems: Problems) -> list[Item]:
        """See `Adapter.find`."""
        images = sorted(name for name in source.names if _IMAGE.fullmatch(name))
        files = ImageFiles(images)
        items: dict[str, Item] = {}
        taken: set[str] = set()
        for file in annotation_files(source.names, problems):
            try:
                content = source.read(file)
            except DataError as e:
                problems.add(file, e.message.removeprefix(f"{file}: "), e.hint or "")
                continue
            for picture in parse(content, file, problems):
                found = files.find(picture.file_name, file)
                if len(found) != 1:
                    _note_not_one(file, picture, found, problems)
                    continue
                (name,) = found
                key = image_id(picture.file_name, name)
                taken.add(name)
                if not check_id(key, name, problems):
                    continue
                if key in items:
                    problems.add(
                        name,
                        f"its id {key} is that of {items[key].image} too, or it is listed twice",
                        "list each image once; rename one",
                        key,
                    )
                elif not picture.regions:
                    problems.add(
                        name,
                        f"{file} has no annotation of it: nothing to see, or not looked at yet?",
                        "annotate it, or take it out",
                        key,
                    )
                else:
                    items[key] = AnnotatedItem(
                        key, name, (file,), regions=picture.regions, size=picture.size
                    )
        for name in images:
            if name not in taken:
                problems.add(
                    name,
                    "an image that no annotation file lists",
                    "annotate it, or take it out",
                    image_id(name, name),
                )
        if not items and not problems:
            problems.add("the whole source", "no images: the annotation files list none")
        return [item for _, item in sorted(items.items())]

    def read_mask(
        self, source: Source, item: Item, size: tuple[int, int], problems: Problems
    ) -> Mask | None:
        """See `Adapter.read_mask`."""
        assert isinstance(item, AnnotatedItem)
        if item.size and item.size != size:
            raise DataError(
                f"{item.image}: {size[1]}x{size[0]} pixels, but {item.masks[0]} says "
                f"{item.size[1]}x{item.size[0]}",
                "export the annotations at the images' size",
            )
        bad = _Bad(item, problems)
        shapes = self._checked(item, size, bad)
        if bad.count:
            return None
        if self.dataset.masks == "instances":
            mask = _instances(item, shapes, size, bad)
        else:
            mask = self._classes(item, shapes, size)
        return None if bad.count else mask

    def _checked(self, item: AnnotatedItem, size: tuple[int, int], bad: _Bad) -> list[Shape]:
        instances = self.dataset.masks == "instances"
        shapes, drawn = [], 0
        if instances and len(item.regions) > MAX_LABEL:
            bad.add("", f"{len(item.regions):,} annotations; at most {MAX_LABEL:,} are numbered")
            return []
        for region in item.regions:
            try:
                self._class(region)
                shapes.append(check(region.segmentation, size))
                drawn += shapes[-1].cost
            except DataError as e:
                bad.add(region.name, e.message, e.hint or "")
            if drawn > MAX_DRAWN:
                bad.add("", "its annotations are too many and too large to be drawn")
                return []
            if bad.full:
                return []
        return shapes

    def _class(self, region: Region) -> int:
        """Returns the index of a region's class, from 0."""
        name = re.sub(r"[\s_]+", "-", region.category.strip()).lower()
        if name not in self.dataset.classes:
            raise DataError(
                f"its category {region.category[:40]!a} is not among the dataset's classes "
                f"({', '.join(self.dataset.classes)})",
                "rename it, take its annotations out, or add it to `classes` in params.yaml",
            )
        return self.dataset.classes.index(name)

    def _classes(self, item: AnnotatedItem, shapes: Sequence[Shape], size: tuple[int, int]) -> Mask:
        values = np.zeros(size, np.uint16)
        exclusive = self.dataset.masks == "classes"
        numbers = [self._class(region) for region in item.regions]
        for number, shape in sorted(zip(numbers, shapes, strict=True), key=lambda pair: pair[0]):
            patch = shape.draw()
            at = values[patch.box]
            at[patch.drawn] = number + 1 if exclusive else at[patch.drawn] | (1 << number)
        return Mask(values)


class _Bad:
    """Counts and notes what is wrong with one image's annotations, the first of it."""

    def __init__(self, item: Item, problems: Problems) -> None:
        self.item, self.problems, self.count = item, problems, 0

    @property
    def full(self) -> bool:
        return self.count >= SHOWN

    def add(self, region: str, what: str, remedy: str = "") -> None:
        self.count += 1
        if self.count <= SHOWN:
            said = f"{region}: {what}" if region else what
            self.problems.add(self.item.image, said, remedy, self.item.id)


def _instances(
    item: AnnotatedItem, shapes: Sequence[Shape], size: tuple[int, int], bad: _Bad
) -> Mask:
    """Numbers the regions; notes those that share too much, or of which nothing is left."""
    labels = np.zeros(size, np.uint16)
    areas = np.zeros(len(shapes) + 1, np.int64)
    most = 0
    for number, (region, shape) in enumerate(zip(item.regions, shapes, strict=True), 1):
        patch = shape.draw()
        areas[number] = np.count_nonzero(patch.drawn)
        most = max(most, _shared(item, number, patch, labels, areas, bad))
        labels[patch.box][patch.drawn] = number
        if region.crowd and (pieces := _pieces(patch)) > 1:
            bad.add(
                region.name,
                f"a crowd (iscrowd: 1) in {pieces} pieces: expected the outline of a single object",
                "draw its objects one by one",
            )
        if not areas[number]:
            bad.add(
                region.name, "expected some pixels inside the outline, found none", "take it out"
            )
        if bad.full:
            return Mask(labels)
    left = np.bincount(labels.ravel(), minlength=len(areas))
    for number, region in enumerate(item.regions, 1):
        if areas[number] and not left[number]:
            bad.add(
                region.name,
                "each of its pixels is in a later annotation too, and the later one wins",
                "draw each object once, without overlap",
            )
    return Mask(labels, most)


def _pieces(patch: Patch) -> int:
    return cv2.connectedComponents(patch.drawn.astype(np.uint8), connectivity=8)[0] - 1


def _shared(
    item: AnnotatedItem,
    number: int,
    patch: Patch,
    labels: npt.NDArray[np.uint16],
    areas: npt.NDArray[np.int64],
    bad: _Bad,
) -> int:
    """Returns how many pixels a region shares with those before it; notes too many."""
    under = labels[patch.box][patch.drawn]
    under = under[under > 0]
    if not len(under):
        return 0
    counts = np.bincount(under)
    for other in np.flatnonzero(counts):
        smaller = min(areas[number], areas[other])
        if counts[other] > max(SHARED_PIXELS, SHARED_FRACTION * smaller):
            bad.add(
                item.regions[number - 1].name,
                f"shares {counts[other]:,} pixels with {item.regions[other - 1].name}; at most "
                f"{SHARED_FRACTION:.0%} of the smaller one ({smaller:,} pixels) or {SHARED_PIXELS} "
                "pixels may be shared",
                "draw each object once, without overlap",
            )
    return len(under)


def _note_not_one(file: str, picture: Picture, found: list[str], problems: Problems) -> None:
    where = repr(picture.file_name[:120])
    if found:
        what = f"the image {where} may be {found[0]} or {found[1]}"
        problems.add(file, what, "give the images of all subsets different names")
        return
    parts = parts_of(picture.file_name)
    problems.add(
        file,
        f"expected the image {where} in the source, found none",
        "export the annotations with the images",
        parts[-1].rpartition(".")[0] if parts else "",
    )
