"""Objects that touch, told apart by the shape of the probabilities: a watershed.

Where a recipe has no border plane, objects are the connected components of a class: one gap in a
membrane joins two cells. A watershed cuts at the dip of the probability there (Beucher and
Meyer, 1993), as is usual for electron micrographs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segtrail.settings.objects import Watershed

_HIGHEST = 255


def basins(probability: npt.NDArray[np.uint8], options: Watershed) -> npt.NDArray[np.uint16]:
    """Returns the basins of a class's probability: every pixel belongs to one.

    The probability is smoothed by a Gaussian and rounded to 256 levels. The markers are the
    regional maxima of its reconstruction from `depth` below (the extended maxima of Soille, 2003,
    section 6.3): peaks between which it dips by less are one. From them the levels are flooded
    downwards (scikit-image), 4 neighbours.

    Args:
        probability: uint8 `[H, W]`, 255 is certain; `probability_png` as it is served.
        options: How smooth, how deep.

    Returns:
        uint16 `[H, W]`, 1..n; above 65535 basins the others are 0.
    """
    from skimage.morphology import local_maxima, reconstruction
    from skimage.segmentation import watershed

    smooth = ndimage.gaussian_filter(probability.astype(np.float32), options.smooth)
    levels = np.rint(smooth).astype(np.int16)
    cross = ndimage.generate_binary_structure(2, 1)
    below = levels - max(1, round(options.depth * _HIGHEST))
    peaks = local_maxima(reconstruction(below, levels, footprint=cross), cross)
    markers, _ = ndimage.label(peaks, cross)
    if not markers.any():  # all the same
        markers[0, 0] = 1
    found = watershed(-levels, markers, connectivity=1)
    found[found > np.iinfo(np.uint16).max] = 0
    return found.astype(np.uint16)
