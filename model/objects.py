"""Objects, defined once: the Python reference of what the serving graph computes.

Markers are the connected components (4-neighbours) of foreground minus border; they are grown
back by `grow` dilations inside the foreground; objects below `min_size` pixels are removed.
Ids run from 1 in the order of each object's first marker pixel, row by row. Where two markers
meet while growing, the one that comes first in that order wins the pixel.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from segtrail.settings.objects import Objects

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def label_objects(
    foreground: npt.NDArray[np.bool_], border: npt.NDArray[np.bool_], options: Objects
) -> npt.NDArray[np.uint16]:
    """Returns instance ids of the objects in thresholded planes.

    Args:
        foreground: bool `[H, W]`.
        border: bool `[H, W]`.
        options: `grow` in dilations (4-neighbours), `min_size` in pixels.

    Returns:
        uint16 `[H, W]`, 0 background, 1..n objects; at most 65535 objects are kept.
    """
    markers = (foreground & ~border).astype(np.uint8)
    count, labels = cv2.connectedComponents(markers, connectivity=4, ltype=cv2.CV_32S)
    ids, first = np.unique(labels, return_index=True)
    ids, first = ids[ids > 0], first[ids > 0]
    position = np.zeros(count, np.int64)
    position[ids[np.argsort(first)]] = np.arange(1, count)
    # the earliest marker has the highest value, so that a dilation's maximum favours it
    grown = np.where(labels > 0, count - position[labels], 0).astype(np.float32)
    for _ in range(options.grow):
        spread = cv2.dilate(grown, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        grown = np.where((grown == 0) & foreground, spread, grown)
    return without_small(np.where(grown > 0, count - grown, 0).astype(np.int64), options.min_size)


def without_small(labels: npt.NDArray[np.integer], min_size: int) -> npt.NDArray[np.uint16]:
    """Returns the objects of at least `min_size` pixels, numbered from 1 in the order they had.

    Args:
        labels: `[H, W]`, 0 background.
        min_size: Pixels.

    Returns:
        uint16 `[H, W]`; at most 65535 objects are kept.
    """
    sizes = np.bincount(labels.ravel())
    keep = (sizes >= max(min_size, 1)) & (np.arange(len(sizes)) > 0)
    final = np.where(keep, np.cumsum(keep), 0)
    final[final > np.iinfo(np.uint16).max] = 0
    return final[labels].astype(np.uint16)
