"""Grey levels of an image, by the arithmetic that the serving graph uses too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# BT.601 luma in 15-bit fixed point: what OpenCV's cvtColor computes, to the last bit.
LUMA = (9798, 19235, 3735)
LUMA_ROUND, LUMA_SHIFT = 1 << 14, 15


def to_grey(image: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Returns a decoded image as grey levels, uint8 `[H, W]`; the serving graph does the same.

    Of 16 bits the upper eight are kept; alpha is left out.
    """
    pixels = (image >> 8 if image.dtype == np.uint16 else image).astype(np.uint8)  # type: ignore[operator]
    if pixels.ndim == 2:
        return pixels
    rgb = pixels[..., :3].astype(np.int32)
    luma = rgb @ np.array(LUMA, np.int32) + LUMA_ROUND
    return (luma >> LUMA_SHIFT).astype(np.uint8)
