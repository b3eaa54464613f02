"""The channels that a network sees, made alike for training and in the serving graph."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from segtrail.grey import eight_bit, to_grey
from segtrail.settings.preprocessing import SixteenBit

CHANNELS = {"grey": 1, "rgb": 3}


def to_channels(
    image: npt.NDArray[np.generic],
    colour: Literal["grey", "rgb"],
    sixteen_bit: SixteenBit = "used-bits",
) -> npt.NDArray[np.uint8]:
    """Returns a decoded image as uint8 `[H, W, C]`, C being `CHANNELS[colour]`.

    A grey image becomes RGB with three equal channels; alpha is left out.

    Args:
        image: uint8 or uint16, `[H, W]`, `[H, W, 3]` RGB or `[H, W, 4]` RGBA.
        colour: What to make of it.
        sixteen_bit: Which eight of 16 bits are kept, see `segtrail.grey.eight_bit`; the same
            for all channels.
    """
    if colour == "grey":
        return to_grey(image, sixteen_bit)[..., None]
    if image.ndim == 2:
        return np.repeat(eight_bit(image, sixteen_bit)[..., None], 3, axis=2)
    return eight_bit(image[..., :3], sixteen_bit)
