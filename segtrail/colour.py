"""The channels that a network sees, made alike for training and in the serving graph."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from segtrail.grey import eight_bit, to_grey

CHANNELS = {"grey": 1, "rgb": 3}


def to_channels(
    image: npt.NDArray[np.generic], colour: Literal["grey", "rgb"]
) -> npt.NDArray[np.uint8]:
    """Returns a decoded image as uint8 `[H, W, C]`, C being `CHANNELS[colour]`.

    A grey image becomes RGB with three equal channels. Of 16 bits the highest eight in use, by
    any channel, are kept; alpha is left out.

    Args:
        image: uint8 or uint16, `[H, W]`, `[H, W, 3]` RGB or `[H, W, 4]` RGBA.
        colour: What to make of it.
    """
    if colour == "grey":
        return to_grey(image)[..., None]
    if image.ndim == 2:
        return np.repeat(eight_bit(image)[..., None], 3, axis=2)
    return eight_bit(image[..., :3])
