"""The residual U-Net."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from model.networks.blocks import Convolutions, drop, to_logits
from segtrail.settings.network import ResidualUnet


def build(options: ResidualUnet, channels: int, outputs: int) -> keras.Model:
    """Returns a residual U-Net (Zhang, Liu and Wang, 2018) for images of any size.

    Each level is a residual unit with full pre-activation (He et al., 2016): normalisation and
    activation before each of two 3x3 convolutions, and a 1x1 convolution past them. The first
    convolution of a level halves the size, in place of pooling; up by nearest neighbour.

    Args:
        options: See there.
        channels: Of the input.
        outputs: Logit planes.

    Returns:
        A `keras.Model` from float32 `[N, H, W, channels]`, H and W multiples of `down_scale`,
        to float32 logits `[N, H, W, outputs]`.
    """
    kind = Convolutions(options.batch_norm, not options.batch_norm, options.activation)

    def ready(x: Any, name: str) -> Any:
        return kind.activate(kind.normalise(x, f"{name}_norm"), name)

    def residual(x: Any, level: int, name: str, stride: int = 1, first: bool = False) -> Any:
        filters = options.base_filters << level
        past = kind.convolve(x, filters, 1, f"{name}_past", stride)
        past = kind.normalise(past, f"{name}_past_norm")
        # an image is not activated, which would cut off what is below its mean
        y = x if first else ready(x, f"{name}_1")
        y = ready(kind.convolve(y, filters, 3, f"{name}_conv1", stride), f"{name}_2")
        y = drop(y, options.dropout_at(level), f"{name}_dropout")
        y = kind.convolve(y, filters, 3, f"{name}_conv2")
        return layers.Add(name=f"{name}_sum")([past, y])

    inputs = keras.Input((None, None, channels), name="normalised")
    x = residual(inputs, 0, "down0", options.stem_stride, first=True)
    skips = []
    for level in range(1, options.depth + 1):
        skips.append(x)
        x = residual(x, level, f"down{level}", 2)
    for level in reversed(range(options.depth)):
        x = layers.UpSampling2D(name=f"up{level}_resize")(x)
        x = layers.Concatenate(name=f"up{level}_join")([x, skips[level]])
        x = residual(x, level, f"up{level}")
    logits = to_logits(ready(x, "last"), outputs, options.stem_stride, "logits")
    return keras.Model(inputs, logits, name="residual_unet")
