"""What the network learns: a plane a class, and with objects a border plane."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from segtrail.task import Task


def target_planes(
    mask: npt.NDArray[np.uint16], task: Task, border_width: int
) -> npt.NDArray[np.uint8]:
    """Returns the target of an image: bit k is the plane `task.planes[k]`.

    Args:
        mask: uint16 `[H, W]`, as the dataset stores it.
        task: What its values mean and which classes are learnt.
        border_width: See `border_plane`; used only with objects.

    Returns:
        uint8 `[H, W]`.
    """
    planes = [*np.moveaxis(task.true_planes(mask), -1, 0)]
    if task.has_objects:
        planes.append(border_plane(mask, border_width))
    target = np.zeros(mask.shape, np.uint8)
    for bit, plane in enumerate(planes):
        target |= plane.astype(np.uint8) << bit
    return target


def border_plane(labels: npt.NDArray[np.uint16], border_width: int) -> npt.NDArray[np.bool_]:
    """Returns where objects nearly touch, so that they are learnt apart.

    A border pixel has two different objects within `border_width` pixels (Chebyshev
    distance).

    Args:
        labels: uint16 `[H, W]`, instance ids, 0 background.
        border_width: Pixels, at least 1.

    Returns:
        bool `[H, W]`.
    """
    kernel = np.ones((2 * border_width + 1,) * 2, np.uint8)
    labels = labels.astype(np.uint16)
    highest = cv2.dilate(labels, kernel)
    # 0 becomes 65535 before the minimum, so that background is never the lowest id
    lowest = cv2.erode(labels - np.uint16(1), kernel) + np.uint16(1)
    border: npt.NDArray[np.bool_] = (highest > 0) & (lowest > 0) & (highest != lowest)
    return border
