"""What the network learns: foreground and border planes, made from instance labels."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

FOREGROUND, BORDER = 1, 2  # bits of a target byte
PLANES = ("foreground", "border")


def target_planes(labels: npt.NDArray[np.uint16], border_width: int) -> npt.NDArray[np.uint8]:
    """Returns the target of an image: bit 0 foreground, bit 1 border.

    A border pixel has two different objects within `border_width` pixels (Chebyshev
    distance), so that touching or nearly touching objects are learnt apart.

    Args:
        labels: uint16 `[H, W]`, instance ids, 0 background.
        border_width: Pixels, at least 1.

    Returns:
        uint8 `[H, W]`.
    """
    kernel = np.ones((2 * border_width + 1,) * 2, np.uint8)
    labels = labels.astype(np.uint16)
    highest = cv2.dilate(labels, kernel)
    # 0 becomes 65535 before the minimum, so that background is never the lowest id
    lowest = cv2.erode(labels - np.uint16(1), kernel) + np.uint16(1)
    border = (highest > 0) & (lowest > 0) & (highest != lowest)
    planes = FOREGROUND * (labels > 0) + BORDER * border
    return planes.astype(np.uint8)
