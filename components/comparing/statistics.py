"""Reads each image and mask of two states of a dataset once, and measures it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lineage.data_snapshot import IMAGES, MASKS, PNG, Snapshot
from segtrail.errors import DataError, LineageError
from segtrail.image_statistics import image_statistics, mask_statistics
from segtrail.images import decode_image, read_labels
from segtrail.progress import track
from segtrail.settings.dataset import Dataset, MaskKind
from segtrail.task import class_planes, own_places

Statistics = dict[str, Any]


@dataclass
class Measured:
    """The statistics of two states.

    Attributes:
        before: `{image: its statistics and its mask's}`; without an image of which either
            cannot be read.
        after: The same, of the other state.
        unread: `{path: why it cannot be read}`.
    """

    before: dict[str, Statistics] = field(default_factory=dict)
    after: dict[str, Statistics] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Agreement:
    """How alike the two masks of a relabelled image are.

    Attributes:
        iou: Intersection over union of the foreground; with several classes, the lowest. 1 if
            both are empty; 0 if their sizes differ.
        objects_before: Objects in the mask before.
        objects_after: Objects in the mask after.
    """

    iou: float
    objects_before: int
    objects_after: int


def measure(before: Snapshot, after: Snapshot, settings: Dataset) -> Measured:
    """Returns the statistics of all images of both states; equal content is read once."""
    measured = Measured()

    def of_image(data: bytes, name: str) -> Statistics:
        return image_statistics(decode_image(data, name))

    def of_mask(data: bytes, name: str) -> Statistics:
        return mask_statistics(read_labels(data, name), settings.masks, settings.classes)

    wanted: dict[tuple[str, str], tuple[Snapshot, str]] = {}
    for snapshot in (before, after):
        for folder, contents in ((IMAGES, snapshot.images), (MASKS, snapshot.masks)):
            for image, md5 in contents.items():
                wanted.setdefault((folder, md5), (snapshot, f"{folder}{image}{PNG}"))

    def work(key: tuple[str, str]) -> tuple[Statistics | None, str]:
        snapshot, name = wanted[key]
        try:
            data = snapshot.read(name)
            return (of_image if key[0] == IMAGES else of_mask)(data, name), ""
        except (DataError, LineageError) as e:
            return None, e.message

    found = dict(zip(wanted, _in_threads(work, list(wanted)), strict=True))
    for snapshot, out in ((before, measured.before), (after, measured.after)):
        masks = snapshot.masks
        for image, md5 in snapshot.images.items():
            pairs = {IMAGES: md5, MASKS: masks.get(image, "")}
            parts = {
                folder: found.get((folder, content), (None, "there is no such file"))
                for folder, content in pairs.items()
            }
            measured.unread |= {
                f"{folder}{image}{PNG} at {snapshot.label}": why
                for folder, (statistics, why) in parts.items()
                if statistics is None
            }
            image_part, mask_part = parts[IMAGES][0], parts[MASKS][0]
            if image_part is not None and mask_part is not None:
                out[image] = image_part | mask_part
    return measured


def agree(
    before: Snapshot, after: Snapshot, images: Iterable[str], measured: Measured, settings: Dataset
) -> dict[str, Agreement]:
    """Compares the two masks of each image; leaves out those that cannot be read."""
    out = {}
    for image in images:
        if image in measured.before and image in measured.after:
            name = f"{MASKS}{image}{PNG}"
            old, new = (read_labels(s.read(name), name) for s in (before, after))
            out[image] = Agreement(
                lowest_iou(old, new, settings.masks, len(settings.classes)),
                measured.before[image]["objects"],
                measured.after[image]["objects"],
            )
    return out


def lowest_iou(
    old: npt.NDArray[np.uint16], new: npt.NDArray[np.uint16], kind: MaskKind, classes: int
) -> float:
    """Returns the lowest intersection over union of the classes of two masks."""
    if old.shape != new.shape:
        return 0.0
    before, after = (class_planes(mask, kind, own_places(classes)) for mask in (old, new))
    return min(_iou(before[..., k], after[..., k]) for k in range(classes))


def _iou(old: npt.NDArray[np.bool_], new: npt.NDArray[np.bool_]) -> float:
    union = np.count_nonzero(old | new)
    return float(np.count_nonzero(old & new) / union) if union else 1.0


def _in_threads(
    work: Callable[[tuple[str, str]], tuple[Statistics | None, str]],
    keys: Sequence[tuple[str, str]],
) -> list[tuple[Statistics | None, str]]:
    """Runs `work`, most of which is OpenCV without Python's lock, on all cores."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        return list(track(pool.map(work, keys), "measuring images and masks", len(keys)))
    finally:
        pool.shutdown(cancel_futures=True)


def column(statistics: Mapping[str, Statistics], name: str) -> npt.NDArray[np.float64]:
    """Returns one statistic of all images."""
    return np.array([row[name] for row in statistics.values()], np.float64)
