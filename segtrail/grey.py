"""Grey levels of an image, by the arithmetic that the serving graph uses too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segtrail.settings.preprocessing import SixteenBit

# BT.601 luma in 15-bit fixed point: what OpenCV's cvtColor computes, to the last bit.
LUMA = (9798, 19235, 3735)
LUMA_ROUND, LUMA_SHIFT = 1 << 14, 15

LEVELS_16 = 1 << 16
PER_MILLE = 1000  # of the pixels, one lies below what becomes 0 and one above what becomes 255


def eight_bit(
    pixels: npt.NDArray[np.generic], sixteen_bit: SixteenBit = "used-bits"
) -> npt.NDArray[np.uint8]:
    """Returns uint8 pixels as they are, and uint16 ones as eight bits, by integers alone.

    Args:
        pixels: uint8 or uint16 `[H, W]` or `[H, W, C]`.
        sixteen_bit: `used-bits` keeps the eight highest bits in use: cameras of 10 to 14 bits
            store their values in 16, so an image whose lightest value is 4095 loses its lowest
            four bits, one that reaches 65535 its lowest eight. `full-range` always drops the
            lowest eight, which keeps images comparable. `percentiles` stretches what lies
            between the 0.1 and the 99.9 percentiles of all channels, so that a few hot pixels
            do not darken the rest.
    """
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    if sixteen_bit == "percentiles":
        return _stretched(pixels)
    shift = 8
    if sixteen_bit == "used-bits":
        shift = max(int(pixels.max(initial=0)).bit_length() - 8, 0)
    return (pixels >> shift).astype(np.uint8)  # type: ignore[operator]


def _stretched(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    below = np.cumsum(np.bincount(pixels.ravel(), minlength=LEVELS_16)) * PER_MILLE
    low, high = np.searchsorted(below, [pixels.size, (PER_MILLE - 1) * pixels.size])
    span = max(int(high - low), 1)
    above = np.clip(pixels.astype(np.int32) - int(low), 0, span)
    return ((above * 255 + span // 2) // span).astype(np.uint8)


def to_grey(
    image: npt.NDArray[np.generic], sixteen_bit: SixteenBit = "used-bits"
) -> npt.NDArray[np.uint8]:
    """Returns a decoded image as grey levels, uint8 `[H, W]`; the serving graph does the same.

    Of 16 bits eight are kept, see `eight_bit`; alpha is left out.
    """
    if image.ndim == 2:
        return eight_bit(image, sixteen_bit)
    rgb = eight_bit(image[..., :3], sixteen_bit)
    luma = np.full(rgb.shape[:2], LUMA_ROUND, np.uint32)
    for channel, weight in enumerate(LUMA):  # six times as fast as an integer matrix product
        luma += rgb[..., channel] * np.uint32(weight)
    return (luma >> LUMA_SHIFT).astype(np.uint8)
