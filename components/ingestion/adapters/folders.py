"""Images and masks in two folders, with the same stems.

`images/<path>.<any image format>` and `masks/<path>.<any image format>`, with folders around
`images` and `masks` or below them as you like. A mask's stem may end in `_mask`, `_masks`,
`_label`, `_labels`, `_seg`, `_segmentation` or `_gt`, also with `-` for `_`. The path below
`images`, without its ending and with `-` for `/`, is the image's id. Each page of a TIFF with
several is an image of its own, `<id>-p<page from 000>`; its mask is the same page of a TIFF, and
the pages are one group.

What a mask's values are, the dataset's settings say: `masks` and `classes` in `params.yaml`.

An optional table `images.csv` beside the folders says more about the images: a column `image`
(the id, or the path below `images`) and one or both of `slice` and `group`.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
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
from components.ingestion.image_table import TABLE, ImageTable, read_table
from components.ingestion.pages import count_pages
from components.ingestion.problems import Problems
from components.ingestion.values import count_values, read_label_map, require_values
from segtrail.errors import DataError
from segtrail.images import MAX_LABEL

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_TIFF = (".tif", ".tiff")
_SUFFIX = re.compile(r"[_-](?:masks?|labels?|seg|segmentation|gt)$", re.IGNORECASE)
_PLACES = "images/<name> and masks/<name>"
_OTHER_NAMES = {
    "img": "images", "imgs": "images", "pictures": "images",
    "label": "masks", "labels": "masks", "seg": "masks", "segmentation": "masks",
    "segmentations": "masks", "gt": "masks", "annotations": "masks",
}  # fmt: skip


@register
class Folders(Adapter):
    """Any images and masks of your own; see the module.

    A mask of zeros is taken: somebody drew it, and says that there is nothing to see. A model
    must learn from such images too.
    """

    name: ClassVar[str] = "folders"
    layout: ClassVar[str] = (
        "images/<name>.*, masks/<name>.*: label maps, as `masks` and `classes` say; images.csv"
    )

    def find(self, source: Source, problems: Problems) -> list[Item]:
        """See `Adapter.find`. Other files than images outside the two folders are left alone."""
        found: dict[str, _Found] = {}
        masks: list[tuple[str, str]] = []
        tables: list[str] = []
        misnamed: dict[str, list[str]] = defaultdict(list)
        for name in sorted(source.names):
            kind, key = _where(name)
            if kind == "images":
                found.setdefault(key, _Found(key)).images.append(name)
            elif kind == "masks":
                masks.append((key, name))
            elif name.rpartition("/")[2] == TABLE:
                tables.append(name)
            elif kind and (folder := _misnamed(name)):
                misnamed[folder].append(name)
            elif kind:
                problems.add(name, kind, "move it, convert it, or take it out")
        if misnamed:  # that images lack their masks then is no news
            _note_misnamed(misnamed, problems)
            return []
        for key, name in masks:
            if key not in found and (without := _SUFFIX.sub("", key)) in found:
                key = without
            found.setdefault(key, _Found(key)).masks.append(name)
        if not found and not problems:
            problems.add("the whole source", f"no images: expected {_PLACES}, found none")
        table = read_table(source, tables, problems)
        items = [
            item for _, f in sorted(found.items()) for item in f.items(source, table, problems)
        ]
        table.note_unused(found, problems)
        return items

    def read_mask(
        self, source: Source, item: Item, size: tuple[int, int], problems: Problems
    ) -> Mask | None:
        """See `Adapter.read_mask`."""
        (name,) = item.masks
        values = read_label_map(source, name, size, self.dataset.limits, item.page)
        classes = len(self.dataset.classes)
        if self.dataset.masks == "instances":
            return Mask(numbered(values, name))
        highest = classes if self.dataset.masks == "classes" else 2**classes - 1
        if classes == 1 and (white := _white(values)):
            return Mask((values == white).astype(np.uint16))
        names = ", ".join(self.dataset.classes)
        what = "class indices" if self.dataset.masks == "classes" else "one bit a class"
        require_values(
            values,
            range(highest + 1),
            name,
            f"0 to {highest} ({what}: {names})" + (" or 0 and 255" if classes == 1 else ""),
            "export it as a label map; datasets.<name>.masks and .classes say what its values are",
        )
        return Mask(values.astype(np.uint16))


def numbered(values: npt.NDArray[np.integer], name: str) -> npt.NDArray[np.uint16]:
    """Returns instance ids 1 to n, in the order of the ids delivered.

    Raises:
        DataError: Not instances but one value for all of several separate objects.
    """
    ids = [value for value in count_values(values) if value]
    if len(ids) == 1:
        pieces = cv2.connectedComponents((values > 0).astype(np.uint8), connectivity=8)[0] - 1
        if pieces > 1:
            raise DataError(
                f"{name}: expected a number for each object, found the one value {ids[0]} in "
                f"{pieces} separate pieces: a mask of foreground, not of instances",
                "number the objects from 1; or say `masks: classes` in params.yaml",
            )
    table = np.zeros(MAX_LABEL + 1, np.uint16)
    table[ids] = np.arange(1, len(ids) + 1)
    return table[values]


def _white(values: npt.NDArray[np.integer]) -> int:
    """Returns the largest value of the type if it is the only one beside 0, else 0."""
    largest = int(np.iinfo(values.dtype).max)
    for white in {255, largest}:
        if ((values == 0) | (values == white)).all() and (values == white).any():
            return white
    return 0


def _where(name: str) -> tuple[str, str]:
    """Returns `images` or `masks` and the path below as an id; or what is wrong; or nothing."""
    path = PurePosixPath(name)
    is_image = path.suffix.lower() in EXTENSIONS
    folders = [part.casefold() for part in path.parts[:-1]]
    for at in range(len(folders) - 1, -1, -1):
        if folders[at] in ("images", "masks"):
            if not is_image:
                return f"expected an image ({', '.join(EXTENSIONS)})", ""
            return folders[at], "-".join([*path.parts[at + 1 : -1], path.stem])
    return (f"not in its place: expected {_PLACES}", "") if is_image else ("", "")


def _misnamed(name: str) -> str:
    """Returns the path of the folder of a file that was probably meant to be another one."""
    folders = PurePosixPath(name).parts[:-1]
    if {"images", "masks"} & {folder.casefold() for folder in folders}:
        return ""
    for end in range(len(folders), 0, -1):
        if _meant(folders[end - 1]):
            return "/".join(folders[:end])
    return ""


def _meant(folder: str) -> str:
    """Returns `images` or `masks` for a name near to it; nothing for others."""
    word = folder.casefold()
    if word in _OTHER_NAMES:
        return _OTHER_NAMES[word]
    near = difflib.get_close_matches(word, ("images", "masks"), n=1, cutoff=0.8)
    return near[0] if near else ""


def _note_misnamed(misnamed: Mapping[str, Sequence[str]], problems: Problems) -> None:
    for folder, names in misnamed.items():
        count = len(names)
        problems.add(
            f"{folder}/",
            f"{count} image{'' if count == 1 else 's'} not in {'its' if count == 1 else 'their'} "
            f"place: expected {_PLACES}; did you mean {_meant(folder.rpartition('/')[2])}/?",
            "rename the folder, or take it out",
        )


@dataclass
class _Found:
    id: str
    images: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)

    def items(self, source: Source, table: ImageTable, problems: Problems) -> list[Item]:
        """Returns one item, or one a page; none after noting what is wrong."""
        for kind, names in (("images", self.images), ("masks", self.masks)):
            if len(names) == 1:
                continue
            other = [*self.images, *self.masks][0]
            what = (
                f"{len(names)} {kind} have the name {self.id}: {', '.join(names[:3])}"
                if names
                else f"expected an image and a mask named {self.id}, found no {kind[:-1]}"
            )
            problems.add(
                names[0] if names else other,
                what,
                "rename one" if names else "add it, or take the other out",
                self.id,
            )
            return []
        (image,), (mask,) = self.images, self.masks
        if not check_id(self.id, image, problems):
            return []
        try:
            pages, mask_pages = _pages(source, image), _pages(source, mask)
        except DataError as e:
            where, _, what = e.message.partition(": ")
            problems.add(where, what, e.hint or "", self.id)
            return []
        if pages != mask_pages:
            problems.add(
                mask,
                f"expected {pages} page{'' if pages == 1 else 's'} like {image}, found "
                f"{mask_pages}",
                "export a mask for each page",
                self.id,
            )
            return []
        row = table.of(self.id, problems, image)
        if pages == 1:
            return [Item(self.id, image, (mask,), row.slice, row.group)]
        group = row.group or self.id
        return [
            Item(f"{self.id}-p{page:03d}", image, (mask,), row.slice, group, page)
            for page in range(pages)
        ]


def _pages(source: Source, name: str) -> int:
    return count_pages(source, name) if name.lower().endswith(_TIFF) else 1
