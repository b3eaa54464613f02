"""The layout of the ISBI 2012 challenge: neuronal membranes in electron micrographs.

Either the challenge's TIFF volumes, `train-volume.tif` and `train-labels.tif` with one page a
slice, or its slices as images, `train/image/N.png` and `train/label/N.png`; also with folders
around it all. Labels: 255 cell interior, 0 membrane. The test volume has no public labels and is
left alone.

Two stacks of 30 sections of the ventral nerve cord of a first instar Drosophila larva, serial
section transmission electron microscopy, 4x4x50 nm a voxel. Free to use "for the purpose of
generating or testing non-commercial image segmentation software"; publications must cite TrakEM2
and A. Cardona et al.: An integrated micro- and macroarchitectural analysis of the Drosophila
brain by computer-assisted serial section electron microscopy, PLoS Biology 8 (10), 2010,
e1000502. The challenge: I. Arganda-Carreras et al., Frontiers in Neuroanatomy 9, 2015, 142.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np

from components.ingestion.adapter import Adapter, Item, Mask, register
from components.ingestion.archive import Source
from components.ingestion.pages import count_pages
from components.ingestion.problems import Problems
from components.ingestion.reading import read_values
from components.ingestion.values import require_values
from segtrail.errors import DataError
from segtrail.settings.dataset import MaskKind

# Slices are 50 nm apart, so neighbours look alike. A block of 4 keeps most neighbours together
# (each border between blocks may be one between splits) and still leaves enough blocks to deal:
# 6 of 24 slices and 8 of the challenge's 30, so that one block for validation and one for test
# are 13 to 17 % each. Blocks are counted from slice 0: what is delivered later changes none.
BLOCK = 4

_EXTENSION = r"\.(?:png|tiff?|bmp|jpe?g)"
_SLICE = re.compile(rf"(?:.*/)?train/(image|label)/(\d{{1,6}}){_EXTENSION}", re.IGNORECASE)
_VOLUME = re.compile(r"(?:.*/)?train-(volume|labels)\.tiff?", re.IGNORECASE)
_TEST = re.compile(r"(?:.*/)?(?:test/.*|test-volume\.tiff?)", re.IGNORECASE)
_ANY_IMAGE = re.compile(rf".*{_EXTENSION}", re.IGNORECASE)
_KINDS = {"image": 0, "volume": 0, "label": 1, "labels": 1}
_PLACES = "train/image/N.png and train/label/N.png, or train-volume.tif and train-labels.tif"


@register
class Isbi2012(Adapter):
    """Slices of one stack, `slice-<number>`; groups are blocks of neighbours.

    Every slice of tissue has cells and membranes, so a label of one value is refused.
    """

    name: ClassVar[str] = "isbi2012"
    layout: ClassVar[str] = f"{_PLACES}: 255 cell, 0 membrane"
    licence: ClassVar[str] = (
        "non-commercial segmentation software, citing TrakEM2 and Cardona et al. 2010, "
        "doi:10.1371/journal.pbio.1000502"
    )
    masks: ClassVar[MaskKind | None] = "classes"
    classes: ClassVar[tuple[str, ...]] = ("cell",)
    groups_known: ClassVar[bool] = True

    def find(self, source: Source, problems: Problems) -> list[Item]:
        """See `Adapter.find`."""
        slices: dict[int, list[tuple[str, int] | None]] = {}
        volumes: list[list[str]] = [[], []]
        for name in sorted(source.names):
            if match := _SLICE.fullmatch(name):
                _place(slices, int(match[2]), _KINDS[match[1].lower()], (name, 0), problems)
            elif match := _VOLUME.fullmatch(name):
                volumes[_KINDS[match[1].lower()]].append(name)
            elif _ANY_IMAGE.fullmatch(name) and not _TEST.fullmatch(name):
                problems.add(
                    name, f"not in its place: expected {_PLACES}", "move it, or take it out"
                )
        _place_volumes(source, volumes, slices, problems)
        if not slices and not problems:
            problems.add("the whole source", f"no images: expected {_PLACES}, found none")
        return [
            item
            for number, files in sorted(slices.items())
            if (item := _item(number, files, problems))
        ]

    def read_mask(
        self, source: Source, item: Item, size: tuple[int, int], problems: Problems
    ) -> Mask | None:
        """See `Adapter.read_mask`."""
        (name,) = item.masks
        values = read_values(source, name, size, self.dataset.limits, item.page)
        found = require_values(
            values, (0, 255), name, "0 (membrane) and 255 (cell) only", "threshold the labels"
        )
        if len(found) < 2:
            what = "cell" if 255 in found else "membrane"
            raise DataError(
                f"{name}: slice {item.id.removeprefix('slice-')} is {what} all over; expected both "
                "cells (255) and membranes (0)",
                "export the labels again, or take the slice out",
            )
        return Mask((values == 255).astype(np.uint16))


def _place(
    slices: dict[int, list[tuple[str, int] | None]],
    number: int,
    kind: int,
    file: tuple[str, int],
    problems: Problems,
) -> None:
    files = slices.setdefault(number, [None, None])
    first = files[kind]
    if first is None:
        files[kind] = file
    else:
        problems.add(
            file[0], f"slice {number} again, after {first[0]}", "keep one of the two", _id(number)
        )


def _place_volumes(
    source: Source,
    volumes: list[list[str]],
    slices: dict[int, list[tuple[str, int] | None]],
    problems: Problems,
) -> None:
    """Adds the pages of a volume and its labels; notes volumes that do not belong together."""
    images, labels = volumes
    if not images and not labels:
        return
    if len(images) != 1 or len(labels) != 1:
        problems.add(
            [*images, *labels][0],
            f"expected one train-volume.tif and one train-labels.tif, found {len(images)} and "
            f"{len(labels)}",
            "deliver one stack at a time",
        )
        return
    try:
        pages = [count_pages(source, name) for name in (images[0], labels[0])]
    except DataError as e:
        where, _, what = e.message.partition(": ")
        problems.add(where, what, e.hint or "")
        return
    if pages[0] != pages[1]:
        problems.add(
            labels[0],
            f"expected {pages[0]} pages like {images[0]}, found {pages[1]}",
            "export the labels of every slice",
        )
        return
    for kind, name in enumerate((images[0], labels[0])):
        for page in range(pages[kind]):
            _place(slices, page, kind, (name, page), problems)


def _item(number: int, files: list[tuple[str, int] | None], problems: Problems) -> Item | None:
    image, label = files
    if image is None or label is None:
        problems.add(
            (image or label or ("", 0))[0],
            f"slice {number}: expected an image and a label, found the "
            f"{'image' if image else 'label'} alone",
            "add the other, or take it out",
            _id(number),
        )
        return None
    if image[1] != label[1]:
        problems.add(
            image[0],
            f"slice {number}: its image and label are of two layouts",
            "deliver slices or volumes, not both",
            _id(number),
        )
        return None
    first = number // BLOCK * BLOCK
    group = f"slices-{first:03d}-{first + BLOCK - 1:03d}"
    return Item(_id(number), image[0], (label[0],), group=group, page=image[1])


def _id(number: int) -> str:
    return f"slice-{number:03d}"
