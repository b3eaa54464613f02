"""Scores a SavedModel, through its own serving signature, on original-size images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.examples import Example
from model.matching import score_image
from segtrail.files import sha256_bytes
from segtrail.images import decode_image, read_labels
from segtrail.recipe import ALL
from segtrail.session import SessionModel

MEANS = {"mean_iou": "iou", "mean_dice": "dice", "ap_50": "ap_50"}


@dataclass(frozen=True)
class Answer:
    """What the model answered to one example, and its row of scores."""

    example: Example
    mask_png: bytes
    labels_png: bytes
    labels: npt.NDArray[np.uint16]
    row: dict[str, Any]


def score(model: SessionModel, examples: Iterable[Example]) -> Iterator[Answer]:
    """Yields the model's answer to each example, with scores: see `model.matching`."""
    for example in examples:
        got = model.run(
            "serving_default",
            {"image_bytes": [example.image_bytes]},
            ["mask_png", "labels_png", "count"],
        )
        mask_png, labels_png = bytes(got["mask_png"][0]), bytes(got["labels_png"][0])
        mask = decode_image(mask_png, f"mask of {example.image}")
        labels = read_labels(labels_png, f"labels of {example.image}")
        true = read_labels(example.mask_bytes, f"true mask of {example.image}")
        scores = score_image(true, mask.astype(np.uint8), labels)
        row = {
            "image": example.image,
            "sha256": sha256_bytes(example.image_bytes),
            "slice": example.slice,
            "group": example.group,
            "height": true.shape[0],
            "width": true.shape[1],
            **asdict(scores),
            "mask_sha256": sha256_bytes(mask_png),
        }
        yield Answer(example, mask_png, labels_png, labels, row)


def read_examples(path: Path) -> Iterator[Example]:
    """Yields the examples of one TFRecord."""
    import tensorflow as tf

    for record in tf.data.TFRecordDataset(str(path)):
        yield Example.parse(record.numpy())


def summarise(per_image: Any) -> dict[str, dict[str, float]]:
    """Returns the metrics of each slice, and of `all`.

    `mean_iou`, `mean_dice`, `ap_50`: means over images; `count_error`: mean over images of
    |predicted - true| objects.

    Args:
        per_image: A data frame with a row an image, see `score`.
    """
    parts: dict[str, Any] = {ALL: per_image} | dict(iter(per_image.groupby("slice")))
    return {name: {"n": len(part), **metrics(part)} for name, part in parts.items()}


def metrics(per_image: Any) -> dict[str, float]:
    """Returns each metric over the rows of `per_image`."""
    return {name: float(values(per_image, name).mean()) for name in (*MEANS, "count_error")}


def values(per_image: Any, metric: str) -> npt.NDArray[np.float64]:
    """Returns the per-image values whose mean a metric is."""
    if metric == "count_error":
        error = (per_image["count_predicted"] - per_image["count_true"]).abs()
        return np.asarray(error, np.float64)
    return np.asarray(per_image[MEANS[metric]], np.float64)
