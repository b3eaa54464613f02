"""The counter `canny_contours`: edges and contours of a mask, as in a much-read ISBI 2012 article.

It is here to be compared with the counter `components`, which is the definition of an object
(`model.objects`); docs/counters.md has the figures.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from segtrail.settings.objects import CannyContours

_MODES = {"outer": cv2.RETR_EXTERNAL, "all": cv2.RETR_LIST}


def count_contours(plane: npt.NDArray[np.bool_], options: CannyContours) -> int:
    """Returns how many contours the edges of a mask have.

    The mask, as 0 and 255, is blurred by a Gaussian, Canny (1986) finds its edges, and
    connected edges (8 neighbours) are followed (Suzuki and Abe, 1985). An outline that is
    broken, or cut by the image's edge, gives as many contours as it has pieces; objects whose
    outlines touch give one; with `outer`, what lies in a hole of another does not count.

    Args:
        plane: bool `[H, W]`, where the class is.
        options: Blur, thresholds of Canny, and which contours count.
    """
    if not plane.size:
        return 0
    shown = plane.astype(np.uint8) * np.uint8(255)
    if options.blur > 1:
        shown = np.asarray(cv2.GaussianBlur(shown, (options.blur, options.blur), 0))
    edges = cv2.Canny(shown, options.low, options.high)
    contours, _ = cv2.findContours(edges, _MODES[options.contours], cv2.CHAIN_APPROX_SIMPLE)
    return len(contours)
