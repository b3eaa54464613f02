"""Scores of boundaries: how far the predicted one is from the true one."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.bool_]
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def score_boundaries(true: Plane, predicted: Plane, tolerance: float) -> tuple[float, float]:
    """Returns Hausdorff 95 and surface Dice of one class of one image.

    A boundary is the class's pixels with a neighbour (of 4) outside of it; beyond the picture's
    edge nothing is outside. Hausdorff 95 is the larger of the two 95th percentiles of the
    distances of a boundary's pixels to the other boundary. Surface Dice is the part of the pixels
    of both boundaries that lie within `tolerance` of the other (Nikolov et al., 2018).

    Args:
        true: bool `[H, W]`.
        predicted: bool `[H, W]`.
        tolerance: Pixels, Euclidean.

    Returns:
        Pixels, and a number from 0 to 1. Where one has no boundary, since it is nowhere or
        everywhere: 0 and 1 if so is the other, else the picture's diagonal and 0.
    """
    a, b = boundary(true), boundary(predicted)
    if not (a.any() and b.any()):
        alike = np.array_equal(true, predicted)
        return (0.0, 1.0) if alike else (float(np.hypot(*true.shape)), 0.0)
    there, back = _distances(a, b), _distances(b, a)
    hausdorff = max(float(np.percentile(each, 95)) for each in (there, back))
    close = np.count_nonzero(there <= tolerance) + np.count_nonzero(back <= tolerance)
    return hausdorff, close / (len(there) + len(back))


def boundary(plane: Plane) -> Plane:
    """Returns where a plane, bool `[H, W]`, has a neighbour (of 4) outside of it."""
    inner = cv2.erode(plane.astype(np.uint8), _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    found: Plane = plane & (inner == 0)
    return found


def _distances(of: Plane, to: Plane) -> npt.NDArray[np.float32]:
    """Returns the distance of each pixel that is set in `of` to the nearest in `to`."""
    far = cv2.distanceTransform((~to).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(far[of], np.float32)
