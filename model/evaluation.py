"""Scores a SavedModel, through its own serving signature, on original-size images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.examples import Example
from model.scores.image import score_image
from model.scores.levels import Counts, count_levels
from model.watershed import basins
from segtrail.errors import StageError
from segtrail.files import sha256_bytes
from segtrail.images import decode_image, read_labels
from segtrail.session import SessionModel
from segtrail.settings.objects import Objects
from segtrail.task import Task


@dataclass(frozen=True)
class Answer:
    """What the model answered to one example, and its row of scores.

    Attributes:
        example: What was asked.
        true: uint16 `[H, W]`, the mask as the dataset stores it.
        mask_png: As answered.
        mask: uint8 `[H, W]`, decoded.
        probability: uint8 `[H, W, K]`, decoded; 255 is certain.
        levels: int64 `[K, 2, 256]`, pixels of each probability: see `model.scores.levels`.
        labels_png: As answered; None without objects.
        labels: uint16 `[H, W]`, decoded; None without objects.
        basins: uint16 `[H, W]`, of `model.watershed`; None where the recipe asks for none.
        row: The scores by name: see `score`.
    """

    example: Example
    true: npt.NDArray[np.uint16]
    mask_png: bytes
    mask: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.uint8]
    levels: Counts
    labels_png: bytes | None
    labels: npt.NDArray[np.uint16] | None
    basins: npt.NDArray[np.uint16] | None
    row: dict[str, Any]


def segments(model: SessionModel) -> tuple[str, tuple[str, ...]]:
    """Returns what a model says its masks hold, and its classes, as a `Task` has them."""
    said = model.run("metadata", {})
    masks = said["masks"].decode() if "masks" in said else "instances"  # models of old
    return masks, tuple(name.decode() for name in said["class_names"].tolist())


def score(
    model: SessionModel,
    examples: Iterable[Example],
    task: Task,
    objects: Objects,
) -> Iterator[Answer]:
    """Yields the model's answer to each example, with scores.

    A row has `image`, `sha256`, `slice`, `group`, `height`, `width`, `mask_sha256` and what
    `model.scores.image.score_image` gives.

    Args:
        model: What is asked.
        examples: Images and true masks.
        task: What the model should segment.
        objects: Which components are too small to count, and the second counter's options.

    Raises:
        StageError: The model segments something else than `task`.
    """
    if (said := segments(model)) != (task.masks, task.classes):
        raise StageError(
            f"expected a model of {task.masks} of {', '.join(task.classes)}; "
            f"found one of {said[0]} of {', '.join(said[1])}"
        )
    outputs = ["mask_png", "probability_png", *(["labels_png"] if task.has_objects else [])]
    for example in examples:
        got = model.run("serving_default", {"image_bytes": [example.image_bytes]}, outputs)
        mask_png = bytes(got["mask_png"][0])
        mask = decode_image(mask_png, f"mask of {example.image}").astype(np.uint8)
        true = read_labels(example.mask_bytes, f"true mask of {example.image}")
        planes = [decode_image(bytes(png), example.image) for png in got["probability_png"][0]]
        probability = np.stack(planes, -1).astype(np.uint8)
        levels = count_levels(task.true_planes(true), probability)
        labels_png = labels = found = None
        if objects.watershed:
            found = basins(probability[..., 0], objects.watershed)
        if task.has_objects:
            labels_png = bytes(got["labels_png"][0])
            labels = read_labels(labels_png, f"labels of {example.image}")
        row = {
            "image": example.image,
            "sha256": sha256_bytes(example.image_bytes),
            "slice": example.slice,
            "group": example.group,
            "height": true.shape[0],
            "width": true.shape[1],
            **score_image(true, mask, levels, labels, found, task, objects),
            "mask_sha256": sha256_bytes(mask_png),
        }
        yield Answer(
            example, true, mask_png, mask, probability, levels, labels_png, labels, found, row
        )
