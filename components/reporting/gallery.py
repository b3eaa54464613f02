"""The worst, the median and the best images: as they are, predicted, true, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from components.scoring.answers import Said
from components.scoring.pairs import OTHER
from model.examples import Example
from segtrail import overlay
from segtrail.html import data_uri
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
    return "" if task.has_objects else jpeg_uri(overlay.legend(task.classes, _LEGEND, "(outlines)"))


def card(example: Example, said: Said, row: Mapping[str, Any], task: Task) -> Card:
    """Returns the pictures of one image: as it is, predicted, true, and what differs.

    What was missed and what is too much is of the mask, which IoU is of, and not of the objects
    found in it, which AP is of.

    Args:
        example: Image and true mask.
        said: As answered.
        row: Its scores.
        task: What the masks' values mean.
    """
    canvas, true, mask, objects = _fitted(example, said)
    found, there = ("objects found", "true objects") if task.has_objects else ("predicted", "true")
    pictures = {
        "image": canvas,
        found: _outlined(canvas, objects, task, predicted=True),
        there: _outlined(canvas, true, task, predicted=False),
        f"{'mask: ' if task.has_objects else ''}missed (orange), extra (blue)": differing(
            canvas, task.answered_planes(mask), task.true_planes(true)
        ),
    }
    return _card(example, _note(row), pictures)


def card_of_two(
    example: Example, answers: Mapping[str, Said], row: Mapping[str, Any], task: Task
) -> Card:
    """Returns the pictures of one image: as it is, as each model predicted it, and true.

    Where there are objects, their outlines lie over what the mask missed and has too much.

    Args:
        example: Image and true mask.
        answers: Of `card`, by the model; first of the one whose scores have no suffix.
        row: The scores of both, see `components.scoring.pairs`.
        task: What the masks' values mean.
    """
    pictures: dict[str, npt.NDArray[np.uint8]] = {}
    truth = None
    scores = (row["iou"], row[f"iou{OTHER}"])
    for (name, said), iou in zip(answers.items(), scores, strict=True):
        canvas, true, mask, objects = _fitted(example, said)
        pictures.setdefault("image", canvas)
        under = canvas
        if task.has_objects:
            under = differing(canvas, task.answered_planes(mask), task.true_planes(true))
        pictures[f"{name}: IoU {iou:.3f}"] = _outlined(under, objects, task, predicted=True)
        truth = _outlined(canvas, true, task, predicted=False)
    assert truth is not None
    note = str(row["slice"])
    if task.has_objects:
        note += "; of the mask: missed (orange), extra (blue); objects outlined (magenta)"
    return _card(example, note, {**pictures, "true": truth})


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


def _card(example: Example, note: str, pictures: Mapping[str, npt.NDArray[np.uint8]]) -> Card:
    shown = tuple((caption, jpeg_uri(picture)) for caption, picture in pictures.items())
    return Card(example.image, note, shown)


def _fitted(example: Example, said: Said) -> tuple[Any, Any, Any, Any]:
    """Returns image, true mask, predicted mask and objects, made small enough for a page.

    Without objects the mask is in their place.
    """
    image = decode_image(example.image_bytes, example.image)
    pngs = (example.mask_bytes, said.mask, said.labels or said.mask)
    masks = [read_labels(png, f"mask of {example.image}") for png in pngs]
    height, width = image.shape[:2]
    ratio = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    canvas = cv2.resize(overlay.to_rgb(image), size, interpolation=cv2.INTER_AREA)
    true, mask, objects = (
        cv2.resize(each, size, interpolation=cv2.INTER_NEAREST).astype(np.uint16) for each in masks
    )
    return canvas, true, mask, objects


def _outlined(
    canvas: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint16], task: Task, predicted: bool
) -> npt.NDArray[np.uint8]:
    if not task.has_objects:
        planes = task.answered_planes(mask) if predicted else task.true_planes(mask)
        return overlay.draw_classes(canvas, planes)
    none = np.zeros_like(mask)
    return overlay.draw(canvas, *((mask, none) if predicted else (none, mask)))


def _note(row: Mapping[str, Any]) -> str:
    said = f"{row['slice']}, IoU {row['iou']:.3f}"
    if "ap_50" in row:
        said += f", AP50 {row['ap_50']:.3f}"
    if "count_true" in row:
        said += f"; {row['count_predicted']:.0f} objects counted, {row['count_true']:.0f} there"
    return said


def jpeg_uri(picture: npt.NDArray[np.uint8]) -> str:
    """Returns a uint8 RGB picture as the data URI of a JPEG."""
    done, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    assert done
    return data_uri("jpeg", jpeg.tobytes())
