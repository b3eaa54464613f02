"""The worst, the median and the best images: as they are, predicted, true, and what differs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from model.examples import Example
from segtrail import overlay
from segtrail.images import decode_image, read_labels
from segtrail.task import Task

SIDE = 256
EACH = 3
MISSED, EXTRA = (230, 159, 0), (0, 114, 178)  # orange and blue
_QUALITY = 85
_LEGEND = 480  # pixels


@dataclass(frozen=True)
class Card:
    """One image.

    Attributes:
        image: Its name.
        note: Slice, scores and counts.
        pictures: Captions and data URIs.
    """

    image: str
    note: str
    pictures: tuple[tuple[str, str], ...]


def choose(per_image: Any) -> dict[str, list[str]]:
    """Returns the worst, median and best images by IoU, each once."""
    order = list(per_image.sort_values(["iou", "image"], kind="stable")["image"])
    worst, rest = order[:EACH], order[EACH:]
    best, rest = rest[len(rest) - min(EACH, len(rest)) :][::-1], rest[: max(len(rest) - EACH, 0)]
    middle = max((len(rest) - EACH) // 2, 0)
    return {"Worst": worst, "Median": rest[middle : middle + EACH], "Best": best}


def legend(task: Task) -> str:
    """Returns which colour is which class, as a data URI; nothing where there are objects."""
    return "" if task.has_objects else _data(overlay.legend(task.classes, _LEGEND, "(outlines)"))


def card(example: Example, prediction: bytes, row: Mapping[str, Any], task: Task) -> Card:
    """Returns the pictures of one image.

    Args:
        example: Image and true mask.
        prediction: PNG, as answered: instance labels, or else the mask.
        row: Its scores.
        task: What the masks' values mean.
    """
    image = decode_image(example.image_bytes, example.image)
    true = read_labels(example.mask_bytes, f"true mask of {example.image}")
    said = read_labels(prediction, f"prediction of {example.image}")
    canvas, (true, said) = _fitted(image, true, said)
    if task.has_objects:
        none = np.zeros_like(true)
        predicted, truth = overlay.draw(canvas, said, none), overlay.draw(canvas, none, true)
        planes = (said > 0)[..., None], (true > 0)[..., None]
    else:
        planes = task.answered_planes(said), task.true_planes(true)
        predicted, truth = (overlay.draw_classes(canvas, plane) for plane in planes)
    pictures = {
        "image": canvas,
        "predicted": predicted,
        "true": truth,
        "missed (orange), extra (blue)": differing(canvas, *planes),
    }
    return Card(
        example.image,
        _note(row),
        tuple((caption, _data(picture)) for caption, picture in pictures.items()),
    )


def differing(
    image: npt.NDArray[np.uint8], said: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Returns the image in grey, with what was missed and what is too much in colour.

    Args:
        image: uint8 `[H, W, 3]`.
        said: bool `[H, W, K]`.
        true: bool `[H, W, K]`.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, -1)
    grey = (grey * 0.6 + 60).clip(0, 255)
    missed, extra = (true & ~said).any(-1), (said & ~true).any(-1)
    for where, colour in ((missed, MISSED), (extra & ~missed, EXTRA)):
        grey[where] = colour
    return grey.astype(np.uint8)


def _fitted(image: npt.NDArray[Any], *masks: npt.NDArray[np.uint16]) -> tuple[Any, list[Any]]:
    """Returns the image as RGB and the masks, made small enough for a page."""
    height, width = image.shape[:2]
    ratio = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    canvas = cv2.resize(overlay.to_rgb(image), size, interpolation=cv2.INTER_AREA)
    return canvas, [
        cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST).astype(np.uint16) for mask in masks
    ]


def _note(row: Mapping[str, Any]) -> str:
    said = f"{row['slice']}, IoU {row['iou']:.3f}"
    if "ap_50" in row:
        said += f", AP50 {row['ap_50']:.3f}"
    if "count_true" in row:
        said += f"; {row['count_predicted']:.0f} objects counted, {row['count_true']:.0f} there"
    return said


def _data(picture: npt.NDArray[np.uint8]) -> str:
    done, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
