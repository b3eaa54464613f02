"""Per-image scores of a predicted against a true segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segtrail.settings.metrics import FOREGROUND

Labels = npt.NDArray[np.uint16]
Planes = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ObjectScores:
    """Scores of one image's objects; see `score_objects`."""

    ap_50: float
    count_true: int
    count_predicted: int


def score_classes(true: Planes, predicted: Planes, classes: Sequence[str]) -> dict[str, float]:
    """Scores the pixels of one image.

    IoU = |A and B| / |A or B| and Dice = 2|A and B| / (|A| + |B|) of each class; both are 1 for
    a class that neither has.

    Args:
        true: bool `[H, W, K]`, where each class is.
        predicted: bool `[H, W, K]`, where it was predicted.
        classes: The names of the K classes.

    Returns:
        `iou` and `dice`, the means over the classes, and `iou_<class>`, `dice_<class>` of each;
        `pixel_accuracy`, the part of the pixels that are right in every class; of more than one
        class also `dice_foreground`, of their union.
    """
    ious = [_iou(true[..., k], predicted[..., k]) for k in range(len(classes))]
    dices = [_dice(iou) for iou in ious]
    union = {}
    if len(classes) > 1:
        a, b = (np.asarray(planes.any(-1)) for planes in (true, predicted))
        union = {f"dice_{FOREGROUND}": _dice(_iou(a, b))}
    return {
        "iou": float(np.mean(ious)),
        "dice": float(np.mean(dices)),
        "pixel_accuracy": float((true == predicted).all(-1).mean()),
        **{f"iou_{name}": value for name, value in zip(classes, ious, strict=True)},
        **{f"dice_{name}": value for name, value in zip(classes, dices, strict=True)},
        **union,
    }


def _iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0


def _dice(iou: float) -> float:
    return 2 * iou / (1 + iou)


def score_objects(true: Labels, predicted: Labels, threshold: float = 0.5) -> ObjectScores:
    """Scores the objects of one image.

    AP at one IoU threshold in the sense of the 2018 Data Science Bowl: TP / (TP + FP + FN), an
    object being found when a predicted one overlaps it by more than `threshold` (at 0.5 and
    above such a match is unique); 1 when there are none of both.

    Args:
        true: uint16 `[H, W]`, true instance ids, 0 background.
        predicted: uint16 `[H, W]`, predicted instance ids.
        threshold: IoU above which two objects match, at least 0.5.
    """
    n_true, n_predicted = len(np.unique(true[true > 0])), len(np.unique(predicted[predicted > 0]))
    found = int((object_iou(true, predicted) > threshold).sum())
    wanted = n_true + n_predicted - found
    return ObjectScores(
        ap_50=found / wanted if wanted else 1.0, count_true=n_true, count_predicted=n_predicted
    )


def object_iou(true: Labels, predicted: Labels) -> npt.NDArray[np.float64]:
    """Returns the IoU of each overlapping pair of a true and a predicted object, `[pairs]`."""
    return overlaps(true, predicted)[2]


def overlaps(
    true: Labels, predicted: Labels
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Returns each overlapping pair: true ids, predicted ids and IoU, each `[pairs]`."""
    pairs = true.astype(np.int64) << 16 | predicted
    values, overlap = np.unique(pairs[(true > 0) & (predicted > 0)], return_counts=True)
    size_true = np.bincount(true.ravel(), minlength=1)
    size_predicted = np.bincount(predicted.ravel(), minlength=1)
    union = size_true[values >> 16] + size_predicted[values & 0xFFFF] - overlap
    iou: npt.NDArray[np.float64] = overlap / union
    return values >> 16, values & 0xFFFF, iou


def rand_f(true: Labels, predicted: Labels) -> float:
    """Scores how pixels are grouped: the Rand F-score, restricted to the true foreground.

    Of all pairs of pixels that are both foreground in the truth: with precision, the part of
    the pairs in one predicted segment that are in one true object, and recall, the part of the
    pairs in one true object that are in one predicted segment, their harmonic mean; 1 - the
    "adapted Rand error" of the ISBI 2012 challenge (Arganda-Carreras et al., 2015), by
    scikit-image. What is predicted as background inside the true foreground is one segment,
    too. The challenge also thinned the predicted membranes first, which is not done here.

    Args:
        true: uint16 `[H, W]`, true instance ids, 0 background, whose pixels do not count.
        predicted: uint16 `[H, W]`, predicted instance ids.

    Returns:
        0 to 1; 1 when no pair is in one true or predicted segment, so that nothing is wrong.
    """
    import warnings

    from skimage.metrics import adapted_rand_error

    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # 0 / 0, where there are no pairs
        error = adapted_rand_error(true.astype(np.int64), predicted.astype(np.int64))[0]
    return 1.0 if np.isnan(error) else float(1 - error)
