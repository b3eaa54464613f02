"""Scores of pixels: which of them are of which class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from segtrail.settings.metrics import FOREGROUND

Planes = npt.NDArray[np.bool_]


def score_pixels(true: Planes, predicted: Planes, classes: Sequence[str]) -> dict[str, float]:
    """Scores the classes of one image.

    Of each class, A being the true and B the predicted pixels: IoU = |A and B| / |A or B|,
    Dice = 2|A and B| / (|A| + |B|), precision = |A and B| / |B|, recall = |A and B| / |A|. Where a
    class is neither there nor predicted, all four are 1: nothing is wrong. Where only one of the
    two is empty, IoU and Dice are 0; precision of nothing predicted is 1 (no false alarm), and so
    is recall of nothing there.

    Args:
        true: bool `[H, W, K]`, where each class is.
        predicted: bool `[H, W, K]`, where it was predicted.
        classes: The names of the K classes.

    Returns:
        `iou`, `dice`, `precision` and `recall`, the means over the classes, and of each
        `iou_<class>` and so on; `pixel_accuracy`, the part of the pixels that are right in every
        class; of more than one class also `dice_foreground`, of their union.
    """
    scores: dict[str, list[float]] = {"iou": [], "dice": [], "precision": [], "recall": []}
    for k in range(len(classes)):
        for name, value in _of_class(true[..., k], predicted[..., k]).items():
            scores[name].append(value)
    found = {name: float(np.mean(each)) for name, each in scores.items()}
    found["pixel_accuracy"] = float((true == predicted).all(-1).mean())
    for name, each in scores.items():
        found |= {f"{name}_{of}": value for of, value in zip(classes, each, strict=True)}
    if len(classes) > 1:
        union = _of_class(*(np.asarray(planes.any(-1)) for planes in (true, predicted)))
        found[f"dice_{FOREGROUND}"] = union["dice"]
    return found


def _of_class(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> dict[str, float]:
    both, there, said = (int(np.count_nonzero(x)) for x in (a & b, a, b))
    return {
        "iou": _part(both, there + said - both),
        "dice": _part(2 * both, there + said),
        "precision": _part(both, said),
        "recall": _part(both, there),
    }


def _part(some: int, of: int) -> float:
    return some / of if of else 1.0
