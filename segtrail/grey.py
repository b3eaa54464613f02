"""Grey levels of an image, by the arithmetic that the serving graph uses too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# BT.601 luma in 15-bit fixed point: what OpenCV's cvtColor computes, to the last bit.
LUMA = (9798, 19235, 3735)
LUMA_ROUND, LUMA_SHIFT = 1 << 14, 15


def eight_bit(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Returns uint8 pixels as they are, and the eight highest bits in use of uint16 ones.

    Cameras of 10 to 14 bits store their values in 16: an image whose lightest value is 4095
    loses its lowest four bits, one that reaches 65535 its lowest eight.
    """
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    shift = max(int(pixels.max(initial=0)).bit_length() - 8, 0)
    return (pixels >> shift).astype(np.uint8)  # type: ignore[operator]


def to_grey(image: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Returns a decoded image as grey levels, uint8 `[H, W]`; the serving graph does the same.

    Of 16 bits the highest eight in use are kept; alpha is left out.
    """
    if image.ndim == 2:
        return eight_bit(image)
    rgb = eight_bit(image[..., :3]).astype(np.int32)
    luma = rgb @ np.array(LUMA, np.int32) + LUMA_ROUND
    return (luma >> LUMA_SHIFT).astype(np.uint8)
