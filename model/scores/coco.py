"""Average precision in the sense of COCO: of a ranked list of all objects of all images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from model.scores.objects import THRESHOLDS

Floats = npt.NDArray[np.float64]

_RECALLS = np.linspace(0, 1, 101)


def average_precision(
    confidence: Floats, iou: Floats, weight: Floats, wanted: float
) -> dict[str, float]:
    """Returns `coco_ap_50` to `coco_ap_95`, and `coco_ap`, their mean (Lin et al., 2014).

    The predicted objects of all images are ranked by confidence; with each more, recall rises and
    precision goes up or down; AP is the mean, over recalls 0, 0.01, …, 1, of the highest precision
    at that recall or a higher one. Unlike `ap_50`, it is no mean over images, and it asks whether
    the model knows what it is unsure of.

    Masks of one image do not overlap, so above an IoU of one half a match is unique, and COCO's
    rule of who matches whom decides nothing.

    Args:
        confidence: `[n]` of the predicted objects.
        iou: `[n]`, of each with the true object that it overlaps best.
        weight: `[n]`, how often its image counts; 1, but in a bootstrap.
        wanted: The number of true objects, weighted alike.
    """
    order = np.argsort(-confidence, kind="stable")
    iou, weight = iou[order], weight[order]
    found = {
        f"coco_ap_{hundredths}": _interpolated(iou > hundredths / 100, weight, wanted)
        for hundredths in THRESHOLDS
    }
    return found | {"coco_ap": float(np.mean(list(found.values())))}


def _interpolated(hit: npt.NDArray[np.bool_], weight: Floats, wanted: float) -> float:
    if wanted == 0:
        return float(weight.sum() == 0)
    if not len(hit):
        return 0.0
    hits, all_of_them = np.cumsum(hit * weight), np.cumsum(weight)
    recall = hits / wanted
    precision = hits / np.maximum(all_of_them, np.finfo(float).tiny)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, _RECALLS, side="left")
    reached = np.append(highest, 0.0)
    return float(reached[place].mean())
