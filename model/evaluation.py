"""Scores a SavedModel, through its own serving signature, on original-size images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.canny_counter import count_contours
from model.examples import Example
from model.matching import Labels, rand_f, score_classes, score_objects
from model.objects import label_objects, without_small
from model.watershed import basins
from segtrail.errors import StageError
from segtrail.files import sha256_bytes
from segtrail.images import decode_image, read_labels
from segtrail.session import SessionModel
from segtrail.settings.base import ALL
from segtrail.settings.metrics import OF_A_CLASS, metrics_of
from segtrail.settings.objects import Objects
from segtrail.task import Task

MEANS = {"mean_iou": "iou", "mean_dice": "dice"}  # the others are called like their column
COUNTERS = {"count_error": "count_predicted", "count_error_canny": "count_canny"}


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
        basins: uint16 `[H, W]`, of `model.watershed`; None where the recipe asks for none.
        row: The scores by name: see `score`.
    """

    example: Example
    true: npt.NDArray[np.uint16]
    mask_png: bytes
    mask: npt.NDArray[np.uint8]
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

    A row has `iou`, `dice` and those of each class (`model.matching.score_classes`); with
    instances `ap_50`. Where there is one kind of thing to count, which are instances or the
    connected components of the one class of masks: classes, also `count_true`,
    `count_predicted` and `count_canny`, by the two counters (`model.objects`,
    `model.canny_counter`); of such components `rand_f`, too.

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
    outputs = ["mask_png", *(["labels_png"] if task.has_objects else [])]
    outputs += ["probability_png"] if objects.watershed else []
    for example in examples:
        got = model.run("serving_default", {"image_bytes": [example.image_bytes]}, outputs)
        mask_png = bytes(got["mask_png"][0])
        mask = decode_image(mask_png, f"mask of {example.image}").astype(np.uint8)
        true = read_labels(example.mask_bytes, f"true mask of {example.image}")
        scores: dict[str, Any] = score_classes(
            task.true_planes(true), task.answered_planes(mask), task.classes
        )
        labels_png = labels = found = None
        if objects.watershed:
            probability = decode_image(bytes(got["probability_png"][0][0]), example.image)
            found = basins(probability.astype(np.uint8), objects.watershed)
        if task.has_objects:
            labels_png = bytes(got["labels_png"][0])
            labels = read_labels(labels_png, f"labels of {example.image}")
            scores |= asdict(score_objects(true, labels))
            scores["count_canny"] = count_contours(mask > 0, objects.canny)
        elif "rand_f" in metrics_of(task.masks, task.classes):
            scores |= _score_components(true, mask, found, task, objects)
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
        yield Answer(example, true, mask_png, mask, labels_png, labels, found, row)


def components(plane: npt.NDArray[np.bool_], min_size: int = 0) -> Labels:
    """Returns the objects of a class without a border plane: its connected components.

    Args:
        plane: bool `[H, W]`, where the class is; 4 neighbours connect.
        min_size: Pixels; smaller ones are dropped.

    Returns:
        uint16 `[H, W]`, 0 background.
    """
    return label_objects(plane, np.zeros_like(plane), Objects(grow=0, min_size=min_size))


def predicted_objects(plane: npt.NDArray[np.bool_], found: Labels | None, min_size: int) -> Labels:
    """Returns the objects of a class without a border plane, uint16 `[H, W]`.

    Args:
        plane: bool `[H, W]`, where the class was predicted.
        found: The basins that tell apart what touches; None: the objects are components.
        min_size: Pixels; smaller ones are dropped.
    """
    if found is None:
        return components(plane, min_size)
    return without_small(np.where(plane, found, 0), min_size)


def _score_components(
    true: npt.NDArray[np.uint16],
    mask: npt.NDArray[np.uint8],
    found: Labels | None,
    task: Task,
    objects: Objects,
) -> dict[str, Any]:
    """Scores the objects of the one class. What is too small is not counted, on both sides.

    The Rand F-score is of whole basins, between which there are lines: the ISBI 2012 challenge
    thins membranes to such.
    """
    truth, said = task.true_planes(true)[..., 0], task.answered_planes(mask)[..., 0]
    return {
        "count_true": int(components(truth, objects.min_size).max(initial=0)),
        "count_predicted": int(predicted_objects(said, found, objects.min_size).max(initial=0)),
        "count_canny": count_contours(said, objects.canny),
        "rand_f": rand_f(components(truth), components(said) if found is None else found),
    }


def summarise(per_image: Any) -> dict[str, dict[str, float]]:
    """Returns the metrics of each slice, and of `all`.

    `mean_iou`, `mean_dice`: means over images of the mean over classes; `pixel_accuracy`,
    `iou_<class>`, `dice_<class>`, of several classes `dice_foreground`, with instances
    `ap_50`, of components `rand_f`: means over images; where objects are counted `count_error`
    and `count_error_canny`: means over images of |counted - true| objects.

    Args:
        per_image: A data frame with a row an image, see `score`.
    """
    parts: dict[str, Any] = {ALL: per_image} | dict(iter(per_image.groupby("slice")))
    return {name: {"n": len(part), **metrics(part)} for name, part in parts.items()}


def metrics(per_image: Any) -> dict[str, float]:
    """Returns each metric over the rows of `per_image`."""
    names = [
        *MEANS,
        *(name for name in ("pixel_accuracy", "ap_50", "rand_f") if name in per_image),
        *(name for name, counted in COUNTERS.items() if counted in per_image),
        *(column for column in per_image if column.startswith(OF_A_CLASS)),
    ]
    return {name: float(values(per_image, name).mean()) for name in names}


def values(per_image: Any, metric: str) -> npt.NDArray[np.float64]:
    """Returns the per-image values whose mean a metric is."""
    if metric in COUNTERS:
        error = (per_image[COUNTERS[metric]] - per_image["count_true"]).abs()
        return np.asarray(error, np.float64)
    return np.asarray(per_image[MEANS.get(metric, metric)], np.float64)
