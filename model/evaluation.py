"""Scores a SavedModel, through its own serving signature, on original-size images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.examples import Example
from model.matching import score_classes, score_objects
from segtrail.errors import StageError
from segtrail.files import sha256_bytes
from segtrail.images import decode_image, read_labels
from segtrail.session import SessionModel
from segtrail.settings.base import ALL
from segtrail.settings.metrics import OF_A_CLASS, OF_OBJECTS
from segtrail.task import Task

MEANS = {"mean_iou": "iou", "mean_dice": "dice"}  # the others are called like their column


@dataclass(frozen=True)
class Answer:
    """What the model answered to one example, and its row of scores.

    Attributes:
        example: What was asked.
        true: uint16 `[H, W]`, the mask as the dataset stores it.
        mask_png: As answered.
        mask: uint8 `[H, W]`, decoded.
        labels_png: As answered; None without objects.
        labels: uint16 `[H, W]`, decoded; None without objects.
        row: The scores by name: see `model.matching`.
    """

    example: Example
    true: npt.NDArray[np.uint16]
    mask_png: bytes
    mask: npt.NDArray[np.uint8]
    labels_png: bytes | None
    labels: npt.NDArray[np.uint16] | None
    row: dict[str, Any]


def segments(model: SessionModel) -> tuple[str, tuple[str, ...]]:
    """Returns what a model says its masks hold, and its classes, as a `Task` has them."""
    said = model.run("metadata", {})
    masks = said["masks"].decode() if "masks" in said else "instances"  # models of old
    return masks, tuple(name.decode() for name in said["class_names"].tolist())


def score(model: SessionModel, examples: Iterable[Example], task: Task) -> Iterator[Answer]:
    """Yields the model's answer to each example, with scores.

    Raises:
        StageError: The model segments something else than `task`.
    """
    if (found := segments(model)) != (task.masks, task.classes):
        raise StageError(
            f"expected a model of {task.masks} of {', '.join(task.classes)}; "
            f"found one of {found[0]} of {', '.join(found[1])}"
        )
    outputs = ["mask_png", *(["labels_png"] if task.has_objects else [])]
    for example in examples:
        got = model.run("serving_default", {"image_bytes": [example.image_bytes]}, outputs)
        mask_png = bytes(got["mask_png"][0])
        mask = decode_image(mask_png, f"mask of {example.image}").astype(np.uint8)
        true = read_labels(example.mask_bytes, f"true mask of {example.image}")
        scores: dict[str, Any] = score_classes(
            task.true_planes(true), task.answered_planes(mask), task.classes
        )
        labels_png = labels = None
        if task.has_objects:
            labels_png = bytes(got["labels_png"][0])
            labels = read_labels(labels_png, f"labels of {example.image}")
            scores |= asdict(score_objects(true, labels))
        row = {
            "image": example.image,
            "sha256": sha256_bytes(example.image_bytes),
            "slice": example.slice,
            "group": example.group,
            "height": true.shape[0],
            "width": true.shape[1],
            **scores,
            "mask_sha256": sha256_bytes(mask_png),
        }
        yield Answer(example, true, mask_png, mask, labels_png, labels, row)


def read_examples(path: Path) -> Iterator[Example]:
    """Yields the examples of one TFRecord."""
    import tensorflow as tf

    for record in tf.data.TFRecordDataset(str(path)):
        yield Example.parse(record.numpy())


def summarise(per_image: Any) -> dict[str, dict[str, float]]:
    """Returns the metrics of each slice, and of `all`.

    `mean_iou`, `mean_dice`: means over images of the mean over classes; `iou_<class>`,
    `dice_<class>`: means over images; with objects `ap_50`: mean over images, and
    `count_error`: mean over images of |predicted - true| objects.

    Args:
        per_image: A data frame with a row an image, see `score`.
    """
    parts: dict[str, Any] = {ALL: per_image} | dict(iter(per_image.groupby("slice")))
    return {name: {"n": len(part), **metrics(part)} for name, part in parts.items()}


def metrics(per_image: Any) -> dict[str, float]:
    """Returns each metric over the rows of `per_image`."""
    names = [
        *MEANS,
        *(OF_OBJECTS if "ap_50" in per_image else ()),
        *(column for column in per_image if column.startswith(OF_A_CLASS)),
    ]
    return {name: float(values(per_image, name).mean()) for name in names}


def values(per_image: Any, metric: str) -> npt.NDArray[np.float64]:
    """Returns the per-image values whose mean a metric is."""
    if metric == "count_error":
        error = (per_image["count_predicted"] - per_image["count_true"]).abs()
        return np.asarray(error, np.float64)
    return np.asarray(per_image[MEANS.get(metric, metric)], np.float64)
