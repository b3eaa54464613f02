"""Per-image scores of a predicted against a true segmentation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class ImageScores:
    """Scores of one image; see `score_image`."""

    iou: float
    dice: float
    ap_50: float
    count_true: int
    count_predicted: int


def score_image(
    true: Labels, mask: npt.NDArray[np.uint8], predicted: Labels, threshold: float = 0.5
) -> ImageScores:
    """Scores a predicted mask and predicted objects.

    IoU = |A and B| / |A or B| and Dice = 2|A and B| / (|A| + |B|) of the foreground; both are 1
    when neither has any. AP at one IoU threshold in the sense of the 2018 Data Science Bowl:
    TP / (TP + FP + FN), an object being found when a predicted one overlaps it by more than
    `threshold` (at 0.5 and above such a match is unique); 1 when there are none of both.

    Args:
        true: uint16 `[H, W]`, true instance ids, 0 background.
        mask: uint8 `[H, W]`, predicted class index, 0 background.
        predicted: uint16 `[H, W]`, predicted instance ids.
        threshold: IoU above which two objects match, at least 0.5.
    """
    a, b = true > 0, mask > 0
    both, either = int((a & b).sum()), int((a | b).sum())
    n_true, n_predicted = len(np.unique(true[true > 0])), len(np.unique(predicted[predicted > 0]))
    found = int((object_iou(true, predicted) > threshold).sum())
    wanted = n_true + n_predicted - found
    return ImageScores(
        iou=both / either if either else 1.0,
        dice=2 * both / (both + either) if either else 1.0,
        ap_50=found / wanted if wanted else 1.0,
        count_true=n_true,
        count_predicted=n_predicted,
    )


def object_iou(true: Labels, predicted: Labels) -> npt.NDArray[np.float64]:
    """Returns the IoU of each overlapping pair of a true and a predicted object, `[pairs]`."""
    pairs = true.astype(np.int64) << 16 | predicted
    values, overlap = np.unique(pairs[(true > 0) & (predicted > 0)], return_counts=True)
    size_true = np.bincount(true.ravel(), minlength=1)
    size_predicted = np.bincount(predicted.ravel(), minlength=1)
    union = size_true[values >> 16] + size_predicted[values & 0xFFFF] - overlap
    iou: npt.NDArray[np.float64] = overlap / union
    return iou
