"""One row an object: what it measures, and which true object it is."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from model.object_measures import Measures
from model.scores.objects import MATCHED_ABOVE, Labels, Overlaps

COLUMNS = {
    "label": "int64", "area": "int64", "perimeter": "float64", "eccentricity": "float64",
    "mean_intensity": "float64", "y": "float64", "x": "float64", "top": "int64", "left": "int64",
    "bottom": "int64", "right": "int64", "touches_edge": "bool",
}  # fmt: skip


def object_table(labels: Labels, image: npt.NDArray[np.integer]) -> Any:
    """Measures the objects of one image, as scikit-image's `regionprops_table` does.

    Args:
        labels: uint16 `[H, W]`, instance ids, 0 background.
        image: uint8 or uint16 `[H, W]`, `[H, W, 3]` RGB or `[H, W, 4]` RGBA.

    Returns:
        A data frame, in the order of the ids: `label`; `area` in pixels; `perimeter` in pixels,
        of the line through the centres of border pixels, 4 neighbours; `eccentricity` of the
        ellipse with the same second moments, 0 for a circle, below 1; `mean_intensity` in the
        image's own levels (0 to 255 or 65535), of colours their luma; the centroid `y`, `x` in
        pixels from the middle of the first one; the bounding box from `top`, `left` to `bottom`,
        `right`, these exclusive; `touches_edge`: whether the image may cut it.

    Raises:
        ValueError: The image has another size than the labels.
    """
    import pandas as pd

    height, width = labels.shape
    if image.shape[:2] != (height, width):
        raise ValueError(
            f"expected an image of {width}x{height} pixels, as the labels; "
            f"received {image.shape[1]}x{image.shape[0]}"
        )
    found = Measures(labels)
    top, left, bottom, right = found.boxes()
    made = {
        "label": found.ids,
        "area": found.area,
        "perimeter": found.perimeter(),
        "eccentricity": found.eccentricity(),
        "mean_intensity": found.mean(_luma(image)),
        "y": found.y,
        "x": found.x,
        "top": top,
        "left": left,
        "bottom": bottom,
        "right": right,
        "touches_edge": (top == 0) | (left == 0) | (bottom == height) | (right == width),
    }
    return pd.DataFrame(made).astype(COLUMNS)


def match_table(true: Labels, predicted: Labels) -> Any:
    """Tells of each predicted object which true one it overlaps best.

    Args:
        true: uint16 `[H, W]`, true instance ids, 0 background.
        predicted: uint16 `[H, W]`, predicted instance ids.

    Returns:
        A data frame, in the order of the predicted ids: `label`; `iou`, the highest with a true
        object, 0 if it overlaps none; `true_label`, whose that is, 0 for none; `matched`,
        whether it is above one half, which is what `ap_50` counts.
    """
    import pandas as pd

    ids = np.unique(predicted)
    ids = ids[ids > 0].astype(np.int64)
    pairs = Overlaps.of(true, predicted)
    iou = pairs.iou
    order = np.argsort(iou, kind="stable")  # the best pair of an object is written last
    place = np.searchsorted(ids, pairs.predicted[order])
    best, whose = np.zeros(len(ids)), np.zeros(len(ids), np.int64)
    best[place], whose[place] = iou[order], pairs.true[order]
    return pd.DataFrame(
        {"label": ids, "iou": best, "true_label": whose, "matched": best > MATCHED_ABOVE}
    )


def _luma(image: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    if image.ndim == 2:
        return image
    code = cv2.COLOR_RGB2GRAY if image.shape[2] == 3 else cv2.COLOR_RGBA2GRAY
    return np.asarray(cv2.cvtColor(image, code))
